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
from envctl.services.postgres import link

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
    with link.admin(address) as connection:
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
    forgot = _forgot(connection)
    return {
        name: max(sessions, live.get(name, 0))
        for name, sessions, reset, record in connection.execute(_ENDED, (names,)).fetchall()
        if sessions or name in live or not (reset or _made_before(record, forgot))
    }


def _forgot(connection: Connection) -> datetime | None:
    """When the server last began to count from zero: a crash takes all counts with it."""
    row: Any = connection.execute("SELECT stats_reset FROM pg_stat_bgwriter").fetchone()
    moment: datetime | None = row[0] if row else None
    return moment


def _made_before(record: str | None, moment: datetime | None) -> bool:
    owner = owners.from_text(record)
    if owner is None or moment is None:
        return False
    created = datetime.fromisoformat(owner.created)
    return (created if created.tzinfo else created.replace(tzinfo=UTC)) < moment
