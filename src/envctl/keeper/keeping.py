"""Starting a program under a keeper, and talking to that keeper."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from envctl import shell
from envctl.errors import EnvctlError
from envctl.keeper import signals
from envctl.keeper.family import WITNESSED
from envctl.model import Command
from envctl.values import dataclass

ADOPTS = sys.platform == "linux"
"""Whether the kernel can hand the orphans among its descendants to a keeper."""
PATIENCE = 5.0
"""How long a program has between one signal and the next, harder one."""
BOOT = "import sys; sys.path.append(sys.argv[2]); from envctl.keeper.process import main; main()"


@dataclass(frozen=True, slots=True)
class News:
    """What a keeper reports: started; failed to start; the program ended; who is left and cannot be ended.

    And, to those who want to look at them first: who lives on after the program, until `Kept.end`.
    """

    kind: Literal["started", "failed", "ended", "left", "remaining"]
    code: int = 0
    pid: int = 0
    detail: str = ""
    pids: tuple[int, ...] = ()


class Kept:
    """A program that runs under a keeper."""

    def __init__(self, control: socket.socket, shared: bool) -> None:
        self.control = control
        self.shared = shared
        self.program = 0
        self._kept = b""

    def run(self, command: Command, *, looks: bool = False) -> None:
        """Have the keeper start the program. With `looks` it tells who lives on after it, and waits for `end`."""
        _send(self.control, command, self.shared, looks)

    def pass_on(self, number: int) -> None:
        """Let the program have this signal, unless the terminal gave it already."""
        self._order(order="pass", signal=int(number))

    def stop(self, number: int) -> None:
        """End the program and all that came of it: this signal, later SIGTERM, later SIGKILL."""
        self._order(order="stop", signal=int(number))

    def end(self) -> None:
        """End those who lived on after the program."""
        self._order(order="end")

    def kill(self) -> None:
        """End all of it at once."""
        self._order(order="kill")

    def leave(self) -> None:
        """Let the keeper believe that we died: it ends everything by itself."""
        with contextlib.suppress(OSError):
            self.control.shutdown(socket.SHUT_WR)

    def news(self) -> list[News] | None:
        """What has been reported since the last call (waits for something), or None once the keeper has gone."""
        chunk = b""
        with contextlib.suppress(ConnectionResetError):
            chunk = self.control.recv(65536)
        if not chunk:
            return None
        *whole, self._kept = (self._kept + chunk).split(b"\n")
        found = [_parse(json.loads(line)) for line in whole]
        self.program = next((one.pid for one in found if one.pid), self.program)
        return found

    def _order(self, **order: object) -> None:
        with contextlib.suppress(OSError):  # It has gone: there is nothing left to order.
            self.control.sendall(json.dumps(order).encode() + b"\n")


@contextmanager
def keep(
    command: Command,
    *,
    shared: bool,
    output: int | None,
    stdin: int | None = None,
    label: str = "",
) -> Iterator[Kept]:
    """Run a program for as long as the block lasts; when it is left, by whatever way, nothing of it is alive.

    `shared` leaves it in our own process group, so that it can use our terminal; else it has a session of its own.
    """
    with waiting(shared=shared, output=output, stdin=stdin, label=label) as kept:
        kept.run(command)
        yield kept


@contextmanager
def waiting(*, shared: bool, output: int | None, stdin: int | None = None, label: str = "") -> Iterator[Kept]:
    """A keeper that is started ahead of its program, while we prepare what that needs; without one it just ends."""
    ours, theirs = socket.socketpair()
    with ours:
        with theirs, signals.held(*WITNESSED):
            keeper = shell.spawn(
                Command((sys.executable, "-P", "-c", BOOT, str(theirs.fileno()), _root(), label)),
                log=output,
                stdin=stdin,
                keep=(theirs.fileno(),),
                session=not shared,
            )
        kept = Kept(ours, shared)
        try:
            yield kept
        finally:
            ours.close()
            if keeper.wait() != 0 and kept.program and not shared:
                _end_session(kept.program)


def explained(name: str, news: News) -> EnvctlError:
    """The error for a program that could not be started."""
    hint = "is it installed? If it is in the project's own environment: activate that, or make it .venv"
    return EnvctlError(f"{name} could not be run", cause=news.detail, hint=hint, code="no_program")


def lost(name: str) -> EnvctlError:
    """The error for a keeper that ended without a word."""
    return EnvctlError(f"the keeper of {name} was killed", hint="see whether anything of it still runs", code="keeper")


def _send(control: socket.socket, command: Command, shared: bool, looks: bool) -> None:
    what = {
        "argv": command.argv,
        "cwd": str(command.cwd or Path.cwd()),
        "env": shell.environment(command),
        "shared": shared,
        "looks": looks,
        "adopts": ADOPTS,
        "patience": PATIENCE,
    }
    with contextlib.suppress(OSError):  # A keeper that died at once is seen by the first `news`.
        control.sendall(json.dumps(what).encode() + b"\n")


def _end_session(leader: int) -> None:
    """Kill who is left of a program whose keeper was killed: the session that the program led bears its pid.

    The kernel gives no new process that pid while the session has members; so all who are in it came of the program.
    """
    import psutil

    for one in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if os.getsid(one.pid) == leader:
                one.kill()


def _root() -> str:
    return str(Path(__file__).parents[2])


def _parse(news: Mapping[str, Any]) -> News:
    match news["news"]:
        case "failed":
            return News("failed", detail=f"{news['path']}: {news['cause']}")
        case "ended":
            return News("ended", code=int(news["code"]))
        case "remaining":
            return News("remaining", pids=tuple(news["pids"]))
        case "left":
            return News("left", detail=", ".join(str(pid) for pid in news["pids"]))
        case _:
            return News("started", pid=int(news["pid"]))
