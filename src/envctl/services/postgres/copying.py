"""How this server copies a database fastest: known where it does without fsync, else measured once and remembered."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envctl import state
from envctl.errors import EnvctlError
from envctl.values import dataclass

if TYPE_CHECKING:
    from envctl.services.postgres.link import Connection

LOG, FILES, CLONE = "WAL_LOG", "FILE_COPY", "clone"
"""The last is from PostgreSQL 18 on: files are copied by the system, which may let both names share their blocks."""
WORTH = 0.8
"""Copying files makes the server flush everybody's work; it must be that much faster than the other way."""
NEVER = 86400.0
"""What a way is said to take that this server's disk cannot go."""

_SERVER = """
    SELECT current_setting('fsync'), (SELECT system_identifier FROM pg_control_system()),
           EXISTS (SELECT FROM pg_settings WHERE name = 'file_copy_method' AND 'clone' = ANY (enumvals))
"""


@dataclass(frozen=True, slots=True)
class Copying:
    """What is remembered of one server, for templates of one size."""

    file: Path
    size: str
    durable: bool
    clones: bool
    """Whether the server knows how to."""

    @property
    def way(self) -> str:
        """The fastest one; of a durable server, one that was never tried comes first."""
        known = self._known()
        ways: tuple[str, ...] = (FILES, CLONE) if self.clones else (FILES,)
        if not self.durable:  # Its checkpoints cost nothing, and the system copies faster than the server.
            return FILES if CLONE in known else ways[-1]
        untried = [way for way in (LOG, *ways) if way not in known]
        if untried:
            return untried[0]
        best = min(ways, key=lambda way: known[way])
        return best if known[best] < WORTH * known[LOG] else LOG

    def took(self, way: str, seconds: float) -> None:
        """Remember how long one copy took. Two who do so at once may forget one; it is then measured again."""
        if (self.durable or seconds == NEVER) and way not in (known := self._known()):
            state.write(self.file, {**self._all(), self.size: {**known, way: round(seconds, 4)}})

    def _known(self) -> dict[str, float]:
        known: dict[str, float] = self._all().get(self.size, {})
        return known

    def _all(self) -> dict[str, Any]:
        try:
            return state.read(self.file) or {}
        except EnvctlError:
            return {}  # It is only a memory.


def fastest(connection: Connection, memory: Path, size: int, make: Callable[[str], None]) -> None:
    """Let `make` copy, with the words for CREATE DATABASE; where they have to be found out, it is measured."""
    from psycopg import errors

    if connection.info.server_version < 150000:
        make("")
        return
    fsync, server, clones = connection.execute(_SERVER).fetchall()[0]
    file = memory / "copying" / f"{server}.json"
    copying = Copying(file, str((size >> 20).bit_length()), durable=fsync != "off", clones=clones)
    way, begun = copying.way, time.monotonic()
    try:
        _go(connection, way, make, clones=clones)
    except errors.InternalError_:
        if way != CLONE:
            raise
        copying.took(CLONE, NEVER)  # A disk that cannot: EOPNOTSUPP, EXDEV and the like have no code of their own.
        _go(connection, FILES, make, clones=clones)
    else:
        copying.took(way, time.monotonic() - begun)


def _go(connection: Connection, way: str, make: Callable[[str], None], *, clones: bool) -> None:
    if clones:
        connection.execute(f"SET file_copy_method = {CLONE if way == CLONE else 'copy'}")
    make(f"STRATEGY {LOG if way == LOG else FILES}")


def server(connection: Connection) -> str:
    """The server's own number, which its data folder was given when it was made."""
    return str(connection.execute(_SERVER).fetchall()[0][1])
