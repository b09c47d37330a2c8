"""PostgreSQL: what a namespace gets, who may enter it, and what is never touched."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from postgres_ground import ask, children, connect, names
from psycopg import sql
from service_ground import Ground

from envctl import owners
from envctl.errors import EnvctlError, UnavailableError, UsageError
from envctl.model import Access, Address, Claim, Owner, Resource
from envctl.services.postgres import SERVICE, Settings


@pytest.fixture
def service() -> str:
    return "postgres"


def as_owner(access: Access) -> dict[str, Any]:
    """How the namespace's own login connects."""
    return {"user": access.values["user"], "password": access.values["password"]}


def owner_of(resource: Resource) -> Owner:
    """Its record, which has to be there."""
    assert resource.owner is not None
    return resource.owner


def by_owner(address: Address, access: Access, query: str) -> list[tuple[Any, ...]]:
    return ask(address, query.encode(), access.values["database"], **as_owner(access))


def stranger(address: Address, statement: str, *values: str) -> None:
    """Something that was there before us."""
    ask(address, sql.SQL(statement).format(*(sql.Identifier(value) for value in values)))


def renamed(claim: Claim, name: str) -> Claim:
    return replace(claim, identity=name, names={"database": name})


# made once, gone once


def test_create_twice_is_create_once(ground: Ground) -> None:
    first = ground.service.create(ground.address, ground.settings, ground.claim("one"))
    by_owner(ground.address, first, "CREATE TABLE kept (id int)")
    again = ground.service.create(ground.address, ground.settings, ground.claim("one"))
    assert (first.created, again.created) == (True, False)
    assert again.values == first.values
    assert again.resources == first.resources
    assert by_owner(ground.address, again, "SELECT count(*) FROM kept") == [(0,)]


def test_drop_twice_is_drop_once_and_leaves_the_server_as_it_was(ground: Ground) -> None:
    before = names(ground.address)
    access = ground.service.create(ground.address, ground.settings, ground.claim("one"))
    for resource in access.resources * 2:
        ground.service.drop(ground.address, resource)
    assert names(ground.address) == before


def test_the_login_goes_with_its_last_database_and_the_group_with_the_last_login(ground: Ground) -> None:
    before = names(ground.address)
    one, two = (ground.service.create(ground.address, ground.settings, ground.claim(name)) for name in ("one", "two"))
    ground.service.drop(ground.address, one.resources[0])
    assert names(ground.address) - before == {
        ("database", two.values["database"]),
        ("role", two.values["user"]),
        ("role", f"{ground.project}_owner"),
    }
    ground.service.drop(ground.address, two.resources[0])
    assert names(ground.address) == before


def test_list_shows_exactly_what_was_made_with_sizes_of_databases(ground: Ground) -> None:
    one, two = (ground.service.create(ground.address, ground.settings, ground.claim(name)) for name in ("one", "two"))
    other = replace(ground.claim("one").owner, project=f"{ground.project}_two")
    claim = replace(renamed(ground.claim("one"), f"{ground.project}_two_test_one"), owner=other)
    ground.service.create(ground.address, ground.settings, claim)
    stranger(ground.address, "CREATE DATABASE {}", f"{ground.project}_test_backup")
    listed = ground.service.list(ground.address, ground.project)
    made = sorted((*one.resources, *two.resources), key=lambda resource: (resource.kind, resource.name))
    assert [replace(resource, bytes=None) for resource in listed] == made
    assert all((resource.bytes or 0) > 1_000_000 for resource in listed if resource.kind == "database")


def test_the_url_opens_the_database_as_the_namespaces_login(ground: Ground) -> None:
    access = ground.service.create(ground.address, ground.settings, ground.claim("one"))
    with psycopg.connect(access.values["url"]) as session:
        row = session.execute("SELECT current_database(), current_user").fetchone()
    assert row == (access.values["database"], access.values["user"])
    assert set(access.values) == set(ground.service.placeholders(ground.settings))


# who may do what


def test_another_namespaces_login_is_refused_at_the_door(ground: Ground) -> None:
    one, two = (ground.service.create(ground.address, ground.settings, ground.claim(name)) for name in ("one", "two"))
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        connect(ground.address, one.values["database"], **as_owner(two))
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        connect(ground.address, one.values["database"], user=one.values["user"], password="guess")


