"""A resource and the facts give a verdict: only what is provably nobody's is an orphan, and every doubt saves it."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from envctl import state
from envctl.environments import DEFAULTS
from envctl.inventory import clock
from envctl.inventory.verdicts import Facts, Found, Whereabouts, judge
from envctl.model import Finding, Owner, Resource
from envctl.workspaces import Workspace

NOW = datetime(2026, 5, 1, tzinfo=UTC)
CHECKOUT = Workspace("feature_x", Path("/work/x"), "feature/x", False, "git", "/repo/.git", "/repo/.git/worktrees/x")
GONE = Whereabouts(CHECKOUT, gone="git has no branch feature/x any more")
FACTS = Facts(
    project="shop",
    patterns=DEFAULTS,
    buckets=("files",),
    host="laptop",
    now=NOW,
    runs={"live-run": "live", "dead-run": "dead"},
    checkouts={"feature_x": GONE},
)
DEV = Owner("shop", "dev", "feature_x", "/work/x", "feature/x", "laptop", "2026-01-01T00:00:00+00:00")
RUN = replace(DEV, environment="test", lease="dead-run", worker="gw0")


def database(name: str = "shop_dev_feature_x", owner: Owner | None = DEV) -> Found:
    return Found(Resource("postgres", "database", name, owner), "dev-embedded")


def verdict(found: Found, facts: Facts = FACTS) -> str:
    return judge(found, facts).verdict


def told(found: Found, facts: Facts = FACTS) -> Finding:
    return judge(found, facts)


@pytest.mark.parametrize(
    ("kind", "service", "name"),
    [
        ("database", "postgres", "shop_dev_feature_x"),
        ("role", "postgres", "shop_dev_feature_x"),
        ("bucket", "s3", "files-dev-feature-x"),
        ("number", "redis", "shop_dev_feature_x"),
    ],
)
def test_what_a_gone_branch_had_is_an_orphan_in_every_service(kind: str, service: str, name: str) -> None:
    assert verdict(Found(Resource(service, kind, name, DEV), "dev-embedded")) == "orphan"


@pytest.mark.parametrize(
    ("found", "facts", "expected"),
    [
        (database(owner=None), FACTS, "unexplained"),
        (database(owner=replace(DEV, project="shop_test")), FACTS, "unexplained"),
        (database("shop_dev_other"), FACTS, "unexplained"),
        (database("shop_dev_feature_x_gw1"), FACTS, "unexplained"),
        (database("shop_test_feature_x"), FACTS, "unexplained"),
        (database("shop_dev_feature_x'; --"), FACTS, "unexplained"),
        (database("shop%dev_feature_x"), FACTS, "unexplained"),
        (database(), replace(FACTS, checkouts={}), "unexplained"),
        (
            database(),
            replace(FACTS, checkouts={"feature_x": Whereabouts(CHECKOUT, doubt="not mounted")}),
            "unexplained",
        ),
        (database(), replace(FACTS, checkouts={"feature_x": Whereabouts(CHECKOUT)}), "idle"),
        (database(), replace(FACTS, spared={"shop_dev_feature_x": NOW + timedelta(days=1)}), "idle"),
        (database(), replace(FACTS, spared={"shop_dev_feature_x": NOW}), "orphan"),
        (database(), replace(FACTS, users={"feature_x": "pinned"}), "live"),
        (database(), replace(FACTS, users={"": "a lease that nobody can read"}), "live"),
        (replace(database(), sessions=1), FACTS, "live"),
        (database("shop_staging", replace(DEV, environment="staging")), FACTS, "idle"),
    ],
)
def test_every_doubt_saves_what_a_checkout_had(found: Found, facts: Facts, expected: str) -> None:
    assert verdict(found, facts) == expected


def test_the_bare_names_are_released_by_no_evidence() -> None:
    primary = replace(FACTS, checkouts={"feature_x": replace(GONE, workspace=replace(CHECKOUT, primary=True))})
    assert verdict(database("shop"), primary) == "idle"
    assert verdict(database("shop"), FACTS) == "unexplained"


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (database("shop_test_feature_x_gw0", RUN), "orphan"),
        (database("made by a test", RUN), "orphan"),
        (database("shop_test_feature_x_gw0", replace(RUN, lease="live-run")), "live"),
        (replace(database("shop_test_feature_x_gw0", RUN), sessions=2), "live"),
        (database("shop_test_feature_x_gw0", replace(RUN, lease="")), "unexplained"),
        (database("shop_test_feature_x_gw0", replace(RUN, lease="unknown")), "orphan"),
        (database("made by a test", replace(RUN, lease="unknown")), "unexplained"),
        (database("shop_test_feature_x_gw1", replace(RUN, lease="unknown")), "unexplained"),
    ],
)
def test_what_a_run_made_hangs_on_that_runs_lock_alone(found: Found, expected: str) -> None:
    assert verdict(found) == expected


def test_a_test_database_of_another_host_was_brought_here_by_somebody() -> None:
    """What `pg_dump -C` brings has its maker's record; a run on record here is ours whatever the host was called."""
    brought = database("shop_test_feature_x_gw0", replace(RUN, lease="unknown", host="colleague"))
    assert told(brought).verdict == "unexplained"
    assert "host colleague" in told(brought).reason
    named_by_hand = database("shop_dev_other", replace(RUN, lease="unknown", host="colleague"))
    assert told(named_by_hand).remedy == "", "not even `--all` takes what no pattern of ours names"
    assert verdict(database("shop_test_feature_x_gw0", replace(RUN, host="colleague"))) == "orphan"
    assert verdict(database("shop_test_feature_x_gw0", replace(RUN, lease="unknown", host=""))) == "orphan"


