"""Copies that are made ahead. They bear a private name until somebody takes one by giving it his own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from envctl import owners
from envctl.model import Address, Owner
from envctl.services.base import Template
from envctl.services.postgres import clone, create, link, private, records, sessions

if TYPE_CHECKING:
    from envctl.services.postgres.link import Connection

_READY = """
    SELECT d.datname FROM pg_database d
     WHERE starts_with(d.datname::text, %s) AND NOT d.datallowconn AND d.datconnlimit = -1
       AND shobj_description(d.oid, 'pg_database') = %s
       AND d.datdba = (SELECT t.datdba FROM pg_database t WHERE t.datname = %s)
       AND NOT EXISTS (SELECT FROM aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) WHERE grantee <> d.datdba)
     ORDER BY 1
"""
"""The template's owner made them, and let nobody else in: what bears such a name and record may be anybody's."""
_ONE = (
    f"WITH ready AS MATERIALIZED ({_READY}) SELECT datname FROM ready"  # noqa: S608
    " WHERE pg_try_advisory_xact_lock(hashtextextended('envctl pool ' || datname, 0)) LIMIT 1"
)
"""Several who take at the same time get different ones: each leaves out what another has locked."""


def record(template: Template) -> Owner:
    """The record of a ready copy: made of this very template, and not of one that had its name before."""
    notes = {"kind": "pool", "digest": template.digest, "of": template.owner.created}
    return replace(template.owner, lease="", notes=notes)


def take(connection: Connection, template: Template, name: str, login: str, owner: Owner) -> bool:
    """Make a ready copy the login's, under its new name, in one transaction; False if there is none."""
    from psycopg import errors

    while True:
        try:
            with connection.transaction():
                row = connection.execute(_ONE, _asked(template)).fetchone()
                if row is None:
                    return False
                _hand_over(connection, row[0], name, login, owner)
        except errors.InvalidCatalogName:
            continue  # Somebody took it between our look and our lock.
        else:
            return True


def fill(address: Address, template: Template, count: int, *, memory: Path) -> int:
    """Make copies until so many are ready; only one of us does so for one template."""
    with sessions.reused(address) as connection, sessions.unheld(connection, f"pool {template.name}") as alone:
        if not alone or (found := records.database(connection, template.name)) is None:
            return 0
        ready = connection.execute(_READY, _asked(template)).fetchall()
        missing = range(len(ready), count)
        for _ in missing:
            _fill(connection, template, found.login, memory)
        return len(missing)


def _fill(connection: Connection, template: Template, login: str, memory: Path) -> None:
    name = records.legal(private.pool(template.owner.project, template.digest))
    with link.locked(connection, "database", name):
        clone.make(connection, template, name, login, memory)
        with connection.transaction():
            clone.settle(connection, template, name)
            create.say(connection, "REVOKE ALL ON DATABASE {} FROM PUBLIC", name)
            records.write(connection, "DATABASE", name, record(template))
            create.say(connection, "ALTER DATABASE {} CONNECTION LIMIT -1", name)


def _hand_over(connection: Connection, ready: str, name: str, login: str, owner: Owner) -> None:
    from psycopg import sql

    words = {"ready": sql.Identifier(ready), "name": sql.Identifier(name), "login": sql.Identifier(login)}
    statements = (
        "ALTER DATABASE {ready} RENAME TO {name}",
        *(("ALTER DATABASE {name} OWNER TO {login}",) if login else ()),
        "ALTER DATABASE {name} ALLOW_CONNECTIONS true CONNECTION LIMIT -1",
    )
    composed = [sql.SQL(one).format(**words) for one in statements]
    connection.execute(sql.SQL("; ").join([*composed, records.written("DATABASE", name, owner)]))


def _asked(template: Template) -> tuple[str, str, str]:
    prefix = f"{private.prefix(template.owner.project, 'p')}{template.digest[: private.DIGITS]}_"
    return prefix, owners.to_text(record(template)), template.name
