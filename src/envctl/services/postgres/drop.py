"""Removing databases and logins: only from their own record, and never from under somebody."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from envctl.errors import EnvctlError, UnavailableError
from envctl.model import Address, Owner, Resource
from envctl.services import quarantine
from envctl.services.ownership import not_ours, owned_by, same_claimant
from envctl.services.postgres import link, private, records
from envctl.services.postgres import sessions as held

if TYPE_CHECKING:
    from envctl.services.postgres.link import Connection
    from envctl.services.postgres.records import Database

Sessions = Literal["refuse", "end"]
PATIENCE = 10.0
"""Seconds that sessions have to end once they were told to."""
INSTANT = 0.5
"""Seconds in which a session is gone whose program has ended it."""

_SESSIONS = """
    SELECT coalesce(nullif(application_name, ''), 'unnamed'), count(*) FROM pg_stat_activity
     WHERE datname::text = %s::text AND backend_type = 'client backend' GROUP BY 1 ORDER BY 1
"""
_ANYBODY = """
    SELECT 1 FROM pg_stat_get_activity(NULL) WHERE datid = (SELECT oid FROM pg_database WHERE datname = {name}) LIMIT 1
"""
"""A first look, at a fifth of what the view costs; it counts the server's own processes too."""
_TERMINATE = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE datname::text = %s::text AND backend_type = 'client backend'
"""
_AS_LOGIN = "SELECT 1 FROM pg_stat_activity WHERE usename::text = %s::text LIMIT 1"
_OTHERS = """
    SELECT 1 FROM pg_auth_members JOIN pg_roles m ON m.oid = member WHERE roleid = %s AND m.rolname <> current_user
"""


def drop(address: Address, resource: Resource, *, sessions: Sessions) -> None:
    """Remove a database, and its login with the last one of them; or a login that has no database."""
    with held.reused(address) as connection:
        if resource.kind == "role":
            drop_login(connection, resource)
        elif login := drop_database(connection, resource, sessions):
            drop_login_of(connection, resource, login)


def drop_login(connection: Connection, resource: Resource) -> None:
    """Remove a login that has no database."""
    if records.role(connection, records.legal(resource.name)) is not None:
        _drop_login(connection, resource, resource.name, last=False)


def drop_login_of(connection: Connection, resource: Resource, login: str) -> None:
    """Remove the login that a database belonged to, if that was its last; templates belong to the group."""
    project = resource.owner.project if resource.owner else ""
    if login == records.group_name(project):
        with connection.transaction():
            link.hold_to_commit(connection, "logins")
            drop_empty_group(connection, login, project)
    else:
        _drop_login(connection, resource, login, last=True)


def drop_database(connection: Connection, resource: Resource, sessions: Sessions) -> str:
    """Remove it and return the login it belonged to; an empty name where it was gone already."""
    from psycopg import errors, sql

    with _looked_at(connection, records.legal(resource.name)) as (found, somebody):
        if found is None:
            return ""
        owner = records.mine(resource, found.owner)
        _refuse_taken_out(found, owner)
        if sessions == "end":
            end_sessions(connection, resource.name)
        elif somebody and (busy := _staying(connection, resource.name)):
            raise _in_use(resource.name, busy)
        try:
            with _unsealed(connection, found, owner):
                connection.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(resource.name)))
        except errors.InvalidCatalogName:
            return ""  # It was a copy made ahead, and somebody has just taken it.
        except errors.ObjectInUse as error:
            busy = _sessions(connection, resource.name) or error.diag.message_detail or str(error)
            raise _in_use(resource.name, busy) from error
        return found.login


def _refuse_taken_out(found: Database, owner: Owner) -> None:
    """What somebody has renamed or opened by hand is in quarantine by its record alone."""
    if quarantine.inside(owner) and (found.opened or private.kind(found.name, owner.project) != "quarantine"):
        raise EnvctlError(
            f"the database {found.name!r} was not dropped",
            cause="its record says that it is in quarantine, but somebody took it out of there by hand",
            hint=f"drop it by hand if it is no longer needed, or give it back its record: envctl restore {found.name}",
            code="taken_out",
        )


@contextmanager
def _looked_at(connection: Connection, name: str) -> Iterator[tuple[Database | None, bool]]:
    """The database under its lock, and whether anybody is in it: asked at once, each with a look of its own."""
    from psycopg import sql

    anybody = sql.SQL(_ANYBODY).format(name=sql.Literal(name))
    try:
        answer = connection.execute(sql.SQL("; ").join([link.lock("database", name), records.asked(name), anybody]))
        answer.nextset()
        row = answer.fetchone()
        answer.nextset()
        yield (records.Database(*row) if row else None), answer.fetchone() is not None
    finally:
        if not connection.closed:
            connection.execute(link.unlock("database", name))


@contextmanager
def _unsealed(connection: Connection, found: Database, owner: Owner) -> Iterator[None]:
    """The one place where a template loses its seal: ours by its name and by its record, and nobody works with it."""
    from psycopg import sql

    if not found.sealed:
        yield
        return
    if private.kind(found.name, owner.project) is None or owner.notes.get("kind") not in private.SEALED:
        raise not_ours(f"the template {found.name!r}", owner, hint="it is sealed, and its record does not say by whom")
    with held.unheld(connection, found.name) as free:
        if not free and not owner.lease:
            raise _in_use(found.name, "a run makes its databases from it")
        connection.execute(sql.SQL("ALTER DATABASE {} IS_TEMPLATE false").format(sql.Identifier(found.name)))
        yield


def _sessions(connection: Connection, name: str) -> str:
    """Who is connected, in words; empty for nobody."""
    rows = connection.execute(_SESSIONS, (name,)).fetchall()
    total = sum(count for _, count in rows)
    names = ", ".join(f"{application} ({count})" if count > 1 else application for application, count in rows)
    return f"{total} session{'s' * (total > 1)}: {names}" if rows else ""


def _staying(connection: Connection, name: str) -> str:
    """Who is connected and stays: a session that its program has just ended is there for an instant more."""
    deadline = time.monotonic() + INSTANT
    while (busy := _sessions(connection, name)) and time.monotonic() < deadline:
        time.sleep(0.005)
    return busy


def refuse_sessions(connection: Connection, name: str, login: str) -> None:
    """Refuse while somebody is in that database, or in any as that login."""
    if busy := _staying(connection, name) if name else "":
        raise _in_use(name, busy)
    if login and connection.execute(_AS_LOGIN, (login,)).fetchone():
        raise _in_use(name or login, f"somebody is logged in as {login}")


@contextmanager
def busy_is_refused(connection: Connection, name: str) -> Iterator[None]:
    """The server's own refusal, for whoever came after our look."""
    from psycopg import errors

    try:
        yield
    except errors.ObjectInUse as error:
        raise _in_use(name, error.diag.message_detail or str(error)) from error


