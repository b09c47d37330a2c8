"""The 300 tests by every way, side by side: one lap of each, again and again, so that a busy minute meets all alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import ours
import rivals
import server
from figures import Aim, Figure, Report, difference, ratio, rounded
from rivals import Contender, Lap

SLACK = 0.4
SHARE = 0.05
"""What a warm run may take more than the floor: so many seconds or this share of it, whichever is larger."""


def measure(folder: Path, rounds: int, report: Report) -> None:
    """Everything warm, and the aims that hang on it."""
    with ExitStack() as stack:
        by_hand = stack.enter_context(server.serving())
        place = stack.enter_context(ours.checkout(folder / "warm"))
        floor = rivals.floor(folder / "floor", by_hand)
        found = race([floor, ours.warm(place), *others(folder, by_hand, report)], rounds, folder / "clock", report)
        report.servers = compared(by_hand, place)
    judge(found, report)


def others(folder: Path, by_hand: server.Server, report: Report) -> list[Contender]:
    """Everybody who can run here; who cannot is on record with the reason."""
    dump = rivals.dump(by_hand, folder / "schema.sql")
    found = [
        rivals.in_process(folder / "in_process", by_hand),
        rivals.script(folder / "script", by_hand),
        rivals.postgresql(folder / "postgresql-alembic", by_hand, dump=None),
        rivals.postgresql(folder / "postgresql-dump", by_hand, dump=dump),
    ]
    containers = rivals.containers(folder / "containers")
    if reason := rivals.no_docker():
        report.skipped.append({"name": containers.name, "reason": reason})
        return found
    return [*found, containers]


def race(contenders: Sequence[Contender], rounds: int, clock: Path, report: Report) -> dict[str, list[Lap]]:
    """One lap of each per round; the lap before the first, which fills every cache, does not count."""
    laps: dict[str, list[Lap]] = {one.name: [] for one in contenders}
    for lap in range(rounds + 1):
        for one in contenders:
            took = rivals.run(one, clock)
            print(f"  {one.name}: {took.wall:.2f} s" + ("" if lap else " (not counted)"), flush=True)
            if lap:
                laps[one.name].append(took)
            if lap and (file := one.folder.parent / "state.timings").exists():
                report.phases.append(ours.phases(file))
    report.contenders += [described(one, laps[one.name], laps[contenders[0].name]) for one in contenders]
    return laps


def described(one: Contender, laps: Sequence[Lap], floor: Sequence[Lap]) -> dict[str, Any]:
    """A contender's row: its seconds, and what they are beside the floor's."""
    walls, lowest = [lap.wall for lap in laps], [lap.wall for lap in floor]
    return {
        "name": one.name,
        "server": one.server,
        "median": rounded(statistics.median(walls)),
        "least": rounded(min(walls)),
        "most": rounded(max(walls)),
        "samples": [rounded(wall) for wall in walls],
        "over_floor": rounded(difference(walls, lowest)),
        "of_floor": rounded(ratio(walls, lowest)),
        "before_first_test": rounded(statistics.median(lap.first for lap in laps)),
        "after_last_test": rounded(statistics.median(lap.last for lap in laps)),
        "cpu": rounded(statistics.median(lap.cpu for lap in laps)),
    }


def judge(found: dict[str, list[Lap]], report: Report) -> None:
    """The aims of a warm run."""
    floor, warm = found["prepared databases (the floor)"], found["envctl test, warm"]
    lowest, walls = [lap.wall for lap in floor], [lap.wall for lap in warm]
    wanted = max(SLACK, SHARE * statistics.median(lowest))
    report.noise = max(lowest) - min(lowest)
    report.aims += [
        Aim("warm run: wall over the floor", wanted, difference(walls, lowest), "s", noise(report)),
        Aim("… of that before the first test", 0.3, difference(firsts(warm), firsts(floor)), "s"),
    ]


def firsts(laps: Sequence[Lap]) -> list[float]:
    return [lap.first for lap in laps]


def noise(report: Report) -> str:
    return f"the floor itself varies by {report.noise:.2f} s"


def cold(folder: Path, rounds: int, report: Report) -> None:
    """From nothing: a server is started, and everything is migrated."""
    walls: dict[str, list[float]] = {}
    spent: list[dict[str, float]] = []
    with ours.checkout(folder / "ours") as place:
        ours.stop(place)
        for number in range(rounds):
            for build in (rivals.script, rivals.in_process):
                name, wall = from_nothing(folder / f"{build.__name__}-{number}", build)
                walls.setdefault(name, []).append(wall)
            lap = rivals.run(ours.cold(place), folder / "clock")
            walls.setdefault("envctl test, cold", []).append(lap.wall)
            spent.append(ours.phases(place.state.with_suffix(".timings")))
            print("  cold: " + ", ".join(f"{name} {samples[-1]:.2f} s" for name, samples in walls.items()), flush=True)
    own = walls["envctl test, cold"]
    report.figures += [Figure(f"from nothing: {name}", tuple(samples)) for name, samples in walls.items()]
    for name, samples in walls.items():
        if samples is not own:
            report.aims.append(Aim(f"cold run ÷ {name}", 0.6, ratio(own, samples), "x", profile=profile(spent)))


def profile(spent: Sequence[dict[str, float]]) -> str:
    """The median of each phase."""
    return ", ".join(f"{name} {statistics.median(one[name] for one in spent):.2f} s" for name in spent[0])


def from_nothing(folder: Path, build: Any) -> tuple[str, float]:
    """The seconds of one who must start and stop a server for it; where the files come from is not counted."""
    folder.mkdir(parents=True)
    start = time.monotonic()
    with server.serving() as fresh:
        started = time.monotonic() - start
        contender = build(folder / "app", fresh)
        lap = rivals.run(contender, folder / "clock")
        stopping = time.monotonic()
    return contender.name, started + lap.wall + time.monotonic() - stopping


def compared(by_hand: server.Server, place: ours.Place) -> dict[str, Any]:
    """What both kinds of server were started with, and where that differs."""
    hand, own = by_hand.settings(), server.settings(ours.address(place))
    differing = {name for name in hand.keys() | own.keys() if hand.get(name) != own.get(name)}
    return {
        "by hand": hand,
        "envctl's differ in": {name: own.get(name, "(default)") for name in sorted(differing)},
    }
