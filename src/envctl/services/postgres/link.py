"""The administrator's connections, and the locks that keep two of us out of each other's way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from envctl import libpq
from envctl.errors import EnvctlError, LockTimeoutError, UnavailableError
from envctl.model import Address

if TYPE_CHECKING:
    import psycopg
    from psycopg.sql import Composed

    Connection = psycopg.Connection[tuple[Any, ...]]

CONTROL = "postgres"
"""Advisory locks live in one database; all of us take them in this one."""
PATIENCE = 120
"""Seconds to wait for somebody else's lock on the server."""
DEFAULTS: Mapping[str, str] = {"connect_timeout": "10", "gssencmode": "disable"}


@contextmanager
def admin(address: Address, database: str = "") -> Iterator[Connection]:
    """A connection as the administrator, each statement for itself; the server's errors come out as ours."""
    with translating(address), opened(address, database) as connection:
        yield connection


def opened(address: Address, database: str = "") -> Connection:
    """The same connection, for whoever keeps it longer; nobody waits for a lock for ever."""
    connection = _connect(address, database) if database else _control(address)
    connection.execute("SELECT set_config('lock_timeout', %s, false)", (f"{PATIENCE}s",))
    return connection


@contextmanager
def translating(address: Address) -> Iterator[None]:
    """The server's errors come out of the block as ours."""
    import psycopg

    try:
        yield
    except psycopg.errors.LockNotAvailable as error:
        raise LockTimeoutError(
            f"{where(address)} kept a lock for longer than {PATIENCE} s",
            hint="another envctl is at work there: try again",
        ) from error
    except psycopg.Error as error:
        raise translated(address, error) from error


@contextmanager
def locked(connection: Connection, what: str, name: str, *, shared: bool = False) -> Iterator[None]:
    """Hold the server's lock for one name. It ends with the block or with this process, whichever comes first."""
    suffix, key = ("_shared" if shared else ""), f"envctl {what} {name}"
    connection.execute(f"SELECT pg_advisory_lock{suffix}(hashtextextended(%s, 0))", (key,))
    try:
        yield
    finally:
        if not connection.closed:
            connection.execute(f"SELECT pg_advisory_unlock{suffix}(hashtextextended(%s, 0))", (key,))


def lock(what: str, name: str) -> Composed:
    """The statement that takes such a lock, to go with others at once."""
    return _advisory("lock", what, name)


def unlock(what: str, name: str) -> Composed:
    """The statement that gives it back."""
    return _advisory("unlock", what, name)


def _advisory(verb: str, what: str, name: str) -> Composed:
    from psycopg import sql

    statement = sql.SQL(f"SELECT pg_advisory_{verb}(hashtextextended({{}}, 0))")
    return statement.format(sql.Literal(f"envctl {what} {name}"))


def hold_to_commit(connection: Connection, what: str) -> None:
    """Hold a lock for the rest of the transaction."""
    connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"envctl {what}",))


def where(address: Address) -> str:
    """The server as an error names it."""
    return f"postgres at {address.host}:{address.port}"


def translated(address: Address, error: psycopg.Error) -> EnvctlError:
    """A server's refusal in one line. The statement stays out of it: it may hold a verifier."""
    primary = error.diag.message_primary
    if error.sqlstate is None or error.sqlstate[:2] in ("08", "57") or primary is None:
        return UnavailableError(f"{where(address)} did not answer", cause=str(error).strip().splitlines()[-1])
    if error.sqlstate == "42501":
        return EnvctlError(
            f"{where(address)} does not let {address.user!r} do that",
            cause=primary,
            hint="give envctl an administrator: a superuser, or a role with CREATEDB and CREATEROLE",
            code="not_allowed",
        )
    return EnvctlError(f"{where(address)} refused", cause=f"{primary} ({error.sqlstate})")


def _control(address: Address) -> Connection:
    """The control database; a server that keeps its administrator out of it is used through the database of its URL."""
    given = address.options.get("dbname", CONTROL)
    try:
        return _connect(address, CONTROL)
    except UnavailableError:
        if given == CONTROL:
            raise
        return _connect(address, given)


def _connect(address: Address, database: str) -> Connection:
    import psycopg

    options = {
        **DEFAULTS,
        **address.options,
        "dbname": database,
        "client_encoding": "utf8",
        "application_name": "envctl",
    }
    account = {"host": address.host, "port": str(address.port), "user": address.user, "password": address.password}
    try:
        connection: Connection = libpq.connect(**account, **options)
        return connection
    except psycopg.OperationalError as error:
        raise _unreachable(address, str(error)) from error
    except psycopg.ProgrammingError as error:
        raise EnvctlError(
            f"{where(address)}: its URL has an option that libpq does not know", cause=str(error)
        ) from error


def _unreachable(address: Address, cause: str) -> EnvctlError:
    """Not there yet, or there and with another password: the code tells a caller that waiting will not help."""
    if "password authentication failed" in cause:
        return UnavailableError(
            f"{where(address)} does not take envctl's password for {address.user!r}",
            hint="its data was made with another password: give that one, or remove the data and start again",
            code="password",
        )
    return UnavailableError(
        f"{where(address)} did not answer", cause=cause.strip(), hint="is it running? envctl dev status"
    )