def test_the_owner_may_do_all_that_an_owner_may(ground: Ground) -> None:
    access = ground.service.create(ground.address, ground.settings, ground.claim("one"))
    for statement in (
        "CREATE TYPE colour AS ENUM ('red')",
        "CREATE TABLE things (id int, colour colour)",
        "ALTER TABLE things ADD COLUMN name text",
        "ALTER TYPE colour ADD VALUE 'blue'",
        "CREATE SCHEMA apart",
        "CREATE EXTENSION citext",
        "DROP EXTENSION citext",
        "DROP TABLE things",
        "DROP SCHEMA public CASCADE",
        "CREATE SCHEMA public",
        "CREATE TABLE again (id int)",
        f'ALTER DATABASE "{access.values["database"]}" SET statement_timeout = 1000',
    ):
        by_owner(ground.address, access, statement)


def test_a_database_that_the_login_made_itself_is_found_and_goes_too(ground: Ground) -> None:
    before = names(ground.address)
    access = ground.service.create(ground.address, ground.settings, ground.claim("one"))
    by_owner(ground.address, access, f"CREATE DATABASE test_{ground.project}")
    ground.service.drop(ground.address, access.resources[0])
    left = ground.service.list(ground.address, ground.project)
    assert {(one.kind, one.name) for one in left} == {
        ("database", f"test_{ground.project}"),
        ("role", access.values["user"]),
    }
    for resource in left:
        ground.service.drop(ground.address, resource)
    assert names(ground.address) == before


def test_a_login_that_still_owns_a_database_is_not_dropped(ground: Ground) -> None:
    access = ground.service.create(ground.address, ground.settings, ground.claim("one"))
    with pytest.raises(EnvctlError, match="still owns") as caught:
        ground.service.drop(ground.address, access.resources[1])
    assert access.values["database"] in caught.value.cause


def test_extensions_are_there_also_when_asked_for_later(ground: Ground) -> None:
    ground.service.create(ground.address, ground.settings, ground.claim("one"))
    more = Settings(extensions=("vector", "pg_trgm", "earthdistance"))
    access = ground.service.create(ground.address, more, ground.claim("one"))
    installed = {row[0] for row in by_owner(ground.address, access, "SELECT extname FROM pg_extension")}
    assert {"vector", "pg_trgm", "earthdistance", "cube"} <= installed
    by_owner(ground.address, access, "CREATE EXTENSION IF NOT EXISTS vector")
    by_owner(ground.address, access, "DROP EXTENSION pg_trgm")


def test_an_extension_that_the_server_lacks_is_named(ground: Ground) -> None:
    with pytest.raises(EnvctlError, match="no extension 'teleport'"):
        ground.service.create(ground.address, Settings(extensions=("teleport",)), ground.claim("one"))


def test_superuser_is_given_and_taken_back_by_the_setting(ground: Ground) -> None:
    access = ground.service.create(ground.address, Settings(superuser=True), ground.claim("one"))
    query = "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"
    assert by_owner(ground.address, access, query) == [(True,)]
    ground.service.create(ground.address, Settings(), ground.claim("one"))
    assert by_owner(ground.address, access, query) == [(False,)]


def test_a_new_secret_replaces_the_old_one(ground: Ground) -> None:
    claim = ground.claim("one")
    ground.service.create(ground.address, ground.settings, claim)
    access = ground.service.create(ground.address, ground.settings, replace(claim, secret="p%40ss/w:rd@'\"\\ü"))
    with psycopg.connect(access.values["url"]) as session:
        assert session.execute("SELECT 1").fetchone() == (1,)


# what is not ours


def test_a_strangers_database_is_refused_and_keeps_its_data(ground: Ground) -> None:
    claim = renamed(ground.claim("one", environment="dev"), ground.project)
    stranger(ground.address, "CREATE DATABASE {}", ground.project)
    ask(ground.address, "CREATE TABLE precious AS SELECT 42 AS n", ground.project)
    with pytest.raises(EnvctlError, match="not made by envctl") as caught:
        ground.service.create(ground.address, ground.settings, claim)
    assert "RENAME" in caught.value.hint
    with pytest.raises(EnvctlError, match="was left alone"):
        ground.service.drop(ground.address, Resource("postgres", "database", ground.project, claim.owner))
    assert ask(ground.address, "SELECT n FROM precious", ground.project) == [(42,)]
    assert ground.project not in {
        one.name for one in ground.service.list(ground.address, ground.project) if one.owner is None
    }