def test_what_a_failed_run_kept_waits_for_the_next_one() -> None:
    kept = replace(FACTS, kept=frozenset({("dead-run", "shop_test_feature_x_gw0")}))
    assert verdict(database("shop_test_feature_x_gw0", RUN), kept) == "idle"
    assert verdict(database("shop_test_feature_x_gw1", RUN), kept) == "orphan"


def test_servers_that_others_use_too_ask_for_more() -> None:
    """There the same namespace, or a run that is not on record here, may be another user's or another host's."""
    unknown = database("shop_test_feature_x_gw0", replace(RUN, lease="unknown"))
    elsewhere = database(owner=replace(DEV, workspace="/home/bob/x"))
    other_host = database(owner=replace(DEV, host="desktop"))
    assert [verdict(replace(one, reach="machine")) for one in (database(), unknown, elsewhere)] == [
        "orphan",
        "unexplained",
        "unexplained",
    ]
    assert [verdict(replace(one, reach="network")) for one in (database(), other_host)] == ["orphan", "unexplained"]
    assert verdict(other_host) == "orphan", "a name that the machine has lost means nothing where only we can come"


def test_quarantine_ends_when_its_time_has_come_and_not_when_nobody_can_read_it() -> None:
    def aside(until: str) -> Found:
        return database("shop__q_0123456789ab", replace(DEV, notes={"kind": "quarantine", "until": until}))

    assert verdict(aside("2026-05-01T00:00:00+00:00")) == "orphan"
    assert verdict(aside("2026-05-01T00:00:01+00:00")) == "idle"
    assert verdict(aside("soon")) == verdict(aside("")) == "idle"


def test_what_somebody_took_out_of_quarantine_by_hand_is_in_no_quarantine() -> None:
    past = replace(DEV, notes={"kind": "quarantine", "until": "2026-04-01T00:00:00+00:00"})
    for name in ("shop_dev_feature_x", "rescued", "other__q_0123456789ab", "shop__q_rescued"):
        found = told(database(name, past))
        assert (found.verdict, found.remedy) == ("unexplained", "")
    assert verdict(Found(Resource("s3", "bucket", "files-dev-feature-x", past), "dev-embedded")) == "orphan"


def test_what_may_be_anothers_quarantine_is_left_to_him() -> None:
    past = replace(DEV, notes={"kind": "quarantine", "until": "2026-04-01T00:00:00+00:00"})
    mine = database("shop__q_0123456789ab", past)
    elsewhere = database("shop__q_0123456789ab", replace(past, workspace="/home/bob/x"))
    unknown = database("shop__q_0123456789ab", replace(past, namespace="feature_y"))
    used = replace(FACTS, users={"feature_x": "pinned"})
    for reach in ("machine", "network"):
        judged = [told(replace(one, reach=reach)) for one in (mine, elsewhere, unknown)]
        assert [(one.verdict, bool(one.remedy)) for one in judged] == [
            ("orphan", True),
            ("unexplained", False),
            ("unexplained", False),
        ]
        busy = told(replace(mine, reach=reach), used)
        assert (busy.verdict, busy.remedy) == ("idle", "")
    assert [verdict(one) for one in (mine, elsewhere, unknown)] == ["orphan"] * 3
    assert verdict(mine, used) == "orphan", "only we come to such a server"


