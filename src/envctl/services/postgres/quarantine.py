"""Databases under quarantine: renamed, closed and recorded in one transaction, their login locked with the last one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from envctl.errors import EnvctlError
from envctl.model import Address, Owner, Resource
from envctl.services import quarantine
from envctl.services.ownership import same_but_notes, same_claimant
from envctl.services.postgres import create, drop, link, private, records
from envctl.services.postgres import sessions as held
from envctl.services.postgres.records import INVALID, UNFINISHED

if TYPE_CHECKING:
    from envctl.services.postgres.link import Connection
    from envctl.services.postgres.records import Database, Role

HALF = "half_made"
"""The code of the error for what has nothing in it yet, or not any more: it can go at once."""
CLOSED, COMMENT = "closed", "comment"
"""Notes: nobody could enter it before either; the comment that it had instead of a record."""


def put(address: Address, resource: Resource, notes: Mapping[str, str]) -> Resource:
    """Put a database (with its login, if that has no other) or a login under quarantine."""
    with held.reused(address) as connection:
        if resource.kind == "role":
            return _lock_login(connection, resource, notes)
        found = records.database(connection, records.legal(resource.name))
        if found is None or quarantine.inside(found.owner):
            return _there(connection, resource)
        with _alone(connection, found.login, resource.name):
            return _put(connection, resource, found.login, notes)


def give_back(address: Address, resource: Resource) -> Resource:
    """Give a database its name, its record and its login again."""
    with held.reused(address) as connection:
        if resource.kind == "role":
            return _unlock_login(connection, resource)
        found = _aside(connection, resource)
        if found is None:
            return _given_back(connection, resource)
        name = quarantine.was(_owner(found))
        with _alone(connection, found.login, name, found.name):
            return _give_back(connection, replace(resource, name=found.name, owner=found.owner), name)


@contextmanager
def _alone(connection: Connection, login: str, *names: str) -> Iterator[None]:
    """Hold what `create` holds for the login and its database, in the same order."""
    with ExitStack() as locks:
        locks.enter_context(link.locked(connection, "login", login))
        for name in names:
            locks.enter_context(link.locked(connection, "database", records.legal(name)))
        yield


def _put(connection: Connection, resource: Resource, login: str, notes: Mapping[str, str]) -> Resource:
    found = records.database(connection, resource.name)
    if found is None:
        return _there(connection, resource)
    owner = records.mine(resource, found.owner)
    _worth_it(found, owner, login)
    role = records.role(connection, login)
    alone = role if role and same_claimant(role.owner, owner) and _only(connection, role, found) else None
    drop.refuse_sessions(connection, found.name, alone.name if alone else "")
    aside = records.legal(private.aside(owner.project, f"{found.oid} {found.name} {owner.created}"))
    record = quarantine.entered(owner, found.name, {**notes, **_peculiar(found)})
    with drop.busy_is_refused(connection, found.name), connection.transaction():
        create.rename(connection, found.name, aside)
        create.say(connection, "ALTER DATABASE {} ALLOW_CONNECTIONS false", aside)
        records.write(connection, "DATABASE", aside, record)
        if alone is not None and not quarantine.inside(alone.owner):
            _shut(connection, alone, notes)
    return replace(resource, name=aside, owner=record)


def _worth_it(found: Database, owner: Owner, login: str) -> None:
    """Only what is whole and a namespace's own: what can be made again is dropped."""
    why, code = "", "no_quarantine"
    if private.kind(found.name, owner.project) or found.sealed:
        why = "it is envctl's own: what lacks it makes it again"
    elif found.limit in (UNFINISHED, INVALID):
        why, code = "it is half made or half dropped", HALF
    elif found.login != login:
        why = "it has just changed hands"
    if why:
        raise EnvctlError(f"the database {found.name!r} was not put into quarantine", cause=why, code=code)


def _only(connection: Connection, role: Role, database: Database) -> bool:
    """Whether the login has no other database that it could still be used for."""
    others = records.belonging_to(connection, role.oid)
    return all(one.oid == database.oid or quarantine.inside(one.owner) for one in others)


def _peculiar(found: Database) -> dict[str, str]:
    """What of a database is not as envctl makes it, and has to be so again."""
    from envctl import owners

    bare = found.comment is not None and owners.from_text(found.comment) is None
    noted = {COMMENT: found.comment} if bare and found.comment else {}
    return {**noted, **({} if found.opened else {CLOSED: "yes"}), **({} if found.comment else {COMMENT: ""})}


def _there(connection: Connection, resource: Resource) -> Resource:
    """What is under quarantine already, and came from this very resource."""
    found = _aside(connection, resource)
    if found is None:
        raise records.vanished(resource)
    return replace(resource, name=found.name, owner=found.owner)


