"""Administrators' sessions that stay open between two calls, for what is done hundreds of times in a run.

A session that holds a template stays for the life of the process: the lock says, to every host, that it is in use.
"""

from __future__ import annotations

import atexit
import os
import select
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from envctl.model import Address
from envctl.services.postgres import link

if TYPE_CHECKING:
    from envctl.services.postgres.link import Connection

KEPT = 2
"""How many idle sessions are kept for each server; the others close when they are done."""
Key = tuple[str, int, str]

_lock = threading.Lock()
_idle: dict[Key, list[Connection]] = {}
_holding: dict[int, tuple[Connection, set[str]]] = {}
"""The sessions with locks that last as long as this process, and what they hold."""
_inherited: list[Connection] = []
"""In a forked child: its parent's sessions, which it must not end."""


@contextmanager
def reused(address: Address) -> Iterator[Connection]:
    """A session of the administrator, as `link.admin` gives it; it may have been used before, and will be again."""
    connection = _taken(address)
    try:
        with link.translating(address):
            if connection is None:
                connection = link.opened(address)
            yield connection
    finally:
        if connection is not None:
            _given_back(address, connection)


def hold(connection: Connection, name: str) -> None:
    """Keep everybody from removing the template of that name for as long as this process lives."""
    from psycopg import sql

    _, names = _holding.get(id(connection), (connection, set()))
    if name not in names:
        key = sql.Literal(_key(name))
        connection.execute(sql.SQL("SELECT pg_advisory_lock_shared(hashtextextended({}, 0))").format(key))
        with _lock:
            _holding[id(connection)] = (connection, names | {name})


def let_go(connection: Connection, name: str) -> None:
    """Give up what `hold` took."""
    with _lock:
        _, names = _holding.get(id(connection), (connection, set()))
        _holding[id(connection)] = (connection, names - {name})
    connection.execute("SELECT pg_advisory_unlock_shared(hashtextextended(%s, 0))", (_key(name),))


@contextmanager
def unheld(connection: Connection, name: str) -> Iterator[bool]:
    """Whether nobody holds the template of that name; if so, nobody comes to hold it within the block."""
    free = not _held_here(connection, name)  # The server would let the session that holds it lock it once more.
    if free:
        row = connection.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", (_key(name),)).fetchone()
        free = bool(row and row[0])
    try:
        yield free
    finally:
        if free and not connection.closed:
            connection.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", (_key(name),))


def close() -> None:
    """End every session that is idle, and with it what it holds."""
    with _lock:
        found = [one for several in _idle.values() for one in several]
        _idle.clear()
        _holding.clear()
    for one in found:
        one.close()


def _held_here(connection: Connection, name: str) -> bool:
    """Whether a session of this process holds it, on the same server."""
    place = connection.info.host, connection.info.port
    with _lock:
        found = [one for one, names in _holding.values() if name in names and not one.closed]
    return any((one.info.host, one.info.port) == place for one in found)


def _taken(address: Address) -> Connection | None:
    while True:
        with _lock:
            idle = _idle.get(_server(address))
            if not idle:
                return None
            connection = idle.pop()
        if _usable(connection):
            return connection
        _ended(connection)


def _given_back(address: Address, connection: Connection) -> None:
    with _lock:
        idle = _idle.setdefault(_server(address), [])
        holding = bool(_holding.get(id(connection), (connection, set()))[1])
        if _at_rest(connection) and (holding or len(idle) < KEPT):
            idle.append(connection)
            return
    _ended(connection)


def _ended(connection: Connection) -> None:
    with _lock:
        _holding.pop(id(connection), None)
    connection.close()


def _usable(connection: Connection) -> bool:
    """Whether the server is still there: a session at rest has nothing to read but its end."""
    if not _at_rest(connection):
        return False
    news = select.poll()
    news.register(connection.fileno(), select.POLLIN)
    return not news.poll(0)


def _at_rest(connection: Connection) -> bool:
    from psycopg.pq import TransactionStatus

    return not connection.closed and connection.info.transaction_status == TransactionStatus.IDLE


def _server(address: Address) -> Key:
    return address.host, address.port, f"{address.user}\0{address.password}\0{sorted(address.options.items())}"


def _key(name: str) -> str:
    return f"envctl template {name}"


def _forget_in_child() -> None:
    """A forked child must neither speak on its parent's sessions nor keep their locks when the parent dies."""
    global _lock
    _lock = threading.Lock()
    nothing = os.open(os.devnull, os.O_RDWR)
    for one in (*(one for several in _idle.values() for one in several), *(one for one, _ in _holding.values())):
        _inherited.append(one)
        with suppress(Exception):
            os.dup2(nothing, one.fileno(), inheritable=False)
    os.close(nothing)
    _idle.clear()
    _holding.clear()


atexit.register(close)
os.register_at_fork(after_in_child=_forget_in_child)
