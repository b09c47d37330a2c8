"""Making a namespace's login and database, in an order that any crash leaves explained and repairable."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from envctl.errors import EnvctlError
from envctl.model import EVERYBODY, Access, Address, Claim, Owner, Resource
from envctl.services import quarantine
from envctl.services.ownership import may_take, of_this_run, owned_by
from envctl.services.postgres import link, records
from envctl.services.postgres.records import INVALID, SERVICE, UNFINISHED, Database
from envctl.values import dataclass

if TYPE_CHECKING:
    from envctl.services.postgres.link import Connection
    from envctl.services.postgres.records import Role

NOT_EXPORTED = frozenset({"dbname", "application_name", "connect_timeout", "client_encoding"})

_STORE = "UPDATE pg_catalog.pg_authid SET rolpassword = %s WHERE rolname::text = %s::text"


@dataclass(frozen=True, slots=True)
class Powers:
    """What the administrator may do."""

    user: str
    superuser: bool
    roles: bool
    databases: bool


def create(address: Address, claim: Claim, *, extensions: Collection[str], superuser: bool) -> Access:
    """The login, then its database, then what is in it. Each step is found done, or is done again."""
    name, login = records.legal(claim.names["database"]), records.legal(claim.identity)
    with link.admin(address) as connection:
        powers = powers_of(connection)
        with link.locked(connection, "login", login):
            role = account(connection, claim, powers, superuser=superuser) if powers.roles else None
            with link.locked(connection, "database", name):
                database, made = _database(connection, claim, login if role else powers.user, powers)
                if extensions or connection.info.server_version < 150000:
                    _furnish(address, name, extensions, login if role else "")
    user = (login, claim.secret) if role else (address.user, address.password)
    return Access((database, role) if role else (database,), values(address, name, *user), created=made)


def values(address: Address, database: str, user: str, password: str) -> dict[str, str]:
    """What variables may refer to."""
    host = f"[{address.host}]" if ":" in address.host else quote(address.host, safe="")
    asked = {key: value for key, value in address.options.items() if key not in NOT_EXPORTED}
    query = f"?{urlencode(asked, quote_via=quote)}" if asked else ""
    account = f"{quote(user, safe='')}:{quote(password, safe='')}"
    return {
        "url": f"postgresql://{account}@{host}:{address.port}/{quote(database, safe='')}{query}",
        "host": address.host,
        "port": str(address.port),
        "database": database,
        "user": user,
        "password": password,
    }


def powers_of(connection: Connection) -> Powers:
    row = connection.execute(
        "SELECT rolname, rolsuper, rolsuper OR rolcreaterole, rolsuper OR rolcreatedb"
        " FROM pg_roles WHERE rolname = current_user"
    ).fetchone()
    assert row is not None
    return Powers(*row)


def account(connection: Connection, claim: Claim, powers: Powers, *, superuser: bool) -> Resource:
    """The login with its record and its group, in one transaction, under the caller's lock for that login.

    They are put into the group one at a time per server; the slow part, the password, is before that.
    """
    if superuser and not powers.superuser:
        raise EnvctlError(
            f"superuser = true needs an administrator who is one, and {powers.user!r} is not",
            hint="give envctl a superuser of this server, or leave `superuser` out",
            code="not_allowed",
        )
    with connection.transaction():
        found = records.role(connection, claim.identity)
        if found and not may_take(found.owner, claim):
            raise taken("role", claim.identity, found.owner)
        kept = found.owner if found and found.owner and found.owner.lease == claim.owner.lease else None
        _login(connection, claim, found, powers, superuser=superuser)
        if kept is not None and quarantine.inside(kept):  # The namespace is back; its old data stay where they are.
            kept = quarantine.left(kept)
            records.write(connection, "ROLE", claim.identity, kept)
        if kept is None:
            records.write(connection, "ROLE", claim.identity, claim.owner)
            link.hold_to_commit(connection, "logins")
            _join(connection, claim, powers)
    return Resource(SERVICE, "role", claim.identity, kept or claim.owner)


def _login(connection: Connection, claim: Claim, found: Role | None, powers: Powers, *, superuser: bool) -> None:
    """Make or correct the login. Its password is hashed here: the server and its log never see it."""
    from psycopg import sql

    if not claim.written and connection.info.server_version >= 160000:
        # Rounds make a password costly to guess. Random bits cannot be guessed, and every session pays for rounds.
        connection.execute("SET LOCAL scram_iterations = 1")
    secret = connection.pgconn.encrypt_password(claim.secret.encode(), claim.identity.encode(), b"scram-sha-256")
    differs = superuser != (found.superuser if found else False)
    words = ["LOGIN CREATEDB", *(["SUPERUSER" if superuser else "NOSUPERUSER"] if differs else [])]
    password = sql.SQL("") if powers.superuser else sql.SQL("PASSWORD {}").format(sql.Literal(secret.decode()))
    statement = sql.SQL(f"{'ALTER' if found else 'CREATE'} ROLE {{}} {' '.join(words)} {{}}")
    connection.execute(statement.format(sql.Identifier(claim.identity), password))
    if powers.superuser:
        # PASSWORD would first try the empty password against it, which takes longer than all the rest of a clone.
        connection.execute(_STORE, (secret.decode(), claim.identity))


def _join(connection: Connection, claim: Claim, powers: Powers) -> None:
    """Put the login into the project's group; a lesser administrator joins the login, to make databases for it."""
    from psycopg import sql

    name = records.group_name(claim.owner.project)
    found = records.role(connection, name)
    if found is None:
        connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(name)))
        everybody = replace(claim.owner, namespace=EVERYBODY, worker="", lease="", notes={})
        records.write(connection, "ROLE", name, everybody)
    elif not owned_by(found.owner, claim.owner.project):
        raise taken("role", name, found.owner)
    grant = sql.SQL("GRANT {} TO {}")
    connection.execute(grant.format(sql.Identifier(name), sql.Identifier(claim.identity)))
    if not powers.superuser:
        for one in (claim.identity, name):
            connection.execute(grant.format(sql.Identifier(one), sql.SQL("CURRENT_USER")))


