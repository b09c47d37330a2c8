"""Who ever used a database: the server's own count of sessions, which lives and dies with the database.

A clone starts at zero, whatever its template has seen, and keeps its count when it is renamed. A session of ours in the
database counts like anybody's, so nobody of us enters a clone: what has to be done inside is done in the template.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from envctl import owners
from envctl.model import Address
from envctl.services.postgres import sessions

if TYPE_CHECKING:
    from envctl.services.postgres.link import Connection

COUNTED_SINCE = 140000
"""The first version that counts sessions."""
SHARED_SINCE = 150000
"""From here on an ending session has been counted before it is gone; before, a collector wrote it down afterwards."""

_LIVE = """
    SELECT datname, count(*) FROM pg_stat_activity
     WHERE datname = ANY(%s) AND usesysid IS NOT NULL AND application_name <> 'envctl' GROUP BY 1
"""
_ENDED = """
    SELECT s.datname, s.sessions, s.stats_reset, shobj_description(s.datid, 'pg_database')
      FROM pg_stat_database s WHERE s.datname = ANY(%s)
"""


def visits(address: Address, names: Iterable[str]) -> dict[str, int]:
    """At least so many sessions used each database. Left out: what is gone, and what the server has forgotten."""
    asked = list(names)
    with sessions.reused(address) as connection:
        if not asked or connection.info.server_version < COUNTED_SINCE:
            return {}
        found = _counted(connection, asked)
        if connection.info.server_version < SHARED_SINCE and not all(found.values()):
            connection.execute("SELECT pg_sleep(1)")  # twice the collector's pace
            found = _counted(connection, asked)
    return found


def _counted(connection: Connection, names: list[str]) -> dict[str, int]:
    """First who is there, then the count: who ends in between is in one of the two."""
    live: dict[str, int] = dict(connection.execute(_LIVE, (names,)).fetchall())
    counting = _counting(connection)
    return {
        name: max(sessions, live.get(name, 0))
        for name, sessions, reset, record in connection.execute(_ENDED, (names,)).fetchall()
        if sessions or name in live or (_known(record, counting) and not reset)
    }


def _counting(connection: Connection) -> tuple[datetime, bool]:
    """Since when the server counts, and whether that was a crash of it since it was started: it takes all counts."""
    row: Any = connection.execute(
        "SELECT stats_reset, stats_reset > pg_postmaster_start_time() FROM pg_stat_bgwriter"
    ).fetchone()
    return row[0], row[1]


def _known(record: str | None, counting: tuple[datetime, bool]) -> bool:
    """Whether a zero can be believed: the database is younger than the count; one without a date is if none crashed."""
    since, crashed = counting
    owner = owners.from_text(record)
    if owner is None:
        return not crashed
    created = datetime.fromisoformat(owner.created)
    return (created if created.tzinfo else created.replace(tzinfo=UTC)) >= since