def end_sessions(connection: Connection, name: str) -> None:
    """Let nobody in any more and end who is there; a crash after this is repaired by the next create."""
    from psycopg import sql

    connection.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(sql.Identifier(name)))
    deadline = time.monotonic() + PATIENCE
    connection.execute(_TERMINATE, (name,))
    while busy := _sessions(connection, name):
        if time.monotonic() > deadline:
            raise _in_use(name, busy)
        time.sleep(0.001)


def _drop_login(connection: Connection, resource: Resource, login: str, *, last: bool) -> None:
    """Remove a login nobody needs any more. With the `last` database it goes quietly, or quietly stays."""
    from psycopg import errors

    with link.locked(connection, "login", login):
        try:
            with connection.transaction():
                link.hold_to_commit(connection, "logins")
                _drop_role(connection, resource, login, last=last)
        except errors.DependentObjectsStillExist as error:
            if not last:
                raise needed(login, error.diag.message_detail or str(error)) from error


def _drop_role(connection: Connection, resource: Resource, login: str, *, last: bool) -> None:
    """The login and, with the project's last one, the group."""
    from psycopg import sql

    found = records.role(connection, records.legal(login))
    if found is None or (last and not (resource.owner and same_claimant(found.owner, resource.owner))):
        return
    owner = found.owner if last and found.owner else records.mine(resource, found.owner)
    rows = connection.execute("SELECT datname FROM pg_database WHERE datdba = %s ORDER BY 1", (found.oid,)).fetchall()
    if rows and last:
        return
    if rows:
        raise needed(login, "databases: " + ", ".join(row[0] for row in rows))
    connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(login)))
    drop_empty_group(connection, records.group_name(owner.project), owner.project)


def drop_empty_group(connection: Connection, name: str, project: str) -> None:
    """The project's group, when nobody but its maker is in it and nothing belongs to it."""
    from psycopg import errors, sql

    found = records.role(connection, name)
    if found is None or not owned_by(found.owner, project):
        return
    if connection.execute(_OTHERS, (found.oid,)).fetchone() is None:
        try:
            with connection.transaction():
                connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))
        except errors.DependentObjectsStillExist:
            return  # a template still belongs to it


def _in_use(name: str, busy: str) -> EnvctlError:
    return UnavailableError(
        f"the database {name!r} is in use and was left alone",
        cause=busy,
        hint="end these programs and try again",
        code="in_use",
    )


def needed(login: str, what: str) -> EnvctlError:
    return EnvctlError(
        f"the role {login!r} still owns something and was not dropped",
        cause=what,
        hint="drop these first",
        code="in_use",
    )
