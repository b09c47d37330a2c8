"""What a run's test processes tell its audit: which test runs when, what Python makes outside of the checkout, and when
all is done. Loaded by the plugin from this file, in an audited run alone; standard library and Python 3.8, as that:
PYTEST_DONT_REWRITE.
"""

from __future__ import annotations

import functools
import os
import sys
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

OFTEN = 0.25
"""Seconds between two tellings, at least: a test costs no round trip of its own."""
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class Auditor:
    """Hears of every path that Python makes, from the interpreter's own audit events, and of every test."""

    def __init__(self, run: Any) -> None:
        self.desk = run.desk
        self.worker = run.worker
        self.root = run.passport["root"].rstrip(os.sep) + os.sep
        self.test = ""
        self.ran: list[tuple[str, float, float]] = []
        self.made: deque[tuple[str, str]] = deque(maxlen=10_000)
        self.went: deque[tuple[str, int, str, str, str]] = deque(maxlen=10_000)
        self.told = time.monotonic()
        self.process = os.getpid()
        sys.addaudithook(self.hear)
        for name in MUTE:
            setattr(os, name, Making(getattr(os, name), self.note))

    def hear(self, event: str, args: tuple[Any, ...]) -> None:
        """Note a path that is about to be made. An event comes in any thread, and must cost next to nothing."""
        kind = MAKING.get(event)
        if kind is None:
            if event in GOING:
                with suppress(Exception):
                    self.went.extend((*place, self.test) for place in GOING[event](args))
            return
        with suppress(Exception):
            for path in kind(args):
                self.note(path)

    def note(self, path: Any) -> None:
        """Keep a path in mind that is outside of the checkout and not there yet."""
        found = os.path.abspath(os.fsdecode(path))  # noqa: PTH100 (no look at the disk, which resolve takes)
        if not found.startswith(self.root) and not os.path.lexists(found):
            self.made.append((found, self.test))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Only where tests are run, never in a controller of workers."""
        self.tap()
        begun = time.time()
        self.test = item.nodeid
        try:
            return (yield)
        finally:
            self.ran.append((item.nodeid, begun, time.time()))
            self.test = ""
            if time.monotonic() - self.told > OFTEN:
                self.tell()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, Any, Any]:
        """All fixtures are gone, and this process still lives."""
        try:
            return (yield)
        finally:
            self.tell()
            with suppress(pytest.UsageError):
                self.desk.ask(ask="finished", worker=self.worker, own=sorted(_own(session.config)))

    def pytest_unconfigure(self) -> None:
        """What plugins wrote at the very end."""
        self.tell()

    def tell(self) -> None:
        """Tell what has come together. A forked child leaves that to its parent."""
        if os.getpid() != self.process:
            return
        tests, self.ran = self.ran, []
        made = [self.made.popleft() for _ in range(len(self.made))]
        went = {self.went.popleft() for _ in range(len(self.went))}
        self.told = time.monotonic()
        if tests or made or went:
            told = {"tests": tests, "made": list(dict.fromkeys(made)), "went": sorted(went)}
            with suppress(pytest.UsageError):
                self.desk.ask(tell="ran", worker=self.worker, **told)

    def tap(self) -> None:
        """Drivers that connect in C raise no event: their own function is asked to tell."""
        for module, name, place in DRIVERS:
            found = sys.modules.get(module)
            original = getattr(found, name, None)
            if original is not None and not hasattr(original, "__wrapped__"):
                setattr(found, name, self.telling(original, place))

    def telling(self, original: Any, place: Callable[..., tuple[str, int, str, str]]) -> Any:
        """The same function; before it connects it notes where, and as whom."""

        @functools.wraps(original)
        def connect(*args: Any, **kwargs: Any) -> Any:
            with suppress(Exception):
                self.went.append((*place(*args, **kwargs), self.test))
            return original(*args, **kwargs)

        return connect


class Making:
    """The same function of `os`, where the interpreter's event for it does not tell all, or there is none.

    An object, for a function would be a method where a class has it; pickled by its name, as the function itself is.
    """

    def __init__(self, original: Any, note: Callable[[str], None]) -> None:
        functools.update_wrapper(self, original)
        self.__module__ = os.__name__
        self.original = original
        self.note = note
        if original in os.supports_dir_fd:
            os.supports_dir_fd.add(self)

    def __call__(self, path: Any, *args: Any, dir_fd: int | None = None, **kwargs: Any) -> Any:
        if hasattr(type(path), "__fspath__"):
            path = os.fspath(path)  # Once, as by the function itself: it may be of use only once.
        if dir_fd is not None or self.original is not os_open:
            with suppress(Exception):
                self.note(_at(path, dir_fd))
        return self.original(path, *args, dir_fd=dir_fd, **kwargs)

    def __reduce__(self) -> str:
        return str(self.original.__name__)


os_open = os.open
MUTE = [one for one in ("mkfifo", "mknod", "open") if hasattr(os, one)]
"""Functions of `os` that make a path without an event, or with one that does not say from which folder it is seen."""


def _by_libpq(module: str, parse: str) -> Callable[..., tuple[str, int, str, str]]:
    """Host, port, login and database of a function that begins with what libpq reads, as that function of it says."""

    def place(conninfo: Any, *_: Any, **__: Any) -> tuple[str, int, str, str]:
        said = getattr(sys.modules[module], parse)(conninfo)
        host, port, user = (said.get(one) or _usual(one) for one in ("host", "port", "user"))
        return host, int(port), user, said.get("dbname") or os.environ.get("PGDATABASE") or user

    return place


def _by_asyncpg(*, addr: Any, params: Any, **_: Any) -> tuple[str, int, str, str]:
    """It has read everything by then; a socket in the file system is no server of ours."""
    return str(addr[0]), int(addr[1]), params.user, params.database or params.user


DRIVERS: tuple[tuple[str, str, Callable[..., tuple[str, int, str, str]]], ...] = (
    ("psycopg.generators", "connect", _by_libpq("psycopg.conninfo", "conninfo_to_dict")),
    ("psycopg2", "_connect", _by_libpq("psycopg2.extensions", "parse_dsn")),
    ("asyncpg.connect_utils", "_connect_addr", _by_asyncpg),
)
"""The module, its function that connects, and what tells of the function's arguments where that leads, and as whom."""


