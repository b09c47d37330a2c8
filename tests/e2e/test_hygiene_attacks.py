"""Attacks by name: each is a world with an orphan that must go, and beside it what only looks like one."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pytest
from checkouts import Envctl, git
from world_check import check, kept, unlike
from world_making import owner
from world_parts import made
from world_servers import Ground, newer
from worlds import HAND, TEXTS, UNREADABLE, Aside, Place, Run, Stranger, World, fitting

from envctl import owners
from envctl.inventory import spared
from envctl.model import Holder

pytestmark = pytest.mark.embedded
ORPHAN = Place("feature/gone", end="removed")
SHOP = World("shop", "shop_test", places=(ORPHAN,), runs=(Run("dead"),))
Kind = Literal["database", "login", "bucket"]


def hand_made(*names: str, record: str = "none", kind: Kind = "database") -> World:
    return replace(SHOP, strangers=tuple(Stranger(fitting(name), record, kind) for name in names))


# neighbours


@pytest.mark.parametrize(("project", "neighbour"), [("a", "a_gw1"), ("shop", "shop_test"), ("shop_test", "shop")])
def test_a_project_whose_name_begins_like_ours_keeps_everything(shared: Ground, project: str, neighbour: str) -> None:
    check(replace(SHOP, project=project, neighbour=neighbour, theirs=True), shared)
    check(replace(SHOP, project=project, neighbour=neighbour, theirs=True, everything=True), shared)


def test_a_branch_a_and_a_branch_a_gw1(shared: Ground) -> None:
    gone, there = Place("a", "named", "removed"), Place("a_gw1", "named")
    check(replace(SHOP, places=(gone, there)), shared)
    check(replace(SHOP, places=(replace(gone, end="there"), replace(there, end="removed"))), shared)
    check(replace(SHOP, places=(gone, there), runs=(Run("dead", 0, 1), Run("at work", 1, 1))), shared)


def test_a_server_that_several_hosts_share(shared: Ground) -> None:
    """What another host has in quarantine, or what a run of nobody knows which host made there, is not ours to drop."""
    theirs = (Stranger("shop_dev_x", "another host's"), Stranger("shop_dev_y", "no such checkout"))
    check(replace(SHOP, engine="external", strangers=theirs, runs=(Run("ended", 0), Run("dead", 0))), shared)
    check(replace(SHOP, engine="external", strangers=theirs, everything=True), shared)


# names


def test_an_underscore_is_no_wildcard(shared: Ground) -> None:
    check(hand_made("shopXdev_x", "shop_devXx", "shopXtestXx", "shop-dev-x", "shopx_test_x_gw0"), shared)


def test_a_percent_sign_is_no_wildcard(shared: Ground) -> None:
    check(hand_made("shop%", "%", "shop_dev_%", "shop%test%x", "shop_test_%_gw0"), shared)


@pytest.mark.parametrize("text", ['x"y', "x'y", '"', "'", "x;--", 'x"; DROP DATABASE "postgres', "x\\", "x y", " "])
def test_quotes_are_letters(shared: Ground, text: str) -> None:
    check(hand_made(f"shop_dev_{text}", f"shop_test_{text}", text, record="another namespace"), shared)


@pytest.mark.parametrize("text", ["\u00e9", "e\u0301", "🚀", "ß", "\u017fhop", "\u0445", "\u200b", "İ"])
def test_unicode_that_looks_or_folds_like_ours(shared: Ground, text: str) -> None:
    check(hand_made(f"shop_dev_{text}", f"\u017fhop_test_{text}", f"SHOP_TEST_{text}", text), shared)


def test_names_of_63_bytes(shared: Ground) -> None:
    names = [f"shop_dev_{'x' * 60}", f"shop_test_{'ä' * 40}", f"shop__q_{'0' * 60}", "x" * 63]
    check(hand_made(*names), shared)
    check(replace(SHOP, places=(Place("x" * 200, end="removed"), Place("x" * 201))), shared)


def test_every_pattern_of_ours_with_every_text_and_no_record(shared: Ground) -> None:
    names = {fitting(pattern.format(p="shop", t=text)) for pattern in HAND for text in TEXTS[:4]}
    check(hand_made(*sorted(names)), shared)
    check(hand_made(*sorted(names)[::9], kind="login"), shared)
    check(hand_made("files", "files-x", "files-dev-x", "files-x-gw0", "filesx", kind="bucket"), shared)


# records


@pytest.mark.parametrize(
    "record", ["broken", "newer", "not an object", "by hand", "another project", "no such checkout"]
)
def test_a_record_that_does_not_say_that_it_is_ours(shared: Ground, record: str) -> None:
    check(hand_made("shop_dev_x", "shop_test_x_gw0", "shop__q_0123456789ab", record=record), shared)
    check(hand_made("files-dev-x", "files-x-gw0", record=record, kind="bucket"), shared)
    check(hand_made("shop_dev_x", record=record, kind="login"), shared)


ODD: dict[str, Any] = {
    "a version that is no number": {"envctl": "1"},
    "a version that is true": {"envctl": True},
    "notes that are a list": {"notes": ["quarantine"]},
    "a quarantine without an end": {"notes": {"kind": "quarantine"}},
    "an environment that is none": {"environment": "tset"},
    "a project in capitals": {"project": "SHOP"},
    "a lease that is a number": {"lease": 5},
}


@pytest.mark.parametrize("change", ODD.values(), ids=ODD.keys())
def test_a_whole_record_with_one_thing_wrong(shared: Ground, change: dict[str, Any]) -> None:
    whole = json.loads(owners.to_text(owner("shop", "x", "test", lease="feedbeef0123")))
    with made(SHOP, shared) as there:
        shared.say("CREATE DATABASE {} STRATEGY file_copy", "shop_test_x")
        shared.say("COMMENT ON DATABASE {} IS {}", "shop_test_x", text=json.dumps({**whole, **change}))
        only_the_orphan_goes(there)


def test_a_record_of_json_that_is_deeper_than_any_parser(shared: Ground) -> None:
    with made(SHOP, shared) as there:
        shared.say("CREATE DATABASE {} STRATEGY file_copy", "shop_test_x")
        shared.say("COMMENT ON DATABASE {} IS {}", "shop_test_x", text='{"envctl":' + "[" * 20_000)
        only_the_orphan_goes(there)


def only_the_orphan_goes(there: Any) -> None:
    before, state = there.listing(), kept(there)
    for _ in range(2):
        there.apply(there.planned())
    unlike(there, before, there.listing(), done=True)
    assert kept(there) == state


# the state folder


@pytest.mark.parametrize("state", UNREADABLE)
def test_a_run_of_which_nobody_can_tell_what_it_made(shared: Ground, state: str) -> None:
    for runs in ((Run(state),), (Run(state, 0, 1), Run("ended", 0)), (Run(state), Run("ended"), Run("dead"))):
        check(replace(SHOP, runs=runs), shared)
        check(replace(SHOP, runs=runs, everything=True), shared)


def test_links_out_of_the_state_folder(shared: Ground) -> None:
    check(replace(SHOP, links=True), shared)
    check(replace(SHOP, links=True, places=(replace(ORPHAN, state="linked memory"),)), shared)


@pytest.mark.parametrize("registration", ["old", "no identity", "broken", "newer", "none"])
def test_a_registration_that_proves_nothing(shared: Ground, registration: Any) -> None:
    check(replace(SHOP, places=(ORPHAN, Place("other", end="removed", registration=registration))), shared)


@pytest.mark.parametrize("clock", ["forward", "back", "broken", "another boot"])
def test_the_clock_jumps(shared: Ground, clock: Any) -> None:
    for until in ("past", "future", "unreadable"):
        check(replace(SHOP, clock=clock, asides=(Aside(until), Aside(until, "back"))), shared)


def test_a_number_of_a_process_is_no_evidence(shared: Ground) -> None:
    """The dead holder's number is that of a process that lives, the living one's is nobody's."""
    dead, living = Place("a", end="removed", user="dead lease"), Place("b", end="removed", user="lease")
    check(replace(SHOP, places=(dead, living)), shared)