@pytest.mark.parametrize("name", ["{project}_test_one", "{project}_owner"])
def test_a_strangers_role_is_refused_and_not_changed(ground: Ground, name: str) -> None:
    name = name.format(project=ground.project)
    stranger(ground.address, "CREATE ROLE {} NOLOGIN", name)
    with pytest.raises(EnvctlError, match="not made by envctl"):
        ground.service.create(ground.address, ground.settings, ground.claim("one"))
    with pytest.raises(EnvctlError, match="was left alone"):
        ground.service.drop(ground.address, Resource("postgres", "role", name, ground.claim("one").owner))
    query = sql.SQL("SELECT rolcanlogin FROM pg_roles WHERE rolname = {}").format(name)
    assert ask(ground.address, query) == [(False,)]
    assert ground.service.list(ground.address, ground.project) == []


def test_another_namespaces_database_is_not_taken_over(ground: Ground) -> None:
    one = ground.service.create(ground.address, ground.settings, ground.claim("one"))
    claim = replace(ground.claim("two"), names={"database": one.values["database"]})
    with pytest.raises(EnvctlError, match="belongs to namespace one"):
        ground.service.create(ground.address, ground.settings, claim)
    assert by_owner(ground.address, one, "SELECT 1") == [(1,)]


def test_a_database_that_another_login_has_laid_in_the_way_is_not_used(ground: Ground) -> None:
    """Who has a database may write any record there, and stays in it."""
    other, claim = ground.service.create(ground.address, ground.settings, ground.claim("one")), ground.claim("two")
    words = {"name": sql.Identifier(claim.names["database"]), "login": sql.Identifier(other.values["user"])}
    ask(ground.address, sql.SQL("CREATE DATABASE {name} OWNER {login}").format(**words))
    record = sql.Literal(owners.to_text(claim.owner))
    ask(ground.address, sql.SQL("COMMENT ON DATABASE {name} IS {record}").format(**words, record=record))
    with pytest.raises(EnvctlError, match=f"but '{other.values['user']}''s"):
        ground.service.create(ground.address, ground.settings, claim)
    ask(ground.address, sql.SQL("DROP DATABASE {name}").format(**words))


def comments(owner: Owner) -> dict[str, tuple[str, bool]]:
    """Comments that are not this owner's record, and whether they still name its project."""
    record = json.loads(owners.to_text(owner))
    return {
        "newer": (json.dumps({**record, "envctl": 2}, separators=(",", ":")), True),
        "broken": (owners.to_text(owner)[:-1], True),
        "of another project": (owners.to_text(replace(owner, project="bank")), False),
        "of another namespace": (owners.to_text(replace(owner, namespace="two")), True),
        "of another environment": (owners.to_text(replace(owner, environment="dev")), True),
        "of somebody else": ("my database, do not touch", False),
    }


KINDS = ["newer", "broken", "of another project", "of another namespace", "of another environment", "of somebody else"]


@pytest.mark.parametrize("kind", KINDS)
def test_without_our_very_record_nothing_is_dropped_noted_or_used(ground: Ground, kind: str) -> None:
    comment, listed = comments(ground.claim("one").owner)[kind]
    access = ground.service.create(ground.address, ground.settings, ground.claim("one"))
    database = access.resources[0]
    statement = sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(database.name), comment)
    ask(ground.address, statement)
    for work in (
        lambda: ground.service.drop(ground.address, database),
        lambda: ground.service.drop(ground.address, database, sessions="end"),
        lambda: ground.service.drop(ground.address, replace(database, owner=None)),
        lambda: ground.service.note(ground.address, database, {"a": "b"}),
        lambda: ground.service.create(ground.address, ground.settings, ground.claim("one")),
    ):
        with pytest.raises(EnvctlError) as caught:
            work()
        assert caught.value.code in ("not_ours", "taken")
    query = sql.SQL("SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = {}")
    assert ask(ground.address, query.format(database.name)) == [(comment,)]
    assert by_owner(ground.address, access, "SELECT 1") == [(1,)]
    shown = {
        one.name: one.owner for one in ground.service.list(ground.address, ground.project) if one.kind == "database"
    }
    assert (database.name in shown) is listed
    assert shown.get(database.name) == owners.from_text(comment) or not listed


