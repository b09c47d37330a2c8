"""Templates: migrated once, carried on where only new files came, copied for whoever asks, gone when of no use."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from postgres_ground import ask, connect, names
from psycopg import sql
from service_ground import Servers
from templates_ground import Shop, rows, shop, tables, tables_of

from envctl import services, templates
from envctl.errors import EnvctlError, LockTimeoutError, UnavailableError
from envctl.model import Address
from envctl.services.postgres import sessions


@pytest.fixture
def address(servers: Servers) -> Iterator[Address]:
    yield servers.address("postgres")
    sessions.close()


@pytest.fixture
def name() -> str:
    return f"shop{secrets.token_hex(3)}"


@pytest.fixture
def checkout(address: Address, name: str, tmp_path: Path) -> Shop:
    made = shop(tmp_path / "one", address, name)
    made.write(tables(["t1", "t2", "t3"]))
    return made


# migrated once


def test_the_same_files_are_migrated_once_for_every_checkout_and_run(checkout: Shop, name: str, tmp_path: Path) -> None:
    first = checkout.ready("run1")
    assert (first.how, checkout.ran) == ("built", ["t1.sql", "t2.sql", "t3.sql"])
    other = shop(tmp_path / "two", checkout.address, name)
    other.write(tables(["t1", "t2", "t3"]))
    again = other.ready("run2")
    assert (again.how, again.template.digest, other.ran) == ("reused", first.template.digest, [])
    assert other.said == []


def test_exactly_the_new_ones_run_and_going_back_costs_nothing(checkout: Shop) -> None:
    old = checkout.ready()
    assert len(checkout.ran) == 3
    checkout.write(tables(["t4", "t5"]))
    new = checkout.ready()
    assert (new.how, checkout.ran) == ("extended", ["t4.sql", "t5.sql"])
    assert tables_of(checkout.clone(new.template, "gw1")) == {"revisions", "t1", "t2", "t3", "t4", "t5"}
    checkout.remove("t4.sql", "t5.sql")
    assert (checkout.ready().template.digest, checkout.ran) == (old.template.digest, [])
    assert tables_of(checkout.clone(old.template, "gw2")) == {"revisions", "t1", "t2", "t3"}


def test_a_changed_file_goes_back_to_the_last_template_that_did_not_have_it(checkout: Shop) -> None:
    checkout.ready()
    checkout.write(tables(["t4"]))
    checkout.ready()
    assert len(checkout.ran) == 4
    checkout.write({"t4.sql": "CREATE TABLE other (id int)"})
    assert (checkout.ready().how, checkout.ran) == ("extended", ["t4.sql"])
    checkout.write({"t1.sql": "CREATE TABLE first (id int)"})
    assert (checkout.ready().how, len(checkout.ran)) == ("built", 4)


def test_from_scratch_takes_the_place_of_what_was_there(checkout: Shop) -> None:
    first = checkout.ready()
    templates.refill(checkout.project, checkout.address, "postgres", first.template, 2)
    assert len(checkout.ran) == 3
    again = checkout.ready(from_scratch=True)
    assert (again.how, len(checkout.ran), again.template.name) == ("built", 3, first.template.name)
    assert again.template.owner.created != first.template.owner.created
    checkout.clone(again.template)
    assert sorted(checkout.kinds().values()) == ["pool", "pool", "template"], "an old copy was taken"


def test_a_seed_runs_on_a_copy_and_never_twice_on_the_same_data(address: Address, name: str, tmp_path: Path) -> None:
    seeded = shop(tmp_path / "one", address, name, seed=True)
    seeded.write(tables(["t1", "t2"]))
    assert (seeded.ready().how, seeded.ran) == ("built", ["t1.sql", "t2.sql", "seed"])
    seeded.write(tables(["t3"]))
    made = seeded.ready()
    assert (made.how, seeded.ran) == ("extended", ["t3.sql", "seed"])
    assert rows(seeded.clone(made.template), "SELECT count(*) FROM t1") == [(1,)]


def test_sql_files_are_followed_one_by_one(address: Address, name: str, tmp_path: Path) -> None:
    plain = shop(tmp_path / "one", address, name, 'sql = ["migrations/*.sql"]\nmigrate = []', watch=False)
    plain.write(tables(["t1", "t2"]))
    assert plain.ready().ran == ("migrations/t1.sql", "migrations/t2.sql")
    plain.write(tables(["t3"]))
    assert plain.ready().ran == ("migrations/t3.sql",)
    plain.write(tables(["t0"]))
    assert len(plain.ready().ran) == 4, "it comes before the others, so they cannot have run without it"


def test_without_watch_every_run_migrates_for_itself_and_hears_why(address: Address, name: str, tmp_path: Path) -> None:
    blind = shop(tmp_path / "one", address, name, watch=False)
    blind.write(tables(["t1"]))
    one, two = blind.ready("run1"), blind.ready("run2")
    assert one.template.name != two.template.name
    assert blind.ran == ["t1.sql", "t1.sql"]
    assert "watch" in blind.said[0]
    assert one.template.owner.lease == "run1"
    access = blind.clone(one.template)
    for resource in services.get("postgres").list(address, name):
        if resource.owner and resource.owner.lease == "run1":
            services.get("postgres").drop(address, resource, sessions="end")
    assert set(blind.kinds().values()) == {"private"}
    assert access.values["database"] not in blind.names()


# what a copy is


def test_a_copy_is_its_logins_to_change_and_nobody_elses(checkout: Shop) -> None:
    made = checkout.ready()
    one, two = checkout.clone(made.template, "gw0"), checkout.clone(made.template, "gw1")
    for statement in ("ALTER TABLE t1 ADD COLUMN more int", "DROP TABLE t2", "CREATE EXTENSION citext",
                      "DROP SCHEMA public CASCADE", "CREATE SCHEMA public", "CREATE TABLE again (id int)"):  # fmt: skip
        rows(one, statement)
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        connect(
            checkout.address,
            two.values["database"],
            user=one.values["user"],
            password=one.values["password"],
        )
    assert tables_of(two) == {"revisions", "t1", "t2", "t3"}


SETTING = """
DO $$ BEGIN
    EXECUTE format('ALTER DATABASE %I SET search_path = app, "$user", public', current_database());
    EXECUTE format('ALTER DATABASE %I SET application_name = %L', current_database(), 'a, ''b''');
