"""PostgreSQL: a database per claim, owned by a login of its own that nobody else's can enter."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal
from urllib.parse import SplitResult

from envctl.errors import ConfigError, UsageError
from envctl.migrations import Migrate, Migration, Step
from envctl.model import Access, Address, Capacity, Claim, Command, Resource, Seen
from envctl.server_set import Container, Observed, Place, Program
from envctl.services.base import Outcome, Templates
from envctl.services.likeness import Like
from envctl.settings import setting
from envctl.values import dataclass

PORT = 5432
OURS = frozenset({"listen_addresses", "port", "unix_socket_directories", "data_directory", "hba_file", "config_file"})
"""Server settings that envctl needs for itself: the server stays on loopback and asks for passwords."""
_NO_PORT = "its port is not a number (is a / or @ in the password written as %2F or %40?)"
_PARAMETER = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*(\.[A-Za-z_][A-Za-z0-9_$]*)?")


@dataclass(frozen=True)
class Settings:
    """`[services.postgres]`."""

    extensions: tuple[str, ...] = setting(
        "Extensions that every database has.", default=(), example='["vector", "pg_trgm"]'
    )
    migrate: Migrate = setting(
        "What brings a database to this checkout's schema: a command, SQL files, or a list of both.",
        default=Migrate(),
        example='"alembic upgrade head"',
    )
    sql: tuple[str, ...] = setting(
        "SQL files that envctl runs before `migrate`, sorted: each once, and again when it has changed.",
        default=(),
        example='["db/*.sql"]',
    )
    watch: tuple[str, ...] = setting(
        "The files that `migrate` reads: it runs again when one of them has changed.",
        default=(),
        example='["migrations/**", "alembic.ini"]',
    )
    superuser: bool = setting("Whether the login is a superuser. It can then enter every database.", default=False)
    password: str = setting(
        "A fixed password for the login of every namespace, where a suite has it written down. Whoever can read the "
        "file can then enter every checkout's database on that server.",
        default="",
    )
    port: int = setting(
        "A fixed port for the server of `dev`, where envctl starts it; 0 picks one. A throw-away server for tests has "
        "the one in `[test] ports`.",
        default=0,
        example="5433",
    )
    image: str = setting("The image of the server, where it runs as a container.", default="pgvector/pgvector:pg18")
    settings: Mapping[str, str] = setting(
        "Settings of the server itself.", factory=dict, example='{ wal_level = "logical" }'
    )

    def __post_init__(self) -> None:
        for name in self.settings:
            if not _PARAMETER.fullmatch(name):
                raise ConfigError(f"services.postgres.settings: {name!r} cannot be a setting of PostgreSQL")
            if name.lower() in OURS:
                raise ConfigError(f"services.postgres.settings: {name} is envctl's to set", hint="leave it out")

    @property
    def steps(self) -> tuple[Step, ...]:
        """All that migrates a database, in order."""
        return (*((Step(sql=self.sql),) if self.sql else ()), *self.migrate)


class Postgres:
    """The service."""

    name = "postgres"
    settings = Settings
    exports: Mapping[str, str] = {
        "DATABASE_URL": "{postgres.url}",
        "PGHOST": "{postgres.host}",
        "PGPORT": "{postgres.port}",
        "PGDATABASE": "{postgres.database}",
        "PGUSER": "{postgres.user}",
        "PGPASSWORD": "{postgres.password}",
    }

    @property
    def templates(self) -> Templates:
        """Migrated databases are kept, sealed, and copied."""
        from envctl.services.postgres import templates

        return templates.TEMPLATES

    def logical_names(self, settings: Settings) -> tuple[tuple[str, str], ...]:
        """One database."""
        return (("database", "database"),)

    def placeholders(self, settings: Settings) -> tuple[str, ...]:
        """The keys of `Access.values`."""
        return ("url", "host", "port", "database", "user", "password")

    def migration(self, settings: Settings) -> Migration | None:
        """The SQL files, then the steps of `migrate`."""
        return Migration(settings.steps, settings.watch) if settings.steps else None

    def program(self, settings: Settings) -> Program:
        """The wheel's server, or this machine's own where the wheel lacks an extension."""
        from envctl.services.postgres import program

        return program.program(program.find(settings.extensions))

    def init(self, settings: Settings, place: Place) -> tuple[Command, ...]:
        """Make the data folder."""
        from envctl.services.postgres import program

        return program.init(program.find(settings.extensions), place)

    def serve(self, settings: Settings, place: Place) -> Command:
        """Serve it."""
        from envctl.services.postgres import program

        return program.serve(program.find(settings.extensions), place, settings.settings)

    def container(self, settings: Settings) -> Container:
        """The image's own start, with settings as flags."""
        from envctl.services.postgres import program

        return Container(
            image=settings.image,
            port=PORT,
            environment={"POSTGRES_PASSWORD": "${ENVCTL_PASSWORD}"},
            command=("postgres", *program.options({**program.SHARED, **settings.settings})),
            volume=data_folder(settings.image),
            hasty=program.options(program.THROW_AWAY),
        )

    def adopt(self, seen: Observed) -> Address | None:
        """A container that was made as the official images ask for it and publishes its port."""
        from envctl.services.servers import reachable

        given = {name: value for name, value in seen.environment.items() if name.startswith("POSTGRES_")}
        if PORT not in seen.ports or not given.keys() & {"POSTGRES_PASSWORD", "POSTGRES_USER", "POSTGRES_DB"}:
            return None
        host, port = seen.ports[PORT]
        user = given.get("POSTGRES_USER", "postgres")
        options = {"dbname": given.get("POSTGRES_DB", user)}
        return Address(reachable(host), port, user, given.get("POSTGRES_PASSWORD", ""), options)

    def external(self, url: str) -> Address:
        """`postgresql://user:password@host:port/database?sslmode=…`; the database is one envctl can connect to."""
        from urllib.parse import parse_qsl, unquote, urlsplit

        try:
            parts = urlsplit(url)
            port = parts.port or PORT
        except ValueError:
            # What the library says of it quotes the password, so its error is not passed on.
            raise _bad_url(_NO_PORT) from None
        if ":" in parts.netloc and "@" not in parts.netloc and _cut_off(parts):
            raise _bad_url(_NO_PORT)
        options = dict(parse_qsl(parts.query))
        host = parts.hostname or options.pop("host", "")
        if parts.scheme.partition("+")[0] not in ("postgres", "postgresql"):
            raise _bad_url(f"its scheme is {parts.scheme!r}")
        if not host or "," in parts.netloc:
            raise _bad_url("it must name one host")
        database = unquote(parts.path.lstrip("/"))
        user = unquote(parts.username or "postgres")
        return Address(
            unquote(host),
            port,
            user,
            unquote(parts.password or ""),
            {**options, **({"dbname": database} if database else {})},
        )

    def check(self, address: Address) -> str:
        """The server's version, asked of itself."""
        from envctl.services.postgres import link

        with link.admin(address) as connection:
            row = connection.execute("SELECT current_setting('server_version')").fetchone()
        return str(row[0]).split()[0] if row else ""

    def create(self, address: Address, settings: Settings, claim: Claim) -> Access:
        """The namespace's login and database, with the extensions."""
        from envctl.services.postgres import create

        return create.create(address, claim, extensions=settings.extensions, superuser=settings.superuser)

    def opens(self, address: Address, claim: Claim, access: Access) -> bool:
        """Not told: `create` is one connection, and it reads the record with its notes as well."""
        return False

    def note(self, address: Address, resource: Resource, notes: Mapping[str, str]) -> None:
        """Replace the notes in the record of a database or a role."""
        from envctl.services.postgres import records

        records.note(address, resource, notes)

    def drop(self, address: Address, resource: Resource, *, sessions: Literal["refuse", "end"] = "refuse") -> None:
        """Remove it if its record is ours and nobody is connected; `sessions="end"` is for one's own."""
        from envctl.services.postgres import drop

        drop.drop(address, resource, sessions=sessions)

    def drop_all(self, address: Address, resources: Iterable[Resource]) -> Iterator[Outcome]:
        """All over one session; logins that lost their last database go many at a time."""
        from envctl.services.postgres import many

        return many.drop_all(address, resources)

    def quarantine(self, address: Address, resource: Resource, *, notes: Mapping[str, str]) -> Resource:
        """Rename it, close it, record it and lock its login, in one transaction."""
        from envctl.services.postgres import quarantine

        return quarantine.put(address, resource, notes)

    def restore(self, address: Address, resource: Resource) -> Resource:
        """All of it back, in one transaction."""
        from envctl.services.postgres import quarantine

        return quarantine.give_back(address, resource)

    def list(
        self, address: Address, project: str, *, lease: str = "", like: Like | None = None, sizes: bool = True
    ) -> list[Resource]:
        """The project's databases, with their sizes, and its logins; those of one run at once, without."""
        from envctl.services.postgres import records

        return records.everything(address, project, lease, like, sizes=sizes)

    def unfinished(self, address: Address, memory: Path) -> None:
        """Nothing ever is: a database without its record is explained by that of its login."""

    def census(self, address: Address, *, lease: str) -> tuple[Seen, ...]:
        """Its databases, roles and sessions."""
        from envctl.services.postgres import census

        return census.census(address)

    def capacity(self, address: Address) -> Capacity:
        """Its connections and locks, and whose sessions are there now."""
        from envctl.services.postgres import capacity

        return capacity.capacity(address)

    def visits(self, address: Address, names: Iterable[str]) -> dict[str, int]:
        """The server's own count of the sessions in each database."""
        from envctl.services.postgres import evidence

        return evidence.visits(address, names)


SERVICE = Postgres()


def data_folder(image: str) -> str:
    """Where an image keeps its data: from 18 on one level up, so that major versions can lie side by side."""
    tag = image.partition("@")[0].rpartition("/")[2].partition(":")[2]
    found = re.search(r"pg(\d+)", tag) or re.match(r"(\d+)", tag)
    older = found is not None and int(found[1]) < 18
    return "/var/lib/postgresql/data" if older else "/var/lib/postgresql"


def _cut_off(parts: SplitResult) -> bool:
    """Whether an `@` stands where only a password with a character that ends the host can have brought it."""
    return any("@" in text for text in (parts.path, parts.fragment, parts.query.partition("=")[0]))


def _bad_url(cause: str) -> UsageError:
    """The URL itself is not shown: it may hold a password."""
    return UsageError(
        "the postgres server's URL cannot be used",
        cause=cause,
        hint="write it as postgresql://user:password@host:port/database",
    )
