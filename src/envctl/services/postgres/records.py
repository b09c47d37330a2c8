"""What the server knows about our databases and roles: owner records are their comments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from envctl import hosts, owners
from envctl.errors import EnvctlError, UsageError
from envctl.model import Address, Owner, Resource
from envctl.services import likeness, ownership
from envctl.services.likeness import Like
from envctl.services.ownership import leased, not_ours, owned_by, same_record
from envctl.services.postgres import link, private, sessions
from envctl.values import dataclass

if TYPE_CHECKING:
    from psycopg.sql import Composed

    from envctl.services.postgres.link import Connection

SERVICE = "postgres"
Kind = Literal["DATABASE", "ROLE"]
UNFINISHED = 1_163_286_339
"""The connection limit of a database that we are making: nobody else's has it, and CREATE DATABASE sets it at once."""
INVALID = -2
"""PostgreSQL's own connection limit for a database whose DROP was interrupted."""
LONGEST = 63

_DATABASES = """
    SELECT d.oid, d.datname, pg_get_userbyid(d.datdba), pg_get_userbyid(d.datdba) = current_user,
           d.datallowconn, d.datistemplate, d.datconnlimit,
           (SELECT description FROM pg_shdescription WHERE objoid = d.oid AND classoid = 'pg_database'::regclass),
           (SELECT description FROM pg_shdescription WHERE objoid = d.datdba AND classoid = 'pg_authid'::regclass)
      FROM pg_database d
"""
_OF_NAME = " WHERE d.datname = {name}::name AND d.datname::text = {name}::text"
"""The index finds it; a name that is too long for the server would be cut by that, and so find another."""
_ROLES = "SELECT oid, rolname, rolsuper, shobj_description(oid, 'pg_authid'), rolcanlogin FROM pg_roles"
_SIZES = """
    SELECT oid, CASE WHEN has_database_privilege(oid, 'CONNECT') THEN pg_database_size(oid) END
      FROM pg_database WHERE oid = ANY(%s)
"""


@dataclass(frozen=True, slots=True)
class Database:
    """A database as the server describes it."""

    oid: int
    name: str
    login: str
    login_is_admin: bool
    opened: bool
    sealed: bool
    limit: int
    comment: str | None
    login_comment: str | None

    @property
    def owner(self) -> Owner | None:
        """Its record. Where none was written yet, that of the login it was made for: they came in one statement.

        A run's login is the run's alone, so what is its is the run's, also where a test has put a comment of its own.
        """
        written, login = owners.from_text(self.comment), owners.from_text(self.login_comment)
        if written or login is None or (self.comment is not None and not login.lease):
            return written
        return private.begun(self.name, login) if self.limit in (UNFINISHED, INVALID) else login

    @property
    def ready(self) -> bool:
        """Whether it was published: its record, its privileges and its opening are one transaction."""
        return self.opened and self.comment is not None and self.limit not in (UNFINISHED, INVALID)

    @property
    def whole(self) -> bool:
        """Whether it is a sealed template: renamed, closed, marked and recorded in one transaction."""
        return self.sealed and not self.opened and self.comment is not None and self.limit not in (UNFINISHED, INVALID)

    @property
    def begun_by_admin(self) -> bool:
        """Whether it is our own half-made database on a server where we may make no logins."""
        return self.comment is None and self.limit == UNFINISHED and self.login_is_admin


@dataclass(frozen=True, slots=True)
class Role:
    """A role as the server describes it."""

    oid: int
    name: str
    superuser: bool
    comment: str | None
    opened: bool

    @property
    def owner(self) -> Owner | None:
        """Its record."""
        return owners.from_text(self.comment)


def database(connection: Connection, name: str) -> Database | None:
    """The database of exactly this name."""
    row = connection.execute(_DATABASES + _OF_NAME.format(name="%(name)s"), {"name": name}).fetchone()
    return Database(*row) if row else None


def asked(name: str) -> Composed:
    """The question for the database of exactly this name, to go with others at once."""
    from psycopg import sql

    return sql.SQL(_DATABASES + _OF_NAME).format(name=sql.Literal(name))


def beginning_with(connection: Connection, prefix: str) -> list[Database]:
    """The databases whose names begin with exactly these characters."""
    rows = connection.execute(f"{_DATABASES} WHERE starts_with(d.datname::text, %s::text)", (prefix,)).fetchall()
    return [Database(*row) for row in rows]


def belonging_to(connection: Connection, oid: int) -> list[Database]:
    """The databases of one login."""
    return [Database(*row) for row in connection.execute(f"{_DATABASES} WHERE d.datdba = %s", (oid,)).fetchall()]


def role(connection: Connection, name: str) -> Role | None:
    """The role of exactly this name."""
    row = connection.execute(f"{_ROLES} WHERE rolname::text = %s::text", (name,)).fetchone()
    return Role(*row) if row else None