@pytest.mark.parametrize("state", ["half made", "half dropped"])
def test_what_is_half_made_goes_too(shared: Ground, state: Any) -> None:
    check(replace(SHOP, places=(replace(ORPHAN, state=state), Place("there", state=state))), shared)


@pytest.mark.parametrize("repository", ["gone", "no objects", "no refs", "broken HEAD"])
def test_a_repository_that_cannot_be_read_proves_nothing(shared: Ground, repository: Any) -> None:
    check(replace(SHOP, repository=repository, places=(ORPHAN, Place("a", "clone", "branch gone"))), shared)


# what happens after the plan was made


@pytest.mark.parametrize("late", ["lease", "session", "added again", "restored", "run"])
def test_whoever_comes_after_the_plan_was_made_keeps_everything(shared: Ground, late: str) -> None:
    with made(replace(SHOP, runs=()), shared) as there:
        (name,) = there.names
        (database,) = (key[1] for key, fate in there.fates.items() if (key[0], fate) == ("database", "aside"))
        plan = there.planned()
        before = there.listing()
        if late == "lease":
            holder = Holder("held", name, "/x", "envctl run", "", 1)
            there.living(shared.holders.lease(there.root / "state", there.home / "leases", holder))
        elif late == "session":
            there.session(there.values["database", database])
        elif late == "added again":
            git(there.root / "main", "worktree", "add", "-q", str(there.root / "place 0"), "feature/gone")
        elif late == "restored":
            now = datetime.now(UTC)
            spared.spare(there.desk.home, database, now + timedelta(days=1), now)
        else:
            of = replace(there.desk, environment="test", names=replace(there.desk.names, namespace=name))
            of = replace(of, namespace=replace(of.namespace, name=name))
            pid, _ = shared.holders.run(there.root / "state", of, there.home, "embedded")
            there.living(pid)
        outcomes = there.apply(plan)
        refused = {one.result for one in outcomes if one.action.finding.resource.service == "postgres"}
        assert refused <= {"kept", "failed"}
        assert there.listing() == before