def _aside(connection: Connection, resource: Resource) -> Database | None:
    """The database under quarantine that is meant, by its name there or by the one that it had."""
    seen = resource.owner
    if seen is None:
        return None
    if quarantine.inside(seen):
        found = records.database(connection, resource.name)
        return found if found and quarantine.inside(found.owner) and records.mine(resource, found.owner) else None
    known = records.beginning_with(connection, private.prefix(seen.project, "q"))
    meant = [one for one in known if _came_from(one, resource.name, seen)]
    return max(meant, key=lambda one: one.oid, default=None)


def _came_from(found: Database, name: str, seen: Owner) -> bool:
    owner = found.owner
    return (
        owner is not None and quarantine.inside(owner) and quarantine.was(owner) == name and same_but_notes(owner, seen)
    )


def _give_back(connection: Connection, resource: Resource, name: str) -> Resource:
    found = records.database(connection, resource.name)
    if found is None or not quarantine.inside(found.owner):
        return _given_back(connection, replace(resource, name=name))
    owner = records.mine(resource, found.owner)
    if (other := records.database(connection, name)) is not None:
        raise _name_taken(resource, other)
    role = records.role(connection, found.login)
    record = quarantine.left(owner)
    with connection.transaction():
        create.rename(connection, resource.name, name)
        if CLOSED not in owner.notes:
            create.say(connection, "ALTER DATABASE {} ALLOW_CONNECTIONS true", name)
        records.comment(connection, "DATABASE", name, owner.notes.get(COMMENT), record)
        if role is not None and quarantine.inside(role.owner) and same_claimant(role.owner, owner):
            _open(connection, role)
    return replace(resource, name=name, owner=record)


def _given_back(connection: Connection, resource: Resource) -> Resource:
    """What was never under quarantine, or is not any more."""
    seen = resource.owner
    name = quarantine.was(seen) if seen and quarantine.inside(seen) else resource.name
    found = records.database(connection, name)
    if seen is None or found is None:
        raise records.vanished(resource)
    plain = replace(resource, name=name, owner=quarantine.left(seen))
    return replace(plain, owner=records.mine(plain, found.owner))


def _lock_login(connection: Connection, resource: Resource, notes: Mapping[str, str]) -> Resource:
    with link.locked(connection, "login", records.legal(resource.name)):
        role = records.role(connection, resource.name)
        if role is None:
            raise records.vanished(resource)
        if quarantine.inside(role.owner) and resource.owner and same_claimant(role.owner, resource.owner):
            return replace(resource, owner=role.owner)
        records.mine(resource, role.owner)
        open_ones = [one.name for one in records.belonging_to(connection, role.oid) if not quarantine.inside(one.owner)]
        if open_ones:
            raise drop.needed(role.name, "databases: " + ", ".join(sorted(open_ones)))
        drop.refuse_sessions(connection, "", role.name)
        with connection.transaction():
            return replace(resource, owner=_shut(connection, role, notes))


def _unlock_login(connection: Connection, resource: Resource) -> Resource:
    with link.locked(connection, "login", records.legal(resource.name)):
        role = records.role(connection, resource.name)
        if role is None:
            raise records.vanished(resource)
        if not quarantine.inside(role.owner):
            plain = replace(resource, owner=quarantine.left(resource.owner) if resource.owner else None)
            return replace(plain, owner=records.mine(plain, role.owner))
        if resource.owner is None or not same_but_notes(_owner(role), resource.owner):
            records.mine(resource, role.owner)
        with connection.transaction():
            return replace(resource, owner=_open(connection, role))


def _shut(connection: Connection, role: Role, notes: Mapping[str, str]) -> Owner:
    """Nobody logs in as it from now on; its password stays."""
    record = quarantine.entered(_owner(role), role.name, {**notes, **({} if role.opened else {CLOSED: "yes"})})
    create.say(connection, "ALTER ROLE {} NOLOGIN", role.name)
    records.write(connection, "ROLE", role.name, record)
    return record


def _open(connection: Connection, role: Role) -> Owner:
    record = quarantine.left(_owner(role))
    if CLOSED not in _owner(role).notes:
        create.say(connection, "ALTER ROLE {} LOGIN", role.name)
    records.write(connection, "ROLE", role.name, record)
    return record


def _owner(found: Database | Role) -> Owner:
    assert found.owner is not None, "whoever calls has read that it is in quarantine, or ours"
    return found.owner


def _name_taken(resource: Resource, other: Database) -> EnvctlError:
    by = f"by {records.described(other.owner)}" if other.owner else "by a database that envctl did not make"
    return EnvctlError(
        f"the database {other.name!r} was not restored",
        cause=f"its name is taken {by}; it is safe as {resource.name!r}",
        hint=f'remove that one, or rename it (ALTER DATABASE "{other.name}" RENAME TO …), and restore again',
        code="taken",
    )
