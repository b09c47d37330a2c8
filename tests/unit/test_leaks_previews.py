"""Whose a thing on a target is: by exact names and labels, and by the list of open pull requests alone."""

from __future__ import annotations

import json
from typing import Any

import pytest

from envctl.leaks import previews, targets
from envctl.leaks.previews import Signs
from envctl.leaks.registry import Tag
from envctl.leaks.targets import ENVIRONMENT, HOME, PROJECT, STACK, Target, Thing

SIGNS = Signs("shop", ("shop",), ("ghcr.io/acme/shop",))


def thing(kind: Any = "container", name: str = "x", stack: str = "", **more: Any) -> Thing:
    labels = {**({STACK: stack} if stack else {}), **more.pop("labels", {})}
    return Thing("away", kind, name, labels, **more)


def verdicts(*things: Thing, pulls: previews.Pulls = frozenset({12}), here: bool = False) -> list[tuple[str, str]]:
    rows = previews.of_target(Target("away", things, here), SIGNS, pulls)
    return [(row.environment, row.verdict) for row in rows]


OURS = {PROJECT: "shop"}


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (thing(stack="shop-pr-12", state="running"), "live"),
        (thing(stack="shop-pr-12", state="exited"), "idle"),
        (thing("volume", stack="shop-pr-12"), "live"),
        (thing(stack="shop-pr-7", state="running", labels=OURS), "orphan"),
        (thing("volume", stack="shop-pr-7", labels=OURS), "orphan"),
        (thing("volume", stack="shop-pr-7"), "unexplained"),
        (thing("image", "ghcr.io/acme/shop:pr-7"), "orphan"),
        (thing("image", "ghcr.io/acme/shop:pr-12"), "live"),
        (thing("image", "shop-pr-7-web:latest"), "orphan"),
    ],
)
def test_a_preview_lives_as_long_as_its_pull_request(one: Thing, expected: str) -> None:
    assert verdicts(one) == [("preview", expected)]


@pytest.mark.parametrize(
    "one",
    [
        thing(stack="shop-pr-7x"),
        thing(stack="shop-pr-"),
        thing(stack="shop-pr-07"),
        thing(stack="shop-pr-7\n"),
        thing(stack="my-shop-pr-7"),
        thing(stack="shopXpr-7"),
        thing(stack="shop-old-pr-7"),
        thing("volume", "shop-pr-7_data"),
        thing(stack="shop-pr-7", labels={PROJECT: "other"}),
        thing("image", "ghcr.io/acme/shop:pr-7-rc1"),
        thing("image", "ghcr.io/acme/shop-two:pr-7"),
        thing("image", "ghcr.io/acme/shop:v1"),
        thing("image", "<none>:<none>"),
        thing(),
    ],
)
def test_what_only_looks_like_a_preview_is_none_of_ours(one: Thing) -> None:
    assert verdicts(one) == []


def test_without_the_list_of_pull_requests_nothing_is_an_orphan() -> None:
    things = thing(stack="shop-pr-7", state="running", labels=OURS), thing("image", "ghcr.io/acme/shop:pr-7")
    assert verdicts(*things, pulls=None) == [("preview", "idle")] * 2
    assert [row.verdict for row in previews.of_registry([Tag("r/shop", 7)], None)] == ["idle"]


def test_what_bears_our_label_belongs_to_a_stack_that_runs() -> None:
    def staged(**more: Any) -> Thing:
        return thing(stack="shop-staging", labels={**OURS, ENVIRONMENT: "staging"}, **more)

    assert verdicts(staged(state="running"), staged(kind="volume")) == [("staging", "live")] * 2
    assert verdicts(staged(state="exited"), staged(kind="volume")) == [("staging", "unexplained")] * 2


def test_no_command_is_given_that_removes_the_data_of_staging_or_production() -> None:
    volume = thing("volume", "v", stack="shop-production", labels={**OURS, ENVIRONMENT: "production"})
    (row,) = previews.of_target(Target("away", (volume,), False), SIGNS, frozenset())
    assert row.verdict == "unexplained"
    assert row.remedy == ""
    assert "look before you remove" in row.reason


def test_this_machines_own_servers_are_left_to_the_local_part() -> None:
    dev, own = thing(stack="shop", labels=OURS), thing(stack="shop-test-1", labels={**OURS, HOME: "/state"})
    assert verdicts(dev, own, here=True) == []
    assert verdicts(dev, own) == [("dev", "idle"), ("test", "unexplained")]


def test_a_manifest_that_an_open_pull_request_shares_is_not_to_be_deleted() -> None:
    tags = [Tag("ghcr.io/acme/shop", number, digest) for number, digest in ((7, "a"), (12, "a"), (8, "b"), (9, ""))]
    rows = list(previews.of_registry(tags, frozenset({12})))
    assert [(row.verdict, row.remedy) for row in rows] == [
        ("orphan", ""),
        ("live", "skopeo delete docker://ghcr.io/acme/shop:pr-12"),
        ("orphan", "skopeo delete docker://ghcr.io/acme/shop:pr-8"),
        ("orphan", ""),
    ]
    assert "pr-12 is and has the same manifest" in rows[0].reason
    assert "could not be told" in rows[3].reason


def test_what_removes_a_thing_is_quoted_for_a_shell() -> None:
    one = Thing("my context", "container", "web-1", {STACK: "shop-pr-7", **OURS}, state="running")
    (row,) = previews.of_target(Target("my context", (one,), False), SIGNS, frozenset())
    assert row.remedy == "docker --context 'my context' rm --force --volumes web-1"


def test_a_listing_is_read_whatever_its_names_and_labels_hold() -> None:
    lines = [
        json.dumps(["a,b=c\x1b[31m", "running", "2026-11-21 15:01:02 +0000 UTC", "shop-pr-1", "shop", "", ""]),
        json.dumps(["b", "exited", "2026-11-21 15:01:02.123456789 +0100 CET", "", "", "", ""]),
    ]
    first, second = targets.parsed("away", "container", "\n".join(lines))
    assert (first.name, first.stack, first.running) == ("a,b=c\x1b[31m", "shop-pr-1", True)
    assert (second.created, second.labels, second.running) == ("2026-11-21T15:01:02+01:00", {}, False)


@pytest.mark.parametrize(("text", "expected"), [("38.6MB", 38_600_000), ("0B", 0), ("1.2kB", 1200), ("N/A", None)])
def test_sizes_are_read_as_docker_writes_them(text: str, expected: int | None) -> None:
    assert targets.size(text) == expected
