"""A process that counts its effects on the world, and dies by SIGKILL just before or just after one of them."""

from __future__ import annotations

import functools
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

When = Literal["before", "after"]
EFFECTS = {
    "state": (("envctl.state", "", "write"), ("envctl.locks", "", "claim")),
    "folder": (
        ("pathlib", "Path", "mkdir"),
        ("pathlib", "Path", "rename"),
        ("pathlib", "Path", "replace"),
        ("pathlib", "Path", "unlink"),
        ("pathlib", "Path", "rmdir"),
        ("pathlib", "Path", "touch"),
        ("shutil", "", "rmtree"),
    ),
    "process": (("envctl.shell", "", "spawn"),),
    "postgres": (
        ("psycopg", "Connection", "connect"),
        ("psycopg", "Connection", "execute"),
        ("psycopg.transaction", "Transaction", "__exit__"),
    ),
    "s3": (("urllib3.connectionpool", "HTTPConnectionPool", "urlopen"),),
    "redis": (("redis.connection", "AbstractConnection", "send_packed_command"),),
}
"""By kind: module, class and name of what is counted."""


@dataclass
class Clock:
    """What was counted; `at` is the number of the effect to die at, 0 for none. `book` is told each as it comes."""

    at: int
    when: When
    book: Path | None = None
    count: int = 0
    lock: Any = field(default_factory=threading.Lock)
    inside: threading.local = field(default_factory=threading.local)

    def wrapped(self, kind: str, what: Callable[..., Any]) -> Callable[..., Any]:
        """The same, counted; what it does within itself is not."""

        @functools.wraps(what)
        def counted(*args: Any, **options: Any) -> Any:
            if getattr(self.inside, "one", False):
                return what(*args, **options)
            self.inside.one = True
            try:
                mine = self._next(kind, what.__name__, args)
                if mine == self.at and self.when == "before":
                    _die()
                try:
                    return what(*args, **options)
                finally:
                    if mine == self.at:
                        _die()
            finally:
                self.inside.one = False

        return counted

    def _next(self, kind: str, name: str, args: tuple[Any, ...]) -> int:
        with self.lock:
            self.count += 1
            if self.book is not None:
                text = " ".join(str(one) for one in args if isinstance(one, (str, Path)))[:120]
                with self.book.open("a") as file:
                    file.write(f"{self.count}\t{kind}\t{name}\t{text.splitlines()[0] if text else ''}\n")
            return self.count


def install(at: int, when: When, book: Path | None = None) -> Clock:
    """Count from now on."""
    clock = Clock(at, when, book)
    for kind, places in EFFECTS.items():
        for module, owner, name in places:
            place = getattr(import_module(module), owner) if owner else import_module(module)
            found = vars(place)[name]
            if isinstance(found, classmethod):
                setattr(place, name, classmethod(clock.wrapped(kind, found.__func__)))
            else:
                setattr(place, name, clock.wrapped(kind, found))
    return clock


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
