"""How this server copies a database fastest: known where it does without fsync, else measured once and remembered."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envctl import state
from envctl.errors import EnvctlError
from envctl.values import dataclass

if TYPE_CHECKING:
    from envctl.services.postgres.link import Connection

FILES, LOG = "FILE_COPY", "WAL_LOG"
WORTH = 0.8
"""Copying files makes the server flush everybody's work; it must be that much faster than the other way."""

_SERVER = "SELECT current_setting('fsync'), (SELECT system_identifier FROM pg_control_system())"


@dataclass(frozen=True, slots=True)
class Copying:
    """What is remembered of one server, for templates of one size."""

    file: Path
    size: str

    @property
    def way(self) -> str:
        """The faster one; one that was never tried comes first."""
        known = self._known()
        if LOG not in known or FILES not in known:
            return FILES if LOG in known else LOG
        return FILES if known[FILES] < WORTH * known[LOG] else LOG

    def took(self, way: str, seconds: float) -> None:
        """Remember how long one copy took. Two who do so at once may forget one; it is then measured again."""
        if way not in (known := self._known()):
            state.write(self.file, {**self._all(), self.size: {**known, way: round(seconds, 4)}})

    def _known(self) -> dict[str, float]:
        return dict(self._all().get(self.size, {}))

    def _all(self) -> dict[str, Any]:
        try:
            return state.read(self.file) or {}
        except EnvctlError:
            return {}  # It is only a memory.


@contextmanager
def strategy(connection: Connection, memory: Path, size: int) -> Iterator[str]:
    """The words for CREATE DATABASE; where they have to be found out, the block is what is measured."""
    if connection.info.server_version < 150000:
        yield ""
        return
    fsync, server = connection.execute(_SERVER).fetchall()[0]
    if fsync == "off":
        yield f"STRATEGY {FILES}"  # its checkpoints cost nothing then
        return
    copying = Copying(memory / "copying" / f"{server}.json", str((size >> 20).bit_length()))
    way, begun = copying.way, time.monotonic()
    yield f"STRATEGY {way}"
    copying.took(way, time.monotonic() - begun)


def server(connection: Connection) -> str:
    """The server's own number, which its data folder was given when it was made."""
    return str(connection.execute(_SERVER).fetchall()[0][1])
