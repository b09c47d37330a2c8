"""What a PostgreSQL server can bear at once, and whose sessions it bears now."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from envctl import owners
from envctl.model import Address, Capacity
from envctl.services.postgres import sessions

if TYPE_CHECKING:
    from envctl.services.postgres.link import Connection

_LIMITS = """
    SELECT current_setting('max_connections')::int,
           current_setting('superuser_reserved_connections')::int
           + coalesce(current_setting('reserved_connections', true)::int, 0),
           current_setting('max_locks_per_transaction')::int
           * (current_setting('max_connections')::int + current_setting('max_prepared_transactions')::int)
"""
_SESSIONS = """
    SELECT shobj_description(datid, 'pg_database'), shobj_description(usesysid, 'pg_authid'), count(*)
      FROM pg_stat_activity
     WHERE (backend_type = 'client backend' OR (backend_type IS NULL AND usesysid IS NOT NULL))
       AND NOT (application_name = 'envctl' AND usename IS NOT DISTINCT FROM current_user)
     GROUP BY 1, 2
"""
"""The administrator who is no superuser is not told the type of other people's sessions, but who they are.

Our own administrators' short sessions come out of the reserve that is kept for them.
"""


def capacity(address: Address) -> Capacity:
    """Its limits as they are in force, and the live sessions by the lease in the record of what they use."""
    with sessions.reused(address) as connection:
        limits = connection.execute(_LIMITS).fetchone()
        assert limits is not None
        connections, reserved, locks = limits
        return Capacity(connections, reserved, locks, _sessions(connection))


def _sessions(connection: Connection) -> Counter[str]:
    """A database that a suite made for itself has no record; its login is the run's, and has one."""
    found: Counter[str] = Counter()
    for database, login, count in connection.execute(_SESSIONS).fetchall():
        found[_lease(database) or _lease(login)] += count
    return found


def _lease(record: str | None) -> str:
    owner = owners.from_text(record)
    return owner.lease if owner else ""
