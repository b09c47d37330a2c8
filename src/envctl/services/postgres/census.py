"""All that is on the server, whoever made it: what a run is compared by, before and after."""

from __future__ import annotations

from typing import TYPE_CHECKING

from envctl import owners
from envctl.model import Address, Owner, Seen
from envctl.services.postgres import sessions
from envctl.services.postgres.records import INVALID, UNFINISHED, Database, beginning_with

if TYPE_CHECKING:
    from envctl.services.postgres.link import Connection

OWN = frozenset({"postgres", "template0", "template1"})
"""The databases that every server has from its beginning."""

_MADE = """
    SELECT datname, extract(epoch FROM (pg_stat_file('base/' || oid || '/PG_VERSION', true)).modification)::float8
      FROM pg_database
"""
_ROLES = "SELECT rolname, shobj_description(oid, 'pg_authid') FROM pg_roles WHERE NOT starts_with(rolname, 'pg_')"
_MAY_ASK = "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"
_SESSIONS = """
    SELECT datname, usename, coalesce(state, ''), extract(epoch FROM backend_start)::float8, coalesce(client_port, 0),
           application_name, shobj_description(datid, 'pg_database'), shobj_description(usesysid, 'pg_authid')
      FROM pg_stat_activity
     WHERE usesysid IS NOT NULL AND datname IS NOT NULL AND (backend_type = 'client backend' OR backend_type IS NULL)
       AND NOT (application_name = 'envctl' AND usename IS NOT DISTINCT FROM current_user)
"""


def census(address: Address) -> tuple[Seen, ...]:
    """The databases, roles and sessions of the server."""
    with sessions.reused(address) as connection:
        made = _made(connection)
        databases = [
            _database(one, made.get(one.name)) for one in beginning_with(connection, "") if one.name not in OWN
        ]
        roles = [Seen("role", name, owners.from_text(record)) for name, record in connection.execute(_ROLES).fetchall()]
        return (*databases, *roles, *_sessions(connection))


def _database(found: Database, made: float | None) -> Seen:
    """A login's record explains what is being made for it, and all that is a run's; not what `dev` might have made."""
    keeper = owners.from_text(found.login_comment)
    making = found.limit in (UNFINISHED, INVALID)
    told = owners.from_text(found.comment) or (found.owner if making or (keeper and keeper.lease) else None)
    return Seen(
        "database", found.name, told, login=found.login, keeper=keeper, made=made, inner=making and found.begun_by_admin
    )


def _made(connection: Connection) -> dict[str, float]:
    """When each database was made: no catalogue tells, but its first file does, to a superuser."""
    row = connection.execute(_MAY_ASK).fetchone()
    return dict(connection.execute(_MADE).fetchall()) if row and row[0] else {}


def _sessions(connection: Connection) -> list[Seen]:
    """Those of everybody but our own administrators."""
    found = []
    for name, login, state, since, port, application, database, role in connection.execute(_SESSIONS).fetchall():
        told = f"{state} ({application})" if application else state
        record: Owner | None = owners.from_text(database)
        keeper = owners.from_text(role)
        found.append(Seen("session", name, record, login, keeper, state=told, made=since, port=port))
    return found