def _at(path: Any, folder: int | None) -> str:
    """A path that is seen from an open folder, where one is given; an error where nobody can tell which one that is."""
    name = os.fsdecode(path)
    if folder in (None, -1) or os.path.isabs(name):  # noqa: PTH117
        return name
    if sys.platform == "darwin":
        import fcntl

        found = fcntl.fcntl(folder, fcntl.F_GETPATH, bytes(1024))
        return os.path.join(os.fsdecode(found.rstrip(b"\0")), name)  # noqa: PTH118
    return os.path.join(os.readlink(f"/proc/self/fd/{folder}"), name)  # noqa: PTH115, PTH118


def _usual(word: str) -> str:
    return os.environ.get(f"PG{word.upper()}") or {"host": "localhost", "port": "5432"}.get(word, "")


def _opened(args: tuple[Any, ...]) -> Iterator[Any]:
    path, _, flags = args
    if flags & WRITING and not isinstance(path, int):
        yield path


def _made(args: tuple[Any, ...]) -> Iterator[Any]:
    yield _at(args[0], args[-1])


def _target(args: tuple[Any, ...]) -> Iterator[Any]:
    yield _at(args[1], args[-1])


def _database(args: tuple[Any, ...]) -> Iterator[Any]:
    if args[0] != ":memory:":
        yield args[0]


def _bound(args: tuple[Any, ...]) -> Iterator[Any]:
    if isinstance(args[1], (str, bytes)) and args[1][:1] not in ("", b"", "\0", b"\0"):
        yield args[1]


MAKING = {
    "open": _opened,
    "os.mkdir": _made,
    "os.rename": _target,
    "os.link": _target,
    "os.symlink": _target,
    "sqlite3.connect": _database,
    "socket.bind": _bound,
}
"""The interpreter's events for what may make a path, and which of their arguments it is."""


def _connected(args: tuple[Any, ...]) -> Iterator[Any]:
    if isinstance(args[1], tuple):
        yield str(args[1][0]), int(args[1][1]), "", ""


def _sent(args: tuple[Any, ...]) -> Iterator[Any]:
    """A request that changes something, by its first line: which bucket it is for."""
    connection, data = args
    if isinstance(data, bytes) and data.startswith((b"PUT /", b"POST /", b"DELETE /")):
        path = data[: data.index(b"\r")].split(b" ")[1].decode()
        yield connection.host, connection.port, "", path[1:].partition("?")[0].partition("/")[0]


GOING = {"socket.connect": _connected, "http.client.send": _sent}
"""The interpreter's events for going somewhere."""


def _own(config: pytest.Config) -> Iterator[str]:
    """Folders and files that are pytest's own, or that somebody asked for by an option."""
    factory = getattr(config, "_tmp_path_factory", None)
    base = getattr(factory, "_basetemp", None)
    if base is not None:
        given = getattr(factory, "_given_basetemp", None)
        yield os.path.realpath(base if given else Path(base).parent)
    cache = getattr(getattr(config, "cache", None), "_cachedir", None)
    if cache is not None:
        yield os.path.realpath(cache)
    for value in vars(config.option).values():
        if isinstance(value, str) and os.sep in value.strip(os.sep):
            yield os.path.realpath(value)