END $$
"""


def test_what_a_migration_set_for_its_database_holds_in_every_copy(checkout: Shop) -> None:
    checkout.write({"t4.sql": SETTING})
    made = checkout.ready()
    templates.refill(checkout.project, checkout.address, "postgres", made.template, 1)
    checkout.write(tables(["t5"]))
    later = checkout.ready()
    assert later.how == "extended"
    for template, worker in ((made.template, "gw0"), (made.template, "gw1"), (later.template, "gw2")):
        access = checkout.clone(template, worker)
        shown = rows(access, "SELECT current_setting('search_path'), current_setting('application_name')")
        assert shown == [('app, "$user", public', "a, 'b'")]


def test_nothing_of_a_build_is_left_but_the_template(checkout: Shop) -> None:
    before = names(checkout.address)
    made = checkout.ready()
    group = f"{checkout.project.config.project}_owner"
    assert names(checkout.address) - before == {("database", made.template.name), ("role", group)}
    assert checkout.kinds() == {made.template.name: "template"}
    owner = "SELECT DISTINCT pg_get_userbyid(relowner) FROM pg_class WHERE relname LIKE 't_'"
    assert rows(checkout.clone(made.template), owner) == [(group,)]


def test_the_last_drop_takes_the_group_with_it(checkout: Shop) -> None:
    before = names(checkout.address)
    made = checkout.ready()
    access = checkout.clone(made.template)
    sessions.close()
    for resource in services.get("postgres").list(checkout.address, checkout.project.config.project):
        services.get("postgres").drop(checkout.address, resource)
    assert access.created
    assert names(checkout.address) == before


def test_a_superusers_template_is_the_groups_too(address: Address, name: str, tmp_path: Path) -> None:
    strong = shop(tmp_path / "one", address, name, "superuser = true")
    strong.write({**tables(["t1"]), "t2.sql": "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'"})
    access = strong.clone(strong.ready().template)
    assert rows(access, "SELECT pg_get_userbyid(proowner) FROM pg_proc WHERE proname = 'f'") == [(f"{name}_owner",)]


# copies of another run


def test_a_copy_of_another_run_goes_first_and_one_of_this_run_stays(checkout: Shop) -> None:
    made = checkout.ready("run1")
    first = checkout.clone(made.template, lease="run1")
    rows(first, "INSERT INTO t1 (name) VALUES ('mine')")
    same = checkout.clone(made.template, lease="run1")
    assert (same.created, rows(same, "SELECT name FROM t1")) == (False, [("mine",)])
    other = checkout.clone(made.template, lease="run2")
    assert (other.created, rows(other, "SELECT name FROM t1")) == (True, [])
    assert {one.owner.lease for one in other.resources if one.owner} == {"run2"}
    listed = services.get("postgres").list(checkout.address, checkout.project.config.project)
    assert {one.owner.lease for one in listed if one.owner} == {"run2", ""}


def test_a_copy_that_somebody_is_connected_to_is_not_replaced(checkout: Shop) -> None:
    made = checkout.ready()
    first = checkout.clone(made.template, lease="run1")
    with psycopg.connect(first.values["url"], application_name="ide") as session:
        with pytest.raises(UnavailableError, match="in use") as caught:
            checkout.clone(made.template, lease="run2")
        assert "ide" in caught.value.cause
        assert session.execute("SELECT count(*) FROM t1").fetchone() == (0,)


def test_a_strangers_database_is_never_replaced(checkout: Shop) -> None:
    made = checkout.ready()
    name = checkout.claim().names["database"]
    ask(checkout.address, f'CREATE DATABASE "{name}"'.encode())
    with pytest.raises(EnvctlError, match="not made by envctl"):
        checkout.clone(made.template)
    ask(checkout.address, f'DROP DATABASE "{name}"'.encode())


# the pool


def test_a_ready_copy_is_taken_once_and_by_its_own_name_only(checkout: Shop) -> None:
    made = checkout.ready()
    assert templates.refill(checkout.project, checkout.address, "postgres", made.template, 3) == 3
    assert templates.refill(checkout.project, checkout.address, "postgres", made.template, 3) == 0
    assert list(checkout.kinds().values()).count("pool") == 3
    access = [checkout.clone(made.template, f"gw{number}") for number in range(4)]
    assert "pool" not in checkout.kinds().values()
    assert all(tables_of(one) == {"revisions", "t1", "t2", "t3"} for one in access)


def test_a_ready_copy_that_others_have_or_may_enter_is_not_taken(checkout: Shop) -> None:
    """Whoever can make databases can write such a name and record."""
    made = checkout.ready()
    templates.refill(checkout.project, checkout.address, "postgres", made.template, 2)
    role = checkout.clone(made.template, "gw0").values["user"]
    templates.refill(checkout.project, checkout.address, "postgres", made.template, 2)
    left = [name for name, kind in checkout.kinds().items() if kind == "pool"]
    one, other = map(sql.Identifier, left)
    ask(checkout.address, sql.SQL("GRANT CONNECT ON DATABASE {} TO PUBLIC").format(one))
    ask(checkout.address, sql.SQL("ALTER DATABASE {} OWNER TO {}").format(other, sql.Identifier(role)))
    checkout.clone(made.template, "gw1")
    assert {name for name, kind in checkout.kinds().items() if kind == "pool"} == set(left)


def test_more_databases_for_the_same_login_come_and_go(checkout: Shop) -> None:
    made = checkout.ready()
    base = checkout.clone(made.template, "gw0")
    templates.refill(checkout.project, checkout.address, "postgres", made.template, 1)
    names = [f"{base.values['database']}__f{number}" for number in range(2)]
    for name in names:
        more = checkout.fresh(made.template, name, "gw0")
        assert (more.values["user"], more.values["database"]) == (base.values["user"], name)
        session = psycopg.connect(more.values["url"])
        session.execute("DROP TABLE t1")
        templates.discard(checkout.address, "postgres", more.resources[0])
        with pytest.raises(psycopg.OperationalError), session:
            session.execute("SELECT 1")
    assert not checkout.names() & set(names)
    assert "t1" in tables_of(base)


def test_eight_threads_clone_while_the_pool_is_filled(checkout: Shop) -> None:
    made = checkout.ready()

    def work(number: int) -> set[str]:
        if number % 4 == 3:
            templates.refill(checkout.project, checkout.address, "postgres", made.template, 4)
        return tables_of(checkout.clone(made.template, f"gw{number}"))

    with ThreadPoolExecutor(8) as pool:
        assert all(one == {"revisions", "t1", "t2", "t3"} for one in pool.map(work, range(32)))


# failures


def test_a_failing_migration_shows_its_output_and_leaves_the_good_template(checkout: Shop) -> None:
    good = checkout.ready()
    before = names(checkout.address)
    checkout.write({"t4.sql": "CREATE TABLE t4 (id nonsense)"})
    with pytest.raises(EnvctlError) as caught:
        checkout.ready()
    assert caught.value.code == "migration"
    assert "nonsense" in caught.value.cause
    assert names(checkout.address) == before
    checkout.remove("t4.sql")
    assert checkout.ready().template == good.template


def test_those_that_need_the_same_template_build_it_once(address: Address, name: str, tmp_path: Path) -> None:
    crowd = [shop(tmp_path / f"checkout{number}", address, name) for number in range(4)]
    for one in crowd:
        one.write(tables(["t1", "t2"]))
    with ThreadPoolExecutor(len(crowd)) as pool:
        made = list(pool.map(lambda one: one.ready(), crowd))
    assert sorted(one.how for one in made) == ["built", "reused", "reused", "reused"]
    assert [line for one in crowd for line in one.ran] == ["t1.sql", "t2.sql"]
    waited = [line for one in crowd for line in one.said if line.startswith("waiting for the template")]
    assert all("built by envctl test of " in line for line in waited)


def test_who_waits_too_long_for_a_build_is_told_whose_it_is(checkout: Shop) -> None:
    made = checkout.ready()
    maker = services.get("postgres").templates
    assert maker is not None
    digest = made.template.digest
    project = checkout.project.config.project
    with (
        maker.building(checkout.address, project, digest, who="alice", wait=1, talk=print, memory=checkout.root),
        pytest.raises(LockTimeoutError, match="built by envctl test of alice"),
    ):
        checkout.ready(from_scratch=True, wait=0.1)
