"""What has to hold in every world: what may not be touched is not, what is to go goes, what went aside comes back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from world_making import Made, entered
from world_parts import made
from world_servers import Ground, Key, Listing, files
from worlds import World

from envctl.clean import Outcome


def check(world: World, ground: Ground) -> None:
    """Two calls do all that is to be done, and nothing else; what went aside comes back as it was, and stays."""
    with made(world, ground) as there:
        before, state = there.listing(), kept(there)
        plan = there.planned()
        assert (there.listing(), kept(there)) == (before, state), "looking has changed something"
        outcomes = there.apply(plan)
        with telling(outcomes, sound=not world.everything):
            assert world.everything or not refused(there, outcomes), "something was tried that could not be done"
            unlike(there, before, there.listing(), done=False)
        with telling(there.apply(there.planned())):
            unlike(there, before, there.listing(), done=True)
        assert kept(there) == state
        if there.names and not there.world.everything:
            came_back(there, before)
        assert kept(there) == state


@contextmanager
def telling(outcomes: tuple[Outcome, ...], *, sound: bool = True) -> Iterator[None]:
    """A failure says what envctl said. What the evidence speaks against is not tried in the first place."""
    try:
        yield
        assert not sound or all(one.result != "failed" for one in outcomes), "something was tried that failed"
    except AssertionError as error:
        for one in outcomes:
            error.add_note(f"{one.result}: {one.action.do} {one.action.finding.resource.name}: {one.why}")
        raise


def refused(there: Made, outcomes: tuple[Outcome, ...]) -> list[Key]:
    """What is to go, was planned to go, and was found to stay after all: the plan had it in a wrong order."""
    found = [one.action.finding.resource for one in outcomes if one.result == "kept"]
    known = [("login" if one.kind == "role" else one.kind, one.name) for one in found]
    return [key for key in known if there.fates.get(key, "stays") != "stays"]


def kept(there: Made) -> dict[str, dict[str, str]]:
    """What clean may not change in files."""
    return {str(one.relative_to(there.root)): files(one) for one in sorted(there.kept)}


def unlike(there: Made, before: Listing, after: Listing, *, done: bool) -> None:
    """Each thing is as it was, or is what its fate says."""
    moved = {row[0]: name for (kind, name), row in after.items() if kind == "database" and (kind, name) not in before}
    for key, row in before.items():
        fate = there.fates.get(key, "stays")
        if there.world.everything and fate == "aside":
            fate = "goes"
        if key == ("login", f"{there.world.project}_owner"):
            continue  # It goes with the last of the project's logins.
        if fate == "stays":
            assert after.get(key) == row, f"{key} was touched"
        elif done or after.get(key) != row:
            assert_fate(key, row, fate, after, moved)
    known = {row[0] for (kind, _), row in before.items() if kind == "database"}
    assert moved.keys() <= known, "something is there that was not"
    assert {key for key in after.keys() - before.keys() if key[0] != "database"} == set()


def assert_fate(key: Key, row: Any, fate: str, after: Listing, moved: dict[int, str]) -> None:
    if fate == "goes":
        assert key not in after, f"{key} is still there"
    elif key[0] == "database":
        assert key not in after, f"{key} is still there"
        assert row[0] in moved, f"{key} is lost"
        assert after[("database", moved[row[0]])][2] is False, "somebody can still enter it"
    elif key[0] == "login":
        assert after[key][3] is False, f"somebody can still log in as {key}"
    else:
        assert after[key] != row, f"{key} is as it was"


def came_back(there: Made, before: Listing) -> None:
    """Restored, everything is as it was: data, login, address and notes. Then it is left alone for a while."""
    for name in sorted(there.names):
        there.restore(name)
    for _ in range(2):
        back = there.listing()
        aside = [key for key, fate in there.fates.items() if fate == "aside"]
        assert {key: back.get(key) for key in aside} == {key: before[key] for key in aside}
        for kind, name in aside:
            if kind == "database":
                with entered(there.values[(kind, name)]) as connection:
                    assert connection.execute("SELECT was FROM marker").fetchone() == (name,)
        there.apply(there.planned())