def _database(connection: Connection, claim: Claim, login: str, powers: Powers) -> tuple[Resource, bool]:
    """The database, and whether it was made now. Closed while it is made; opened together with its record."""
    name = claim.names["database"]
    found = records.database(connection, name)
    if found and not found.begun_by_admin:
        if not may_take(found.owner, claim):
            raise taken("database", name, found.owner)
        if found.login != login and not found.login_is_admin:
            raise _laid_here(found, login)
    if found and found.limit == INVALID:
        say(connection, "DROP DATABASE {}", name)
        found = None
    if found is None:
        _make(connection, name, login, powers)
    before = found.owner if found and found.comment is not None and found.owner else claim.owner
    owner = of_this_run(before, claim.owner)
    if found is None or not found.ready or owner != before:
        publish(connection, name, owner)
    return Resource(SERVICE, "database", name, owner), found is None or found.limit == UNFINISHED


def _laid_here(found: Database, login: str) -> EnvctlError:
    """Somebody else's, whatever its record says: whoever has a database can write that."""
    return EnvctlError(
        f"the database {found.name!r} is not the login {login!r}'s, but {found.login!r}'s",
        cause="its record names this namespace, but whoever has a database can write its record",
        hint=f'if it is yours, as an administrator: ALTER DATABASE "{found.name}" OWNER TO "{login}"',
        code="taken",
    )


def _make(connection: Connection, name: str, login: str, powers: Powers) -> None:
    """An empty database that nobody can enter, whose owner and connection limit say already whose it is."""
    from psycopg import sql

    if not powers.databases:
        raise EnvctlError(
            f"{powers.user!r} may not create databases, so there is no {name!r}",
            hint=f'as an administrator: ALTER ROLE "{powers.user}" CREATEDB',
            code="not_allowed",
        )
    row = connection.execute("SELECT current_setting('fsync')").fetchone()
    unsafe = row == ("off",) and connection.info.server_version >= 150000
    strategy = "STRATEGY file_copy" if unsafe else ""  # its checkpoints cost nothing without fsync, and it is faster
    statement = sql.SQL(
        f"CREATE DATABASE {{}} OWNER {{}} {strategy} ALLOW_CONNECTIONS false CONNECTION LIMIT {UNFINISHED}"
    )
    connection.execute(statement.format(sql.Identifier(name), sql.Identifier(login)))


def publish(connection: Connection, name: str, owner: Owner) -> None:
    """Close it to everybody else, write its record and open it: all or nothing."""
    with connection.transaction():
        say(connection, "REVOKE ALL ON DATABASE {} FROM PUBLIC", name)
        records.write(connection, "DATABASE", name, owner)
        say(connection, "ALTER DATABASE {} ALLOW_CONNECTIONS true CONNECTION LIMIT -1", name)


def _furnish(address: Address, name: str, extensions: Collection[str], login: str) -> None:
    """Extensions; and before 15, where `public` was not the owner's by itself, that too.

    We enter only where one of them is to do: the server counts sessions, and ours would pass for the application's.
    """
    with link.admin(address, name) as connection:
        if login and connection.info.server_version < 150000:
            say(connection, "ALTER SCHEMA public OWNER TO {}", login)
        there = {row[0] for row in connection.execute("SELECT extname FROM pg_extension").fetchall()}
        for extension in extensions:
            if extension not in there:
                _extension(connection, extension, login)


def _extension(connection: Connection, extension: str, login: str) -> None:
    """Made by the login where the server trusts it with that, so that it may drop it too; else by the administrator."""
    row = connection.execute(
        "SELECT v.trusted FROM pg_available_extensions e JOIN pg_available_extension_versions v"
        " ON v.name = e.name AND v.version = e.default_version WHERE e.name::text = %s::text",
        (extension,),
    ).fetchone()
    if row is None:
        raise EnvctlError(
            f"this PostgreSQL server has no extension {extension!r}",
            hint="install it on the server, or take an image that has it",
            code="missing_extension",
        )
    with connection.transaction():
        if login and row[0]:
            say(connection, "SET LOCAL ROLE {}", login)
        say(connection, "CREATE EXTENSION IF NOT EXISTS {} CASCADE", extension)


def say(connection: Connection, statement: str, name: str) -> None:
    """One statement about one name."""
    from psycopg import sql

    connection.execute(sql.SQL(statement).format(sql.Identifier(name)))


def rename(connection: Connection, name: str, to: str) -> None:
    """Give a database another name; the server refuses while anybody is in it."""
    from psycopg import sql

    statement = sql.SQL("ALTER DATABASE {} RENAME TO {}")
    connection.execute(statement.format(sql.Identifier(name), sql.Identifier(to)))


def taken(kind: str, name: str, owner: Owner | None) -> EnvctlError:
    """Somebody else's thing has the name that we need. It is never taken over."""
    if owner is None:
        return EnvctlError(
            f"there is already a {kind} {name!r}, and it was not made by envctl",
            cause="it has no owner record, so envctl neither uses nor removes it",
            hint=f'rename it (ALTER {kind.upper()} "{name}" RENAME TO …), or change the name patterns in envctl.toml; '
            "a `default_branch` there that nobody works on gives every checkout a name of its own",
            code="taken",
        )
    return EnvctlError(
        f"the {kind} {name!r} belongs to {records.described(owner)}",
        hint="work under another namespace (--namespace), or remove the other one first",
        code="taken",
    )
