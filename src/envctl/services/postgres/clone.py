"""Copies of a template: a ready one from the pool takes its name in one transaction; else it is made now.

Nobody of us ever enters a copy: that would cost more than the copy does.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from envctl.errors import EnvctlError, UnavailableError
from envctl.model import Access, Address, Claim, Owner, Resource
from envctl.services.base import Template
from envctl.services.ownership import may_take
from envctl.services.postgres import copying, create, drop, pool, records, sessions
from envctl.services.postgres.records import SERVICE, UNFINISHED

if TYPE_CHECKING:
    from envctl.services.postgres.link import Connection

_LOCK = """
    SELECT pg_advisory_{verb}{shared}(hashtextextended('envctl login ' || %s, 0)),
           pg_advisory_{verb}(hashtextextended('envctl database ' || %s, 0))
"""


def clone(address: Address, claim: Claim, template: Template, *, superuser: bool, memory: Path) -> Access:
    """The claim's login, and a copy under the claim's name that is the login's."""
    name, login = records.legal(claim.names["database"]), records.legal(claim.identity)
    with sessions.reused(address) as connection, _reserved(connection, login, name):
        powers = create.powers_of(connection)
        found = _left_over(connection, claim, name)
        role = create.account(connection, claim, powers, superuser=superuser) if powers.roles else None
        database = found or _copy(connection, template, name, login if role else "", claim.owner, memory)
    user = (login, claim.secret) if role else (address.user, address.password)
    values = create.values(address, name, *user)
    return Access((database, role) if role else (database,), values, created=found is None)


def fresh(address: Address, claim: Claim, template: Template, name: str, *, memory: Path) -> Access:
    """One more copy, for a login that is there."""
    from psycopg import errors

    records.legal(name)
    with sessions.reused(address) as connection:
        login = claim.identity if create.powers_of(connection).roles else ""
        try:
            if not pool.take(connection, template, name, login, claim.owner):  # in one step, which needs no locks
                with _reserved(connection, claim.identity, name, "_shared"):
                    _copy(connection, template, name, login, claim.owner, memory)
        except errors.UndefinedObject as error:
            raise EnvctlError(
                f"there is no login {login!r} that could have the database {name!r}",
                hint="ask for the sandbox itself first: the login is made with it",
            ) from error
    user = (login, claim.secret) if login else (address.user, address.password)
    database = Resource(SERVICE, "database", name, claim.owner)
    return Access((database,), create.values(address, name, *user), created=True)


def discard(address: Address, resource: Resource) -> None:
    """Remove a copy and end its sessions; its login stays."""
    with sessions.reused(address) as connection:
        drop.drop_database(connection, resource, "end")


def _left_over(connection: Connection, claim: Claim, name: str) -> Resource | None:
    """What this very run has made already. Anything of a run before it is dropped, unless somebody is connected."""
    found = records.database(connection, name)
    if found is None:
        return None
    owner = found.owner
    if owner is None or not may_take(owner, claim):
        raise create.taken("database", name, owner)
    resource = Resource(SERVICE, "database", name, owner)
    if found.ready and owner.lease and owner.lease == claim.owner.lease:
        return resource
    drop.drop_database(connection, resource, "refuse")
    return None


@contextmanager
def _reserved(connection: Connection, login: str, name: str, shared: str = "") -> Iterator[None]:
    """Hold the locks for a login and a database of it, asked for at once."""
    connection.execute(_LOCK.format(verb="lock", shared=shared), (login, name))
    try:
        yield
    finally:
        if not connection.closed:
            connection.execute(_LOCK.format(verb="unlock", shared=shared), (login, name))


def _copy(connection: Connection, template: Template, name: str, login: str, owner: Owner, memory: Path) -> Resource:
    """The copy with its record, open to its login alone."""
    if not pool.take(connection, template, name, login, owner):
        make(connection, template, name, login, memory)
        with connection.transaction():
            settle(connection, template, name)
            create.publish(connection, name, owner)
    return Resource(SERVICE, "database", name, owner)


def make(connection: Connection, template: Template, name: str, login: str, memory: Path) -> None:
    """A copy that nobody can enter yet; its owner and its connection limit say already whose it is."""
    from psycopg import errors, sql

    owned = sql.SQL("OWNER {}").format(sql.Identifier(login)) if login else sql.SQL("")
    names = sql.Identifier(name), sql.Identifier(template.name), owned

    def create_with(strategy: str) -> None:
        statement = f"CREATE DATABASE {{}} TEMPLATE {{}} {{}} {strategy}"
        closed = f"ALLOW_CONNECTIONS false CONNECTION LIMIT {UNFINISHED}"
        connection.execute(sql.SQL(f"{statement} {closed}").format(*names))

    try:
        copying.fastest(connection, memory, template.bytes, create_with)
    except errors.InvalidCatalogName as error:
        raise gone(template) from error


def settle(connection: Connection, template: Template, name: str) -> None:
    """Give the copy what a migration set for its database: `ALTER DATABASE … SET search_path`, say."""
    from psycopg import sql

    for one in json.loads(template.owner.notes.get("settings", "[]")):
        setting, _, value = one.partition("=")
        connection.execute("SELECT set_config(%s, %s, true)", (setting, value))
        parts = sql.SQL(".").join(sql.Identifier(part) for part in setting.split("."))
        statement = sql.SQL("ALTER DATABASE {} SET {} FROM CURRENT")
        connection.execute(statement.format(sql.Identifier(name), parts))


def gone(template: Template) -> UnavailableError:
    """Somebody removed a template by hand, or with the data of a server."""
    return UnavailableError(
        f"the template {template.name!r} is gone", hint="try again: it is then built anew", code="template_gone"
    )