# the command


def test_the_command_itself_does_the_same(shared: Ground, tmp_path: Path) -> None:
    world = replace(
        SHOP, theirs=True, links=True, strangers=(Stranger("shop_dev_x", "newer"),), asides=(Aside("past"),)
    )
    with made(world, shared) as there:
        before, state = there.listing(), kept(there)
        envctl = Envctl(there.root / "state")
        words = ("--project", str(there.root / "desk"), "--namespace", "desk")
        told = envctl("clean", "--dry-run", "--json", *words, cwd=tmp_path).data["actions"]
        assert there.listing() == before
        envctl("clean", *words, cwd=tmp_path)
        unlike(there, before, there.listing(), done=True)
        assert kept(there) == state
        todo = {one["name"] for one in told if one["do"] != "keep" and one["service"] == "postgres"}
        assert todo == {name for (kind, name), fate in there.fates.items() if fate != "stays" and kind != "user"}
        for name in sorted(there.names):
            envctl("restore", name, *words, cwd=tmp_path)
        aside = [key for key, fate in there.fates.items() if fate == "aside"]
        after = there.listing()
        assert aside
        assert {key: after[key] for key in aside} == {key: before[key] for key in aside}


def test_a_newer_record_is_what_the_next_version_would_write() -> None:
    text = newer(owners.to_text(owner("shop", "x")))
    assert owners.from_text(text) is None
    assert owners.mentions(text, "shop")
