"""The desk of a run: a socket in its folder, on which worker processes ask for what is theirs.

Nobody has to guess how many workers come: each asks when it starts. A connection lasts as long as its process, so that
whatever a killed worker held is given back by its death.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from envctl.errors import EnvctlError, UsageError

LONGEST = 100
"""A socket's path has at most 104 bytes on macOS and 108 on Linux."""

LOCAL_PEERPID = (0, 2)
"""macOS's option for what Linux calls SO_PEERCRED; Python has no name for it."""

Answer = dict[str, Any]
Handler = Callable[[Mapping[str, Any], "Caller"], Answer]


class Caller:
    """One process at the desk, and what it holds for as long as it lives."""

    def __init__(self) -> None:
        self.held: set[str] = set()
        self.later: list[Callable[[], None]] = []
        """What no answer waits for; it is begun when the answer is on its way."""


@contextmanager
def opened(path: Path, handlers: Mapping[str, Handler], *, left: Callable[[Caller], None]) -> Iterator[None]:
    """Serve requests for as long as the block runs; `left` hears of every process that has gone."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with listener, reachable(path) as address:
        path.unlink(missing_ok=True)
        listener.bind(address)
        path.chmod(0o600)
        listener.listen(128)
        desk = _Desk(handlers, left)
        thread = threading.Thread(target=desk.accept, args=(listener,), name="desk", daemon=True)
        thread.start()
        try:
            yield
        finally:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            path.unlink(missing_ok=True)


@contextmanager
def reachable(path: Path) -> Iterator[str]:
    """A name of the socket that is short enough: its folder may be reached through a descriptor."""
    if len(os.fsencode(path)) <= LONGEST:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        through = Path(f"/proc/self/fd/{folder}")
        if not through.exists():
            raise UsageError(
                f"the state folder's path is too long for a socket: {path}",
                hint="set ENVCTL_STATE_DIR to a shorter one",
            )
        yield str(through / path.name)
    finally:
        os.close(folder)


def ask(path: Path, question: Mapping[str, Any]) -> Answer:
    """One question at the desk of a run; its refusal is raised as ours."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        with reachable(path) as address:
            connection.connect(address)
        connection.sendall(json.dumps(question).encode() + b"\n")
        with connection.makefile("rb") as answers:
            answer = json.loads(answers.readline() or b"{}")
    if "error" in answer:
        told = answer["error"]
        raise EnvctlError(told["message"], cause=told["cause"], hint=told["hint"], code=told["code"])
    return dict(answer)


def keeper(path: Path) -> int:
    """The process whose desk that is; 0 where there is none, or the system does not tell."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection, suppress(OSError):
        with reachable(path) as address:
            connection.connect(address)
        if hasattr(socket, "SO_PEERCRED"):
            pid, _, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        else:
            (pid,) = struct.unpack("i", connection.getsockopt(*LOCAL_PEERPID, 4))
        return int(pid)
    return 0


class _Desk:
    def __init__(self, handlers: Mapping[str, Handler], left: Callable[[Caller], None]) -> None:
        self.handlers = handlers
        self.left = left

    def accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection: socket.socket) -> None:
        caller = Caller()
        with suppress(OSError), connection, connection.makefile("rb") as questions:
            for line in questions:
                connection.sendall(json.dumps(self.answer(line, caller)).encode() + b"\n")
                while caller.later:
                    caller.later.pop()()
        self.left(caller)

    def answer(self, line: bytes, caller: Caller) -> Answer:
        """What the handler says; a failure is an answer too."""
        try:
            question = json.loads(line)
            kind = question.get("ask") or question.get("tell")
            if kind not in self.handlers:
                raise UsageError(f"the desk does not know {kind!r}", hint="envctl and its plugin differ in version")
            return self.handlers[kind](question, caller)
        except EnvctlError as error:
            return _refusal(error)
        except Exception as error:
            return _refusal(
                EnvctlError("envctl itself failed", cause=f"{type(error).__name__}: {error}", code="internal")
            )


def _refusal(error: EnvctlError) -> Answer:
    told = {"message": error.message, "cause": error.cause, "hint": error.hint, "code": error.code}
    return {"error": told}
