"""Dropping many databases: nearly as fast as the server does, each from evidence that is read right before its end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from envctl.errors import EnvctlError
from envctl.model import Address, Resource
from envctl.services.base import Outcome
from envctl.services.ownership import same_claimant
from envctl.services.postgres import drop, link, records
from envctl.services.postgres import sessions as held

if TYPE_CHECKING:
    from envctl.services.postgres.link import Connection

TOGETHER = 50
"""So many logins go at once."""

_EVIDENCE = """
    SELECT r.rolname, shobj_description(r.oid, 'pg_authid') FROM pg_roles r
     WHERE r.rolname::text = ANY(%s) AND NOT EXISTS (SELECT 1 FROM pg_database d WHERE d.datdba = r.oid) ORDER BY 1
"""


def drop_all(address: Address, resources: Iterable[Resource]) -> Iterator[Outcome]:
    """One session for all. Logins that lost their last database go after it, many at a time."""
    with held.reused(address) as connection:
        bereft: dict[str, Resource] = {}
        try:
            for resource in resources:
                if resource.kind == "role" or len(bereft) >= TOGETHER:
                    _drop_logins(address, connection, bereft)
                yield resource, _dropped(address, connection, resource, bereft)
        finally:
            _drop_logins(address, connection, bereft)


def _dropped(
    address: Address, connection: Connection, resource: Resource, bereft: dict[str, Resource]
) -> EnvctlError | None:
    """Why it was not dropped. Its login is noted, to go later."""
    try:
        with link.translating(address):
            if resource.kind == "role":
                drop.drop_login(connection, resource)
            elif login := drop.drop_database(connection, resource, "refuse"):
                bereft[login] = resource
    except EnvctlError as error:
        return error
    return None


def _drop_logins(address: Address, connection: Connection, bereft: dict[str, Resource]) -> None:
    """Those that are still ours and own nothing. What cannot go so, goes by itself, or stays and is listed."""
    from psycopg import Error

    gone, some = dict(bereft), sorted(bereft)
    bereft.clear()
    with suppress(Error):
        if some and not connection.closed and _together(connection, gone, some):
            return
    for login, resource in gone.items():
        with suppress(EnvctlError), link.translating(address):
            drop.drop_login_of(connection, resource, login)


def _together(connection: Connection, bereft: dict[str, Resource], some: list[str]) -> bool:
    """All in one step, under all their locks; False where one of them has to be looked at by itself."""
    from psycopg import errors, sql

    from envctl import owners

    projects = {one.owner.project for one in bereft.values() if one.owner}
    if len(projects) != 1 or records.group_name(*projects) in bereft:
        return False
    locks = [link.lock("login", one) for one in some]
    try:
        connection.execute(sql.SQL("; ").join(locks))
        with connection.transaction():
            link.hold_to_commit(connection, "logins")
            found = connection.execute(_EVIDENCE, (some,)).fetchall()
            going = [
                sql.Identifier(name)
                for name, comment in found
                if (seen := bereft[name].owner) and same_claimant(owners.from_text(comment), seen)
            ]
            if going:
                connection.execute(sql.SQL("DROP ROLE {}").format(sql.SQL(", ").join(going)))
            drop.drop_empty_group(connection, records.group_name(*projects), *projects)
    except errors.DependentObjectsStillExist:
        return False
    finally:
        if not connection.closed:
            connection.execute(sql.SQL("; ").join(link.unlock("login", one) for one in some))
    return True
