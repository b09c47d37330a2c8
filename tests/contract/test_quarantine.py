"""Quarantine: what is in it nobody can enter and nobody loses; what comes out of it is what went in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from hands import HANDS, Hand, Values, redis_client
from postgres_ground import ask
from psycopg import sql
from quarantine_ground import mortals
from service_ground import Ground

from envctl import owners
from envctl.errors import EnvctlError
from envctl.model import Access, Owner, Resource
from envctl.services.postgres import private
from envctl.services.quarantine import inside

NOTES = {"since": "2026-11-21T12:00:00Z", "until": "2026-11-28T12:00:00Z", "why": "its branch is gone"}
BEFORE = {"migrated": "0f" * 32, "state": "ready: \"quoted\" 'twice' ünïcode"}


@pytest.fixture
def hand(service: str) -> Hand:
    return HANDS[service]


@pytest.fixture(autouse=True)
def nothing_is_left(ground: Ground) -> Iterator[None]:
    """The servers are shared, and some of what is asked here is asked of all that is on them."""
    yield
    for kind in ("database", ""):
        for one in listed(ground):
            if one.owner is not None and kind in ("", one.kind):
                ground.service.drop(ground.address, one, sessions="end")


def made(ground: Ground, namespace: str = "a", *, notes: dict[str, str] | None = None) -> Access:
    claim = ground.claim(namespace, environment="dev")
    access = ground.service.create(ground.address, ground.settings, claim)
    for one in access.resources if notes else ():
        ground.service.note(ground.address, one, notes or {})
    return access


def listed(ground: Ground) -> list[Resource]:
    return sorted(ground.service.list(ground.address, ground.project), key=lambda one: (one.kind, one.name))


def plain(found: list[Resource]) -> list[Resource]:
    return [replace(one, bytes=None) for one in found]


def quarantined(ground: Ground) -> list[Resource]:
    """Everything that is listed, put into quarantine, as it is returned."""
    return [ground.service.quarantine(ground.address, one, notes=NOTES) for one in listed(ground)]


def restored(ground: Ground, found: list[Resource]) -> list[Resource]:
    return [ground.service.restore(ground.address, one) for one in found]


def enters(hand: Hand, values: Values) -> bool:
    try:
        hand.get(values, "k")
    except hand.refusals:
        return False
    return True


# the identity


def test_quarantine_then_restore_is_the_identity(ground: Ground, hand: Hand) -> None:
    access = made(ground, notes=BEFORE)
    hand.put(access.values, "k", "precious")
    before = listed(ground)
    again = restored(ground, quarantined(ground))
    assert plain(again) == plain(before)
    assert plain(listed(ground)) == plain(before)
    assert hand.get(access.values, "k") == "precious"
    hand.put(access.values, "k2", "more")
    repeated = made(ground)
    assert (repeated.values, repeated.created) == (access.values, False)


def test_what_is_in_quarantine_cannot_be_entered_and_its_neighbours_can(ground: Ground, hand: Hand) -> None:
    access, neighbour = made(ground, "a"), made(ground, "b")
    for each in (access, neighbour):
        hand.put(each.values, "k", "precious")
    for one in listed(ground):
        if one.owner and one.owner.namespace == "a":
            ground.service.quarantine(ground.address, one, notes=NOTES)
    assert not enters(hand, access.values)
    assert hand.get(neighbour.values, "k") == "precious"
    with pytest.raises(hand.refusals):
        hand.put(access.values, "k", "changed")


def test_list_shows_it_with_its_maker_and_its_name_from_before(ground: Ground, hand: Hand) -> None:
    access = made(ground, notes=BEFORE)
    before = listed(ground)
    put = quarantined(ground)
    found = listed(ground)
    assert sorted(plain(found), key=repr) == sorted(plain(put), key=repr)
    for one in found:
        assert one.owner is not None
        assert inside(one.owner)
        assert replace(one.owner, notes={}) == ground.claim("a", environment="dev").owner
        assert NOTES.items() <= one.owner.notes.items()
    assert sorted(one.owner.notes["was"] for one in found if one.owner) == sorted(one.name for one in before)
    assert not ground.service.opens(ground.address, ground.claim("a", environment="dev"), access)


def test_twice_is_once_by_either_name(ground: Ground, hand: Hand) -> None:
    access = made(ground, notes=BEFORE)
    hand.put(access.values, "k", "precious")
    before = listed(ground)
    put = quarantined(ground)
    for known in (before, put):
        assert [ground.service.quarantine(ground.address, one, notes={"why": "x"}) for one in known] == put
    back = restored(ground, put)
    for known in (before, put, back):
        assert restored(ground, known) == back
    assert hand.get(access.values, "k") == "precious"
    assert plain(restored(ground, quarantined(ground))) == plain(before)
    assert hand.get(access.values, "k") == "precious"


def test_a_resource_from_before_names_what_is_in_quarantine(ground: Ground, hand: Hand) -> None:
    access = made(ground)
    hand.put(access.values, "k", "precious")
    before = listed(ground)
    quarantined(ground)
    assert plain(restored(ground, before)) == plain(before)
    assert hand.get(access.values, "k") == "precious"


# what is refused


@pytest.mark.parametrize(
    "lie", [{"namespace": "b"}, {"project": "theirs"}, {"environment": "ci"}, {"created": "2020"}, None], ids=str
)
def test_another_record_than_the_one_there_moves_nothing(
    ground: Ground, hand: Hand, lie: dict[str, str] | None
) -> None:
    access = made(ground)
    hand.put(access.values, "k", "precious")

    def lying(one: Resource) -> Resource:
        return replace(one, owner=replace(one.owner, **lie) if lie and one.owner else None)  # type: ignore[arg-type]

    before = listed(ground)
    for one in before:
        with pytest.raises(EnvctlError, match=r"left alone|gone"):
            ground.service.quarantine(ground.address, lying(one), notes=NOTES)
    assert plain(listed(ground)) == plain(before)
    assert hand.get(access.values, "k") == "precious"
    put = quarantined(ground)
    for one in put:
        with pytest.raises(EnvctlError, match=r"left alone|gone"):
            ground.service.restore(ground.address, lying(one))
    assert not enters(hand, access.values)
    assert sorted(plain(listed(ground)), key=repr) == sorted(plain(put), key=repr)


def test_a_newer_record_is_not_moved(ground: Ground, hand: Hand, monkeypatch: pytest.MonkeyPatch) -> None:
    access = made(ground)
    hand.put(access.values, "k", "precious")
    before, written = listed(ground), owners.to_text
    with monkeypatch.context() as patch:
        patch.setattr(owners, "to_text", lambda owner: written(owner).replace('"envctl":1', '"envctl":2'))
        for one in before:
            ground.service.note(ground.address, one, {})
    newer = listed(ground)
    assert [(one.name, one.owner) for one in newer] == [(one.name, None) for one in before]
    for one in (*before, *newer):
        with pytest.raises(EnvctlError):
            ground.service.quarantine(ground.address, one, notes=NOTES)
        with pytest.raises(EnvctlError):
            ground.service.restore(ground.address, one)
    assert hand.get(access.values, "k") == "precious"
    assert plain(listed(ground)) == plain(newer)


def _database_session(values: Values) -> Any:
    return psycopg.connect(values["url"])


@contextmanager
def _redis_session(values: Values) -> Iterator[None]:
    with redis_client(values) as client:
        client.ping()
        yield


SESSIONS: dict[str, Callable[[Values], AbstractContextManager[Any]]] = {
    "postgres": _database_session,
    "redis": _redis_session,
}
"""Those that have sessions; S3 has none."""


@pytest.mark.parametrize("service", SESSIONS)
def test_what_somebody_is_connected_to_is_not_moved(ground: Ground, hand: Hand, service: str) -> None:
    access = made(ground)
    hand.put(access.values, "k", "precious")
    before = listed(ground)
    with SESSIONS[service](access.values):
        for one in before:
            with pytest.raises(EnvctlError) as caught:
                ground.service.quarantine(ground.address, one, notes=NOTES)
            assert caught.value.code == "in_use"
        assert plain(listed(ground)) == plain(before)
        assert hand.get(access.values, "k") == "precious", "others still come in"
    assert all(inside(one.owner) for one in quarantined(ground))


# kills


@pytest.mark.parametrize("when", ["before", "sent"])
@pytest.mark.parametrize("verb", ["quarantine", "restore"])
def test_killed_anywhere_it_is_in_quarantine_or_not_and_the_next_call_finishes(
    ground: Ground, hand: Hand, verb: str, when: str
) -> None:
    access = made(ground, notes=BEFORE)
    hand.put(access.values, "k", "precious")
    before = plain(listed(ground))
    fatal, done = 0, False
    with mortals(ground) as children:
        while not done:
            fatal += 1
            if verb == "restore":
                quarantined(ground)
            done = children.survives(verb, fatal, when)
            found = listed(ground)
            assert [_was(one) for one in found] == [one.name for one in before]
            if verb == "restore":
                assert plain(restored(ground, found)) == before
            else:
                put = [ground.service.quarantine(ground.address, one, notes=NOTES) for one in found]
                assert all(inside(one.owner) for one in put)
                assert not enters(hand, access.values)
                restored(ground, put)
            assert plain(listed(ground)) == before
            assert hand.get(access.values, "k") == "precious"
    assert fatal > 3, "it was killed at least at these"


def _was(one: Resource) -> str:
    return one.owner.notes["was"] if one.owner and inside(one.owner) else one.name


# the namespace comes back


def test_a_namespace_that_comes_back_gets_its_own_or_a_new_one_and_loses_nothing(ground: Ground, hand: Hand) -> None:
    access = made(ground, notes=BEFORE)
    hand.put(access.values, "k", "precious")
    put = quarantined(ground)
    back = made(ground)
    assert back.values == access.values
    assert enters(hand, back.values)
    kept = [one for one in listed(ground) if inside(one.owner)]
    if not kept:
        assert hand.get(back.values, "k") == "precious"
        assert [one.owner.notes for one in back.resources if one.owner] == [BEFORE] * len(back.resources)
        return
    assert back.created
    assert hand.get(back.values, "k") is None
    hand.put(back.values, "k", "new")
    moved = [one for one in put if one.name in {each.name for each in kept} and one.kind != "role"]
    for one in moved:
        with pytest.raises(EnvctlError) as caught:
            ground.service.restore(ground.address, one)
        assert caught.value.code == "taken"
    assert hand.get(back.values, "k") == "new"
    assert sorted(one.name for one in listed(ground) if inside(one.owner)) == sorted(one.name for one in kept)
    for one in back.resources:
        if one.kind != "role":
            ground.service.drop(ground.address, one)
    restored(ground, moved)
    assert hand.get(access.values, "k") == "precious"


def test_a_crowd_of_its_processes_that_comes_back_gets_one_and_the_same(ground: Ground, hand: Hand) -> None:
    hand.put(made(ground, notes=BEFORE).values, "k", "precious")
    quarantined(ground)
    with ThreadPoolExecutor(8) as pool:
        accesses = list(pool.map(lambda _: made(ground), range(8)))
    assert all(one.resources == accesses[0].resources for one in accesses)
    hand.put(accesses[0].values, "k2", "shared")
    assert [hand.get(one.values, "k2") for one in accesses] == ["shared"] * 8


def test_two_at_once_come_to_one_result(ground: Ground, hand: Hand) -> None:
    access = made(ground, notes=BEFORE)
    hand.put(access.values, "k", "precious")
    before = [one for one in listed(ground) if one.kind != "role"]
    with ThreadPoolExecutor(8) as pool:
        for known in before:
            put = list(pool.map(lambda one: _or_busy(lambda: _put(ground, one)), [known] * 8))
            assert len({one.name for one in put if one}) == 1
    assert not enters(hand, access.values)
    found = [one for one in listed(ground) if one.kind != "role"]
    assert all(inside(one.owner) for one in found)
    with ThreadPoolExecutor(8) as pool:
        for known in found:
            back = list(pool.map(lambda one: _or_busy(lambda: restored(ground, [one])[0]), [known] * 8))
            assert len({one.name for one in back if one}) == 1
    assert [replace(one, bytes=None) for one in listed(ground) if one.kind != "role"] == plain(before)
    assert hand.get(access.values, "k") == "precious"


def _put(ground: Ground, one: Resource) -> Resource:
    return ground.service.quarantine(ground.address, one, notes=NOTES)


def _or_busy(work: Callable[[], Resource]) -> Resource | None:
    """Who comes second may be told that it changed meanwhile, and to try again."""
    try:
        return work()
    except EnvctlError as error:
        if "meanwhile" not in error.message:
            raise
        return None


# the end


def test_what_is_in_quarantine_can_be_dropped_and_takes_its_login_along(ground: Ground, hand: Hand) -> None:
    access = made(ground)
    hand.put(access.values, "k", "gone")
    put = quarantined(ground)
    outcomes = list(ground.service.drop_all(ground.address, [one for one in put if one.kind != "role"]))
    assert [error for _, error in outcomes] == [None] * len(outcomes)
    assert listed(ground) == []
    assert not enters(hand, access.values)
    assert hand.get(made(ground).values, "k") is None


def test_what_was_given_back_meanwhile_is_not_dropped(ground: Ground, hand: Hand) -> None:
    access = made(ground, notes=BEFORE)
    hand.put(access.values, "k", "precious")
    put = quarantined(ground)
    restored(ground, put)
    for one, error in ground.service.drop_all(ground.address, put):
        gone = one.name not in {each.name for each in listed(ground)}
        assert gone or (error is not None and error.code in ("not_ours", "in_use"))
    assert hand.get(access.values, "k") == "precious"
    again = quarantined(ground)
    later = [replace(one, owner=_with(one, until="9999")) for one in again]
    for one, error in ground.service.drop_all(ground.address, later):
        assert error is not None, f"{one.name} was put there for another time"
    restored(ground, again)
    assert hand.get(access.values, "k") == "precious"


def _with(one: Resource, **notes: str) -> Owner:
    assert one.owner is not None
    return replace(one.owner, notes={**one.owner.notes, **notes})


def test_drop_all_asks_for_the_next_only_when_one_is_done(ground: Ground) -> None:
    access, stranger = made(ground, "a"), made(ground.stranger(), "a")
    going = [one for one in (*access.resources, *stranger.resources) if one.kind != "role"]
    seen: list[int] = []

    def checked() -> Iterator[Resource]:
        for one in going:
            seen.append(sum(each.kind != "role" for each in listed(ground)))
            theirs = one in stranger.resources
            yield replace(one, owner=ground.claim("b").owner) if theirs else one

    outcomes = list(ground.service.drop_all(ground.address, checked()))
    assert [error is None for _, error in outcomes] == [one in access.resources for one in going]
    assert seen[-1] == 0
    assert len(set(seen)) > 1
    assert len(listed(ground.stranger())) == len(stranger.resources)


# postgres alone

POSTGRES = pytest.mark.parametrize("service", ["postgres"])


def say(ground: Ground, statement: str, *names: str, **place: Any) -> list[tuple[Any, ...]]:
    return ask(ground.address, sql.SQL(statement).format(*(sql.Identifier(name) for name in names)), **place)


def databases(ground: Ground) -> list[Resource]:
    return [one for one in listed(ground) if one.kind == "database"]


@POSTGRES
@pytest.mark.usefixtures("service")
def test_the_bare_name_has_a_name_in_quarantine_that_parses_as_nobodys(ground: Ground) -> None:
    claim = replace(ground.claim("a", environment="dev"), names={"database": ground.project})
    ground.service.create(ground.address, ground.settings, claim)
    (put,) = [_put(ground, one) for one in databases(ground)]
    assert private.kind(put.name, ground.project) == "quarantine"
    assert put.name.startswith(f"{ground.project}__q_")
    assert put.owner
    assert put.owner.notes["was"] == ground.project
    assert ground.service.restore(ground.address, put).name == ground.project


@POSTGRES
@pytest.mark.usefixtures("service")
@pytest.mark.parametrize("by_hand", ["ALTER DATABASE {} ALLOW_CONNECTIONS true", "ALTER DATABASE {} RENAME TO rescued"])
def test_what_somebody_took_out_of_it_by_hand_is_not_dropped(ground: Ground, by_hand: str) -> None:
    made(ground)
    put = next(one for one in quarantined(ground) if one.kind == "database")
    ask(ground.address, sql.SQL(by_hand).format(sql.Identifier(put.name)))
    now = next(one for one in listed(ground) if one.kind == "database")
    ((_, error),) = ground.service.drop_all(ground.address, [now])
    assert error is not None
    assert error.code == "taken_out"
    assert now.name in {one.name for one in listed(ground)}
    if now.name != put.name:
        back = sql.SQL("ALTER DATABASE {} RENAME TO {}")
        ask(ground.address, back.format(sql.Identifier(now.name), sql.Identifier(put.name)))
    ask(ground.address, sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(sql.Identifier(put.name)))
    ((_, error),) = ground.service.drop_all(ground.address, [put])
    assert error is None


@POSTGRES
@pytest.mark.usefixtures("service")
def test_a_name_that_a_stranger_took_is_left_to_them(ground: Ground, hand: Hand) -> None:
    access = made(ground)
    hand.put(access.values, "k", "precious")
    name = access.values["database"]
    put = quarantined(ground)
    say(ground, "CREATE DATABASE {}", name)
    before = listed(ground)
    with pytest.raises(EnvctlError, match="was not restored") as caught:
        ground.service.restore(ground.address, put[0])
    assert "that envctl did not make" in caught.value.cause
    assert plain(listed(ground)) == plain(before)
    say(ground, "ALTER DATABASE {} RENAME TO {}", name, f"{name}_moved")
    restored(ground, put)
    assert hand.get(access.values, "k") == "precious"
    say(ground, "DROP DATABASE {}", f"{name}_moved")


@POSTGRES
@pytest.mark.usefixtures("service")
def test_a_login_is_locked_with_its_last_database_and_opened_with_its_first(ground: Ground) -> None:
    access = made(ground)
    second = f"{ground.project}_analytics"
    login = {"user": access.values["user"], "password": access.values["password"]}
    say(ground, "CREATE DATABASE {}", second, **login)
    own, other = sorted(databases(ground), key=lambda one: one.name == second)
    put = _put(ground, own)
    assert ask(ground.address, "SELECT 1", second, **login) == [(1,)]
    put_other = _put(ground, other)
    with pytest.raises(psycopg.OperationalError, match="not permitted to log in"):
        ask(ground.address, "SELECT 1", **login)
    assert all(inside(one.owner) for one in listed(ground))
    assert ground.service.restore(ground.address, put_other) == other
    assert ask(ground.address, "SELECT 1", second, **login) == [(1,)]
    ground.service.restore(ground.address, put)
    assert ask(ground.address, "SELECT 1", access.values["database"], **login) == [(1,)]
    query = sql.SQL("SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = {}").format(second)
    assert ask(ground.address, query) == [(None,)]


@POSTGRES
@pytest.mark.usefixtures("service")
def test_what_a_database_had_of_its_own_it_has_again(ground: Ground, hand: Hand) -> None:
    access = made(ground)
    hand.put(access.values, "k", "precious")
    name = access.values["database"]
    say(ground, "ALTER DATABASE {} CONNECTION LIMIT 7", name)
    say(ground, "ALTER DATABASE {} SET statement_timeout = '42s'", name)
    say(ground, "GRANT CONNECT ON DATABASE {} TO pg_monitor", name)
    facts = sql.SQL(
        "SELECT datallowconn, datconnlimit, datacl::text, setconfig, oid FROM pg_database d"
        " LEFT JOIN pg_db_role_setting ON setdatabase = d.oid WHERE datname = {}"
    ).format(name)
    before = ask(ground.address, facts)
    restored(ground, quarantined(ground))
    assert ask(ground.address, facts) == before
    say(ground, "ALTER DATABASE {} ALLOW_CONNECTIONS false", name)
    restored(ground, quarantined(ground))
    say(ground, "ALTER DATABASE {} ALLOW_CONNECTIONS true", name)
    assert ask(ground.address, facts) == before, "closed by hand before, it was closed by hand after"


@POSTGRES
@pytest.mark.usefixtures("service")
@pytest.mark.parametrize("unfinished", [1_163_286_339, None])
def test_what_can_be_made_again_is_not_kept(ground: Ground, unfinished: int | None) -> None:
    access = made(ground)
    name = access.values["database"]
    statement = "ALTER DATABASE {} IS_TEMPLATE true"
    if unfinished:
        statement = f"ALTER DATABASE {{}} CONNECTION LIMIT {unfinished}"
    say(ground, statement, name)
    (found,) = databases(ground)
    with pytest.raises(EnvctlError) as caught:
        _put(ground, found)
    assert caught.value.code == ("half_made" if unfinished else "no_quarantine")
    assert databases(ground) == [found]
    say(ground, "ALTER DATABASE {} IS_TEMPLATE false", name)


@POSTGRES
@pytest.mark.usefixtures("service")
def test_a_login_with_an_open_database_is_not_locked(ground: Ground, hand: Hand) -> None:
    access = made(ground)
    (role,) = [one for one in listed(ground) if one.kind == "role"]
    with pytest.raises(EnvctlError, match="still owns"):
        _put(ground, role)
    hand.put(access.values, "k", "still here")


@POSTGRES
@pytest.mark.usefixtures("service")
def test_a_session_of_the_login_elsewhere_keeps_it_from_quarantine(ground: Ground) -> None:
    access = made(ground)
    with psycopg.connect(access.values["url"], dbname="postgres"):
        for one in databases(ground):
            with pytest.raises(EnvctlError, match="in use"):
                _put(ground, one)
    assert all(not inside(one.owner) for one in listed(ground))


@POSTGRES
@pytest.mark.usefixtures("service")
@pytest.mark.parametrize("powers", ["CREATEDB CREATEROLE", "CREATEDB"])
def test_an_administrator_who_is_no_superuser_can_do_it_too(ground: Ground, hand: Hand, powers: str) -> None:
    name = f"{ground.project}lesser"
    say(ground, f"CREATE ROLE {{}} LOGIN {powers} PASSWORD 'secret'", name)
    lesser = replace(ground, address=replace(ground.address, user=name, password="secret"))
    access = made(lesser, notes=BEFORE)
    hand.put(access.values, "k", "precious")
    before = listed(lesser)
    put = quarantined(lesser)
    assert not enters(hand, access.values)
    assert plain(restored(lesser, put)) == plain(before)
    assert hand.get(access.values, "k") == "precious"
    outcomes = list(lesser.service.drop_all(lesser.address, quarantined(lesser)))
    assert [error for _, error in outcomes] == [None] * len(outcomes)
    say(ground, "DROP OWNED BY {}", name)
    say(ground, "DROP ROLE {}", name)
