"""Random worlds, cleaned on real servers: nothing live, foreign or unknown is touched, and every true orphan goes."""

from __future__ import annotations

import os
import random

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from world_check import check
from world_servers import Ground
from worlds import Place, Run, World, fate_of_place, worlds

pytestmark = pytest.mark.embedded
NIGHTLY = bool(os.environ.get("ENVCTL_NIGHTLY"))
ROUNDS, WORLDS = 80 if NIGHTLY else 4, 25
"""In rounds, so that they can be shared out, and none takes as long as a test that hangs."""


@pytest.mark.parametrize("number", range(ROUNDS))
def test_in_whatever_world_only_what_is_provably_nobodys_goes(shared: Ground, number: int) -> None:
    """A world that fails is told as it is: to look for a smaller one would take hundreds of them."""

    def holds(world: World) -> None:
        check(world, shared)

    chosen = settings(
        max_examples=WORLDS,
        database=None,
        deadline=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    seed(random.randrange(1 << 32) if NIGHTLY else number)(chosen(given(worlds())(holds)))()


def test_a_login_stays_quietly_with_the_database_that_a_newer_envctl_has_noted(shared: Ground) -> None:
    place = Place("a", "clone", "branch gone", state="newer database")
    check(World("a", "a_gw1", places=(place,)), shared)


def test_the_twin_of_a_branch_without_upper_and_lower_case_is_a_remotes(shared: Ground) -> None:
    place = Place("🚀", end="its twin is there")
    check(World("a", "a_gw1", places=(place,)), shared)


@pytest.mark.parametrize(
    "place",
    [
        Place("a", end="rebasing"),
        Place("a", end="applying"),
        Place("a", end="another rebases it"),
        Place("a", end="renamed"),
        Place("a", "named", "branch gone"),
        Place("a", "flagged", "branch gone elsewhere"),
        Place("a", end="branch gone elsewhere", registration="no source"),
        Place("a", end="removed", registration="no identity"),
        Place("a", "clone", "fetched in part"),
        Place("a", "clone", "made again"),
        Place("a", end="removed", state="newer record"),
    ],
    ids=lambda place: f"{place.kind}, {place.end}, {place.registration}, {place.state}",
)
def test_what_looks_gone_and_is_not_provably_so_stays(shared: Ground, place: Place) -> None:
    world = World("shop", "shopx", places=(place,))
    assert fate_of_place(world, place) == "stays"
    check(world, shared)


@pytest.mark.parametrize(
    "world",
    [
        World("a", "a_gw1", runs=(Run("ended"), Run("newer ended", bucket=True))),
        World("a", "a_gw1", runs=(Run("ended", workers=1), Run("ended", session=True))),
        World(
            "shop",
            "shop_test",
            places=(Place("shop_test", end="removed", bucket=True, state="half made"),),
            runs=(Run("at work", 0, 1),),
        ),
    ],
    ids=("newer", "session", "at work"),
)
def test_what_runs_left_is_told_apart_thing_by_thing(shared: Ground, world: World) -> None:
    check(world, shared)
