"""envctl in a process that counts each of its effects on the world, and dies by SIGKILL just before one of them.

What counts is not a list of ours: the interpreter itself reports every file that is written, made, renamed or removed,
every process and every socket; what goes over a connection is counted where all of it passes.
"""

from __future__ import annotations

import functools
import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any

REPORTED = frozenset(
    {
        "open",
        "os.chmod",
        "os.kill",
        "os.killpg",
        "os.link",
        "os.mkdir",
        "os.remove",
        "os.rename",
        "os.rmdir",
        "os.symlink",
        "os.truncate",
        "os.utime",
        "socket.bind",
        "subprocess.Popen",
    }
)
SENT = (
    ("socket", "socket", "sendall"),
    ("psycopg", "Connection", "execute"),
    ("psycopg.transaction", "Transaction", "__exit__"),
)
"""Where all that goes over a connection passes: to S3 and redis, the keeper and the workers; and to PostgreSQL."""
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
PLUMBING = ("state", "shell", "libpq", "wire", "link", "sessions", "records")
"""Modules that do an effect for others: who asked for it is named instead."""
PACKAGE = f"{os.sep}envctl{os.sep}"


class Life:
    """What was done so far, in which phase of the run, and by which function."""

    def __init__(self, at: str, book: Path) -> None:
        self.at = at
        self.book = os.open(book, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.count: Counter[str] = Counter()
        self.main = "before"
        self.own = threading.local()
        self.lock = threading.RLock()
        self.installed = False

    @property
    def phase(self) -> str:
        """This thread's, else the run's."""
        return getattr(self.own, "phase", "") or self.main

    def step(self, kind: str, detail: str) -> None:
        """One effect is about to happen, unless we die of it. What an effect does within itself is not counted."""
        if getattr(self.own, "inside", False) or not self.installed:
            return
        self.own.inside = True
        try:
            with self.lock:
                self.count[self.phase] += 1
                number = str(self.count[self.phase])
                line = "\t".join((self.phase, number, _whose(sys._getframe(2)), kind, detail))
                os.write(self.book, f"{line}\n".encode())
                if self.at == f"{self.phase}:{number}":
                    os.kill(os.getpid(), signal.SIGKILL)
        finally:
            self.own.inside = False

    def reported(self, event: str, args: tuple[Any, ...]) -> None:
        """What the interpreter is about to do."""
        if event not in REPORTED or not self.installed or (event == "open" and not _writes(args)):
            return
        self.step(event.removeprefix("os."), _named(args))

    def sent(self, kind: str, what: Callable[..., Any]) -> Callable[..., Any]:
        """The same, counted as one effect."""

        @functools.wraps(what)
        def counted(*args: Any, **options: Any) -> Any:
            self.step(kind, _statement(args[1]) if kind == "execute" else "")
            outer, self.own.inside = getattr(self.own, "inside", False), True
            try:
                return what(*args, **options)
            finally:
                self.own.inside = outer

        return counted

    @contextmanager
    def within(self, phase: str) -> Iterator[None]:
        """Whatever is done in the block belongs to that phase, and what the run does until the next one begins."""
        if threading.current_thread() is not threading.main_thread():
            before, self.own.phase = getattr(self.own, "phase", ""), phase
            try:
                yield
            finally:
                self.own.phase = before
            return
        self.main = phase
        try:
            yield
        finally:
            self.main = "after" if phase == "clean-up" else phase

    def handed_on(self, submit: Callable[..., Any]) -> Callable[..., Any]:
        """What a thread is given to do belongs to the phase of who gives it; sandboxes are made as clones are."""

        @functools.wraps(submit)
        def carried(pool: ThreadPoolExecutor, work: Callable[..., Any], /, *args: Any, **options: Any) -> Future[Any]:
            phase = "clones" if pool._thread_name_prefix == "sandbox" else self.phase

            def worked() -> Any:
                with self.within(phase):
                    return work(*args, **options)

            found: Future[Any] = submit(pool, worked)
            return found

        return carried


def install(at: str, book: Path) -> Life:
    """Count from now on."""
    from envctl.testing.timings import Timings

    life = Life(at, book)
    for module, owner, name in SENT:
        place = getattr(import_module(module), owner)
        setattr(place, name, life.sent(name, getattr(place, name)))
    measured = Timings.phase

    @contextmanager
    def phase(timings: Timings, name: str) -> Iterator[None]:
        with life.within(name), measured(timings, name):
            yield

    setattr(Timings, "phase", phase)  # noqa: B010
    setattr(ThreadPoolExecutor, "submit", life.handed_on(ThreadPoolExecutor.submit))  # noqa: B010
    sys.addaudithook(life.reported)
    life.installed = True
    return life


def _writes(args: tuple[Any, ...]) -> bool:
    """Whether a file is opened to be changed; Python's own compiled files are none of ours."""
    path, _, flags = args
    named = not isinstance(path, int) and path is not None
    return bool(flags & WRITING) and named and not str(path).startswith("/dev/") and "__pycache__" not in str(path)


def _named(args: tuple[Any, ...]) -> str:
    text = " ".join(str(one) for one in args[:2] if isinstance(one, (str, bytes, Path)))
    return " ".join(text.split())[:100]


def _statement(query: Any) -> str:
    text = query if isinstance(query, str) else query.as_string()
    return " ".join(text.split())[:60]


def _whose(frame: FrameType | None) -> str:
    """The function of envctl's that asks for it: `runs.claimed`."""
    fallback = ""
    while frame is not None:
        file = frame.f_code.co_filename
        if PACKAGE in file and not file.startswith("<"):
            module = file.rpartition(PACKAGE)[2].removesuffix(".py").removesuffix("/__init__").replace(os.sep, ".")
            name = f"{module}.{frame.f_code.co_qualname}".replace("<locals>.", "")
            fallback = fallback or name
            if module.rpartition(".")[2] not in PLUMBING:
                return name
        frame = frame.f_back
    return fallback or "-"


def main() -> None:
    """Before which effect of which phase to die, where to keep book, and what envctl is to do."""
    from envctl.cli import main as envctl

    at, book = sys.argv[1], Path(sys.argv[2])
    sys.argv[:] = ["envctl", *sys.argv[3:]]
    install(at, book)
    envctl()


if __name__ == "__main__":
    main()