def test_templates_stay_for_the_runs_to_come() -> None:
    template = database("shop__t_0123456789ab", replace(RUN, namespace="*", lease="", notes={"kind": "template"}))
    assert told(template).verdict == "idle"
    assert told(template).remedy == "envctl clean --templates"


def test_nothing_that_we_may_not_remove_comes_with_a_command_of_ours() -> None:
    """`--all` takes what has one."""
    stranger, unreadable = database(owner=replace(DEV, project="other")), database(owner=None)
    unnamed, live = database("shop_dev_other"), replace(database(), sessions=1)
    assert {told(one).remedy for one in (stranger, unreadable, unnamed, live)} == {""}


@pytest.mark.parametrize("evil", ["x; rm -rf ~", "$(reboot)", "a b", "x\n'y"])
def test_a_command_to_be_pasted_has_its_names_quoted(evil: str) -> None:
    aside = replace(DEV, namespace=evil, notes={"kind": "quarantine", "until": "2999-01-01T00:00:00+00:00"})
    for owner in (aside, replace(aside, notes={"kind": "quarantine"})):
        assert shlex.split(told(database("shop__q_0123456789ab", owner)).remedy) == [
            "envctl",
            "clean",
            "--all",
            "--branch",
            evil,
        ]


def test_a_clock_that_jumps_forward_moves_nothing_and_one_that_is_set_back_does() -> None:
    hour = timedelta(hours=1)
    assert clock.judged(NOW + hour, 3600.0, anchor=NOW, then=0.0) == NOW + hour
    assert clock.judged(NOW + 1000 * hour, 3600.0, anchor=NOW, then=0.0) == NOW + hour
    assert clock.judged(NOW - hour, 3600.0, anchor=NOW, then=0.0) == NOW - hour


def test_the_clocks_anchor_lasts_for_one_boot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENVCTL_STATE_DIR", str(tmp_path))
    before = clock.now()
    anchor = (tmp_path / "clock.json").read_text()
    assert before <= clock.now() <= datetime.now(UTC)
    assert (tmp_path / "clock.json").read_text() == anchor
    (tmp_path / "clock.json").write_text(anchor.replace('"boot": "', '"boot": "another'))
    assert clock.now() > before
    (tmp_path / "clock.json").write_text("half wri")
    assert clock.now() > before


def test_what_is_to_last_lasts_from_what_was_believed_before_also_where_the_clock_is_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENVCTL_STATE_DIR", str(tmp_path))
    clock.now()
    content, ahead = json.loads((tmp_path / "clock.json").read_text()), timedelta(days=20)
    wall = datetime.fromisoformat(content["wall"]) + ahead
    for boot in (content["boot"], "another"):
        state.write(
            tmp_path / "clock.json", {**content, "boot": boot, "wall": wall.isoformat(), "last": wall.isoformat()}
        )
        assert clock.reached() >= wall


def test_after_a_start_a_clock_far_ahead_is_believed_when_it_has_said_so_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENVCTL_STATE_DIR", str(tmp_path))
    today, file = datetime.now(UTC), tmp_path / "clock.json"
    last = today - timedelta(days=40)
    state.write(file, {"boot": "another", "wall": last.isoformat(), "elapsed": 5.0})
    assert clock.now() == last
    assert last < clock.now() < last + timedelta(hours=1), "the kernel counts on from there"
    content = json.loads(file.read_text())
    file.write_text("half wri")
    assert clock.now() < last + timedelta(hours=1), "what is damaged is read from its copy"
    long_ago = last - clock.LONG_ENOUGH
    file.write_text(json.dumps({**content, "doubted": long_ago.isoformat()}))
    assert clock.now() >= today
    assert clock.now() >= today
    assert "doubted" not in json.loads(file.read_text())


def test_a_clock_in_doubt_stays_so_over_restarts_until_it_is_set_right() -> None:
    day = timedelta(days=1)
    first = clock.Look("one", NOW, 0.0, NOW)
    ahead = clock.begun("two", NOW + 100 * day, 5.0, first)
    assert (ahead.wall, ahead.doubted) == (NOW, NOW)
    later = replace(ahead, last=NOW + 3 * day)
    again = clock.begun("three", NOW + 101 * day, 5.0, later)
    assert (again.wall, again.doubted) == (NOW + 3 * day, NOW), "the days are counted together"
    right = clock.begun("three", NOW + 4 * day, 5.0, later)
    assert (right.wall, right.doubted) == (NOW + 4 * day, None)
    assert clock.followed(ahead, NOW - day, 9.0, NOW - day).doubted is None
    assert clock.begun("two", NOW + 29 * day, 5.0, first).wall == NOW + 29 * day