def test_a_resource_with_another_owner_does_not_drop_ours(ground: Ground) -> None:
    access = ground.service.create(ground.address, ground.settings, ground.claim("one"))
    for resource in access.resources:
        for owner in (None, ground.claim("two").owner, ground.claim("one", environment="ci").owner):
            with pytest.raises(EnvctlError, match="was left alone"):
                ground.service.drop(ground.address, replace(resource, owner=owner))
    assert by_owner(ground.address, access, "SELECT 1") == [(1,)]


def test_a_database_in_use_is_not_dropped_and_the_user_is_named(ground: Ground) -> None:
    access = ground.service.create(ground.address, ground.settings, ground.claim("one"))
    with connect(ground.address, access.values["database"], application_name="billing", **as_owner(access)) as session:
        with pytest.raises(UnavailableError, match="in use") as caught:
            ground.service.drop(ground.address, access.resources[0])
        assert caught.value.cause == "1 session: billing"
        assert session.execute("SELECT 1").fetchone() == (1,)


def test_a_reset_ends_the_sessions_of_its_own_database(ground: Ground) -> None:
    access = ground.service.create(ground.address, ground.settings, ground.claim("one"))
    other = ground.service.create(ground.address, ground.settings, ground.claim("two"))
    with connect(ground.address, other.values["database"], **as_owner(other)) as bystander:
        session = connect(ground.address, access.values["database"], **as_owner(access))
        ground.service.drop(ground.address, access.resources[0], sessions="end")
        with pytest.raises(psycopg.OperationalError), session:
            session.execute("SELECT 1")
        assert bystander.execute("SELECT 1").fetchone() == (1,)
    assert {owner_of(one).namespace for one in ground.service.list(ground.address, ground.project)} == {"two"}


# names


@pytest.mark.parametrize("tail", ['a"b', "100%", "%s", "{}", "semi; --", "ünï", "'quote'", "back\\slash", "x" * 54])
def test_odd_names_are_quoted_everywhere(ground: Ground, tail: str) -> None:
    before = names(ground.address)
    name = f"{ground.project[:8]}_{tail}"
    access = ground.service.create(ground.address, Settings(extensions=("vector",)), renamed(ground.claim("one"), name))
    ground.service.note(ground.address, access.resources[0], {"what": tail})
    with psycopg.connect(access.values["url"]) as session:
        assert session.execute("SELECT current_database()::text").fetchone() == (name,)
    listed = ground.service.list(ground.address, ground.project)
    assert {(one.name, owner_of(one).notes.get("what")) for one in listed} == {(name, tail), (name, None)}
    for resource in listed:
        ground.service.drop(ground.address, resource)
    assert names(ground.address) == before


@pytest.mark.parametrize("name", ["x" * 64, "ü" * 32, "", "a\0b"])
def test_a_name_that_the_server_would_cut_is_refused(ground: Ground, name: str) -> None:
    before = names(ground.address)
    with pytest.raises(UsageError, match="cannot be a name"):
        ground.service.create(ground.address, ground.settings, renamed(ground.claim("one"), name))
    with pytest.raises(UsageError, match="cannot be a name"):
        ground.service.drop(ground.address, Resource("postgres", "database", name, ground.claim("one").owner))
    assert names(ground.address) == before


# notes


def test_notes_are_replaced_and_the_rest_of_the_record_stays(ground: Ground) -> None:
    claim = ground.claim("one")
    access = ground.service.create(ground.address, ground.settings, claim)
    ground.service.note(ground.address, access.resources[0], {"digest": "1", "more": "x"})
    ground.service.note(ground.address, access.resources[0], {"digest": "2"})
    again = ground.service.create(
        ground.address, ground.settings, replace(claim, owner=replace(claim.owner, created="later"))
    )
    assert again.resources[0].owner == replace(claim.owner, notes={"digest": "2"})
    assert again.resources[1].owner == claim.owner


