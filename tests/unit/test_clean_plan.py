"""A plan follows from the findings and the scope alone: what is dropped, what is only put aside, what stays and why."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from envctl.clean.plans import Plan, Scope, plan
from envctl.inventory import Inventory
from envctl.model import Finding, Owner, Resource, Unseen, Verdict

NOW = datetime(2026, 5, 1, tzinfo=UTC)
PLAIN = Scope()
DEV = Owner("shop", "dev", "feature_x", "/work/x", "feature/x", "laptop", "2026-04-01T00:00:00+00:00")
RUN = replace(DEV, environment="test", lease="run")
TEMPLATE = replace(RUN, namespace="*", lease="", notes={"kind": "template"})
ASIDE = replace(DEV, notes={"kind": "quarantine", "since": "2026-04-30T00:00:00+00:00"})


def finding(
    verdict: Verdict,
    owner: Owner | None = DEV,
    *,
    kind: str = "database",
    name: str = "one",
    remedy: str = "envctl clean",
) -> Finding:
    environment = owner.environment if owner else None
    return Finding(Resource("postgres", kind, name, owner), "dev-embedded", environment, verdict, "because", remedy)


def planned(*findings: Finding, scope: Scope = PLAIN) -> Plan:
    return plan(Inventory(findings, ()), scope, NOW)


def done(one: Finding, scope: Scope = PLAIN) -> str:
    return planned(one, scope=scope).actions[0].do


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (finding("orphan", RUN), "drop"),
        (finding("orphan", DEV), "quarantine"),
        (finding("orphan", ASIDE), "expire"),
        (finding("idle", ASIDE), "keep"),
        (finding("idle", TEMPLATE), "keep"),
        (finding("idle"), "keep"),
        (finding("unexplained"), "keep"),
        (finding("unexplained", None, remedy=""), "keep"),
        (finding("live", remedy=""), "keep"),
    ],
)
def test_only_orphans_go_and_those_of_value_go_aside_first(one: Finding, expected: str) -> None:
    assert done(one) == expected


def test_what_is_on_record_as_another_machines_goes_only_where_its_branch_is_named() -> None:
    theirs = replace(finding("unexplained"), elsewhere=True)
    assert done(theirs, Scope(everything=True)) == "keep"
    assert done(theirs, Scope(branch="feature/x")) == "keep"
    assert done(theirs, Scope(everything=True, branch="feature/x")) == "drop"


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (finding("orphan", DEV), "drop"),
        (finding("idle"), "drop"),
        (finding("idle", ASIDE), "expire"),
        (finding("idle", TEMPLATE), "drop"),
        (finding("unexplained"), "drop"),
        (finding("unexplained", None, remedy=""), "keep"),
        (finding("unexplained", remedy=""), "keep"),
        (finding("live", remedy=""), "keep"),
    ],
)
def test_all_takes_what_a_command_of_ours_may_remove_and_never_what_is_in_use(one: Finding, expected: str) -> None:
    assert done(one, Scope(everything=True)) == expected


def test_templates_go_only_where_they_are_asked_for() -> None:
    assert done(finding("idle", TEMPLATE), Scope(templates=True)) == "drop"
    assert done(finding("idle"), Scope(templates=True)) == "keep"
    assert done(finding("live", TEMPLATE, remedy=""), Scope(templates=True)) == "keep"


def test_an_age_only_ever_makes_a_plan_smaller() -> None:
    week, month = Scope(older=7 * 86_400), Scope(older=40 * 86_400)
    ageless = finding("orphan", replace(RUN, created=""))
    assert done(finding("orphan", RUN), week) == "drop"
    assert done(finding("orphan", RUN), month) == "keep"
    assert done(ageless, week) == "keep"
    assert done(finding("idle"), week) == "keep"
    assert done(finding("orphan", ASIDE), week) == "keep", "counted from when it was put aside"


def test_a_branch_or_namespace_is_all_that_a_plan_speaks_of() -> None:
    mine, other = finding("orphan"), finding("orphan", replace(DEV, branch="feature/xy", namespace="feature_xy"))
    for name in ("feature/x", "feature_x"):
        assert [one.finding for one in planned(mine, other, scope=Scope(branch=name)).actions] == [mine]
    assert not planned(mine, other, scope=Scope(branch="feature")).actions


def test_a_login_stays_as_long_as_anything_that_belongs_to_it() -> None:
    role, stays = finding("orphan", kind="role"), finding("unexplained", name="two", remedy="")
    assert [one.do for one in planned(role, finding("orphan")).actions] == ["quarantine", "quarantine"]
    assert {one.finding.resource.kind: one.do for one in planned(role, stays).actions} == {
        "role": "keep",
        "database": "keep",
    }


def test_logins_come_after_what_belongs_to_them_and_what_stays_comes_last() -> None:
    other = replace(DEV, namespace="other")
    found = planned(finding("idle", other), finding("orphan", kind="role", name="a"), finding("orphan", name="b"))
    kinds = [(one.do, one.finding.resource.kind) for one in found.actions]
    assert kinds == [("quarantine", "database"), ("quarantine", "role"), ("keep", "database")]
    assert found.todo == found.actions[:2]


def test_a_plan_passes_on_where_nobody_could_look() -> None:
    unseen = (Unseen("dev-compose postgres", "it is not up"),)
    assert plan(Inventory((), unseen), Scope(), NOW).unseen == unseen


def test_a_checkout_that_uses_one_thing_keeps_the_others() -> None:
    bucket = finding("orphan", kind="bucket", name="statements")
    for scope in (PLAIN, Scope(everything=True)):
        assert not planned(finding("live", remedy=""), bucket, scope=scope).todo
    other = replace(DEV, namespace="feature_y")
    assert planned(finding("live", other, remedy=""), bucket).todo[0].do == "quarantine"
    assert planned(finding("live", RUN, remedy=""), bucket).todo[0].do == "quarantine"


def test_logins_go_after_everything_that_may_be_theirs() -> None:
    login, new = finding("idle", kind="role", name="a"), finding("idle", name="new")
    old = finding("idle", ASIDE, name="z")
    plan = planned(login, new, old, scope=Scope(everything=True))
    assert [one.finding.resource.name for one in plan.actions] == ["new", "z", "a"]


def test_a_template_that_a_branch_has_built_is_not_of_that_branch() -> None:
    built = finding("idle", replace(TEMPLATE, branch=DEV.branch), kind="template")
    for everything in (True, False):
        assert not planned(built, scope=Scope(branch=DEV.branch, everything=everything)).actions