def everything(
    address: Address, project: str, lease: str = "", like: Like | None = None, *, sizes: bool = True
) -> list[Resource]:
    """The databases and logins of a project, by name. Unreadable records that name it come without an owner."""

    def ours(kind: likeness.Kind, one: Database | Role) -> bool:
        if _of(project, one.owner, one.comment):
            return True
        named = like is not None and (like(kind, one.name) or private.kind(one.name, project) is not None)
        return named and one.owner is None

    with sessions.reused(address) as connection:
        databases = [Database(*row) for row in _naming(lease, connection.execute(_DATABASES).fetchall())]
        mine = [one for one in databases if ours("database", one) or _begun(project, one)]
        roles = [Role(*row) for row in _naming(lease, connection.execute(_ROLES).fetchall())]
        asked = [one.oid for one in mine] if sizes and not lease else []
        bytes_of = dict(connection.execute(_SIZES, (asked,)).fetchall()) if asked else {}
    found = [Resource(SERVICE, "database", one.name, one.owner, bytes_of.get(one.oid)) for one in mine]
    found += [
        Resource(SERVICE, "role", one.name, one.owner)
        for one in roles
        if ours("login", one) and one.name != group_name(project)
    ]
    return sorted(leased(found, lease), key=lambda one: (one.kind, one.name))


def _naming(lease: str, rows: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Those that name that run at all: to read every record of a server costs more than to ask for them."""
    return [row for row in rows if not lease or any(isinstance(one, str) and lease in one for one in row)]


def note(address: Address, resource: Resource, notes: Mapping[str, str]) -> None:
    """Replace the notes in a record that is still the resource's own."""
    kind: Kind = "ROLE" if resource.kind == "role" else "DATABASE"
    lock = "login" if kind == "ROLE" else "database"
    with link.admin(address) as connection, link.locked(connection, lock, resource.name):
        look = role if kind == "ROLE" else database
        found = look(connection, legal(resource.name))
        if found is None:
            raise EnvctlError(f"the {resource.kind} {resource.name!r} is gone", hint="envctl dev up makes it again")
        owner = mine(resource, found.owner)
        write(connection, kind, resource.name, replace(owner, notes=dict(notes)))


def write(connection: Connection, kind: Kind, name: str, owner: Owner) -> None:
    """Store the record."""
    connection.execute(written(kind, name, owner))


def written(kind: Kind, name: str, owner: Owner) -> Composed:
    """The statement that stores the record."""
    from psycopg import sql

    text = sql.Literal(owners.to_text(owner))
    return sql.SQL("COMMENT ON {} {} IS {}").format(sql.SQL(kind), sql.Identifier(name), text)


def comment(connection: Connection, kind: Kind, name: str, text: str | None, owner: Owner) -> None:
    """Store the comment that stood where the record would, none if it is empty; the record where it is None."""
    from psycopg import sql

    if text is None:
        write(connection, kind, name, owner)
        return
    value = sql.Literal(text) if text else sql.SQL("NULL")
    connection.execute(sql.SQL("COMMENT ON {} {} IS {}").format(sql.SQL(kind), sql.Identifier(name), value))


def vanished(resource: Resource) -> EnvctlError:
    """Somebody else was quicker, and removed it."""
    return ownership.vanished(f"the {resource.kind} {resource.name!r}")


def mine(resource: Resource, found: Owner | None) -> Owner:
    """The record on the server, if it is the one that the resource was seen with. Anything else is left alone."""
    if found is None or not same_record(found, resource.owner):
        statement = f'DROP {resource.kind.upper()} "{resource.name}"'
        hint = f"remove it by hand if you know that it is yours: {statement}"
        raise not_ours(f"the {resource.kind} {resource.name!r}", found, hint=hint)
    return found


def described(owner: Owner) -> str:
    """Whose it is, for an error."""
    place = f" in {owner.workspace}" if owner.workspace else ""
    host = f" on {hosts.told(owner.host, hosts.this_host())}" if hosts.elsewhere(owner.host) else ""
    return f"namespace {owner.namespace} of {owner.project}, {owner.environment}{place}{host}"


def group_name(project: str) -> str:
    """The role that all logins of a project belong to; what a template holds is its property."""
    return legal(f"{project}_owner")


def legal(name: str) -> str:
    """The name as it is: the server would cut a longer one silently, and then mean something else."""
    if not 0 < len(name.encode()) <= LONGEST or "\0" in name:
        raise UsageError(
            f"{name!r} cannot be a name in PostgreSQL", cause=f"at most {LONGEST} bytes", hint="shorten it"
        )
    return name


def _of(project: str, owner: Owner | None, comment: str | None) -> bool:
    return owned_by(owner, project) or (owner is None and owners.mentions(comment, project))


def _begun(project: str, found: Database) -> bool:
    named = found.name == project or found.name.startswith(f"{project}_")
    return named and found.owner is None and found.comment is None and found.limit == UNFINISHED