def test_a_note_on_what_is_gone_says_so(ground: Ground) -> None:
    access = ground.service.create(ground.address, ground.settings, ground.claim("one"))
    ground.service.drop(ground.address, access.resources[0])
    with pytest.raises(EnvctlError, match="is gone"):
        ground.service.note(ground.address, access.resources[0], {"digest": "1"})


# crashes and crowds


@pytest.mark.parametrize("when", ["before", "sent"])
def test_a_create_killed_at_any_step_is_explained_and_completed_by_the_next(ground: Ground, when: str) -> None:
    claim, settings, before = ground.claim("one"), Settings(extensions=("vector",)), names(ground.address)
    codes: list[int] = []
    with children(ground.address, settings, [claim]) as crowd:
        while codes[-1:] != [0]:
            codes += crowd.codes("create", len(codes) + 1, when)
            left = names(ground.address) - before - {("role", f"{ground.project}_owner")}
            explained = {
                (one.kind, one.name) for one in ground.service.list(ground.address, ground.project) if one.owner
            }
            assert left <= explained, f"killed at step {len(codes)}"
            access = ground.service.create(ground.address, settings, claim)
            assert by_owner(ground.address, access, "SELECT extname FROM pg_extension WHERE extname = 'vector'")
            for resource in ground.service.list(ground.address, ground.project):
                ground.service.drop(ground.address, resource)
            assert names(ground.address) == before, f"killed at step {len(codes)}"
    assert set(codes[:-1]) == {-9}
    assert len(codes) > 25


@pytest.mark.parametrize("when", ["before", "sent"])
def test_a_drop_killed_at_any_step_is_finished_by_the_next(ground: Ground, when: str) -> None:
    claim, before = ground.claim("one"), names(ground.address)
    codes: list[int] = []
    with children(ground.address, ground.settings, [claim]) as crowd:
        while codes[-1:] != [0]:
            ground.service.create(ground.address, ground.settings, claim)
            codes += crowd.codes("drop", len(codes) + 1, when)
            for resource in ground.service.list(ground.address, ground.project):
                ground.service.drop(ground.address, resource)
            assert names(ground.address) == before, f"killed at step {len(codes)}"
    assert set(codes[:-1]) == {-9}
    assert len(codes) > 15


def test_twenty_processes_create_the_same_and_different_things_at_once(ground: Ground) -> None:
    before = names(ground.address)
    claims = [ground.claim(f"n{number % 10}") for number in range(20)]
    with children(ground.address, Settings(extensions=("vector",)), claims) as crowd:
        assert crowd.codes("create") == [0] * 20
    listed = ground.service.list(ground.address, ground.project)
    assert {owner_of(one).namespace for one in listed} == {f"n{number}" for number in range(10)}
    assert len(listed) == 20
    with children(ground.address, ground.settings, claims[:10]) as crowd:
        assert crowd.codes("drop") == [0] * 10
    assert names(ground.address) == before


def test_a_reset_that_died_after_closing_the_door_loses_nothing(ground: Ground) -> None:
    claim = ground.claim("one")
    access = ground.service.create(ground.address, ground.settings, claim)
    by_owner(ground.address, access, "CREATE TABLE kept AS SELECT 42 AS n")
    stranger(ground.address, "ALTER DATABASE {} ALLOW_CONNECTIONS false", access.values["database"])
    again = ground.service.create(ground.address, ground.settings, claim)
    assert not again.created
    assert by_owner(ground.address, again, "SELECT n FROM kept") == [(42,)]


def test_a_database_whose_drop_was_interrupted_is_made_anew(ground: Ground) -> None:
    claim = ground.claim("one")
    access = ground.service.create(ground.address, ground.settings, claim)
    name = access.values["database"]
    ask(ground.address, sql.SQL("UPDATE pg_database SET datconnlimit = -2 WHERE datname = {}").format(name))
    again = ground.service.create(ground.address, ground.settings, claim)
    assert again.created
    assert by_owner(ground.address, again, "SELECT 1") == [(1,)]


# lesser administrators


@pytest.fixture
def lesser(ground: Ground) -> Any:
    """Makes an administrator with some attributes, as managed servers give one."""

    def make(attributes: str) -> Address:
        name = f"{ground.project}_admin"
        statement = sql.SQL(f"CREATE ROLE {{}} LOGIN {attributes} PASSWORD 'lesser'")
        ask(ground.address, statement.format(sql.Identifier(name)))
        return replace(ground.address, user=name, password="lesser")

    return make


def test_an_administrator_who_is_no_superuser_gives_the_same_isolation(ground: Ground, lesser: Any) -> None:
    address = lesser("CREATEDB CREATEROLE")
    before = names(address)
    settings = Settings(extensions=("pg_trgm",))
    one, two = (ground.service.create(address, settings, ground.claim(name)) for name in ("one", "two"))
    again = ground.service.create(address, settings, ground.claim("one"))
    assert (one.created, again.created) == (True, False)
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        connect(address, one.values["database"], **as_owner(two))
    ground.service.note(address, one.resources[0], {"digest": "1"})
    assert len(ground.service.list(address, ground.project)) == 4
    for resource in (*one.resources, *two.resources):
        ground.service.drop(address, resource)
    assert names(address) == before


def test_an_administrator_who_may_make_no_roles_lends_its_own_login(ground: Ground, lesser: Any) -> None:
    address = lesser("CREATEDB")
    access = ground.service.create(address, ground.settings, ground.claim("one"))
    assert (access.values["user"], access.values["password"]) == (address.user, address.password)
    assert [one.kind for one in access.resources] == ["database"]
    assert not ground.service.create(address, ground.settings, ground.claim("one")).created
    ground.service.drop(address, access.resources[0])
    assert ground.service.list(address, ground.project) == []


def test_a_create_killed_where_no_roles_can_be_made_is_completed_too(ground: Ground, lesser: Any) -> None:
    address, claim, codes = lesser("CREATEDB"), ground.claim("one"), [-9]
    with children(address, ground.settings, [claim]) as crowd:
        while codes[-1] != 0:
            codes += crowd.codes("create", len(codes))
            access = ground.service.create(address, ground.settings, claim)
            assert by_owner(address, access, "SELECT 1") == [(1,)]
            ground.service.drop(address, access.resources[0])
    assert set(codes[:-1]) == {-9}


def test_an_administrator_who_may_make_nothing_is_told_what_it_needs(ground: Ground, lesser: Any) -> None:
    with pytest.raises(EnvctlError, match="may not create databases") as caught:
        ground.service.create(lesser(""), ground.settings, ground.claim("one"))
    assert "CREATEDB" in caught.value.hint


def test_superuser_from_a_lesser_administrator_is_refused(ground: Ground, lesser: Any) -> None:
    with pytest.raises(EnvctlError, match="superuser = true needs"):
        ground.service.create(lesser("CREATEDB CREATEROLE"), Settings(superuser=True), ground.claim("one"))


# reaching the server


def test_check_tells_the_version(ground: Ground) -> None:
    assert ground.service.check(ground.address).split(".")[0].isdecimal()


def test_a_wrong_password_is_told_apart_from_a_server_that_is_not_there(ground: Ground) -> None:
    with pytest.raises(UnavailableError, match="does not take envctl's password") as caught:
        ground.service.check(replace(ground.address, password="wr0ng-s3cret"))
    assert caught.value.code == "password"
    assert "wr0ng-s3cret" not in f"{caught.value.message}{caught.value.cause}{caught.value.hint}"


def test_a_server_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(UnavailableError, match="did not answer"):
        SERVICE.check(Address("127.0.0.1", 1, "postgres", "x"))


def test_an_external_url_reaches_the_same_server(ground: Ground) -> None:
    access = ground.service.create(ground.address, ground.settings, ground.claim("one"))
    address = SERVICE.external(access.values["url"])
    assert SERVICE.check(address) == SERVICE.check(ground.address)


@pytest.mark.parametrize("written", [False, True])
def test_only_a_password_that_somebody_wrote_down_is_made_costly_to_guess(ground: Ground, written: bool) -> None:
    claim = replace(ground.claim("one"), written=written)
    ground.service.create(ground.address, ground.settings, claim)
    query = sql.SQL("SELECT split_part(rolpassword, ':', 1) FROM pg_authid WHERE rolname = {}")
    kept = ask(ground.address, query.format(sql.Literal(claim.identity)))
    chosen = ask(ground.address, b"SELECT current_setting('scram_iterations', true)") != [(None,)]
    assert kept == [("SCRAM-SHA-256$4096" if written or not chosen else "SCRAM-SHA-256$1",)]
