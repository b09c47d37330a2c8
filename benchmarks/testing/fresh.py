"""A database of its own for every test: envctl's `fresh_database` beside pytest-postgresql's fixture, 20 MB schema."""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import app
import ours
import server
import tools
from figures import Aim, Figure, Report, ratio
from rivals import plain

FILES = app.FILES / "fresh"
TESTS = 40
POOL = r"%\_\_p\_%"
"""How databases that wait for somebody are named."""


@dataclass
class Samples:
    """The seconds of each test: of its fixture alone, and of all of it, connecting and dropping included."""

    fixture: list[float] = field(default_factory=list)
    test: list[float] = field(default_factory=list)

    def add(self, file: Path, first: int, last: int) -> None:
        """Those of one run; its very first test pays for what is made once."""
        laps = json.loads(file.read_text())
        self.fixture += laps["fixture"][first:last]
        self.test += laps["test"][first:last]


def measure(folder: Path, rounds: int, report: Report) -> None:
    """Each in turn, in one process without workers."""
    rival, pool, alone, out = Samples(), Samples(), Samples(), folder / "laps.json"
    with ExitStack() as stack:
        by_hand = stack.enter_context(server.serving())
        theirs = write(folder / "rival", "rival.py", "test_fresh.py")
        place = stack.enter_context(ours.at(write(folder / "ours", "envctl.toml", "test_fresh.py"), folder / "state"))
        place("test", more=watched(out, "fresh_database", 1))
        place.settle()
        for _ in range(rounds):
            run_theirs(theirs, by_hand, out)
            rival.add(out, 1, TESTS)
            waiting = in_pool(place)
            run_ours(place, out)
            pool.add(out, 1, max(waiting - 1, 1))  # the run itself took one, too
            empty_pool(place)
            run_ours(place, out)
            alone.add(out, 1, TESTS)
            print(f"  fresh: {'; '.join(map(told, (rival, pool, alone)))}, {waiting} in the pool", flush=True)
    tell(rival, pool, alone, report)


def write(folder: Path, *names: str) -> Path:
    """The little project: the schema, one conftest, and what its way needs."""
    folder.mkdir(parents=True)
    conftest = (FILES / "conftest.py").read_text()
    for name in names:
        shutil.copy(FILES / name, folder)
    if "rival.py" in names:
        conftest = conftest.replace("import psycopg", "import psycopg\nimport rival", 1)
        conftest += "\n\nserver, postgresql = rival.server, rival.postgresql\n"
    (folder / "conftest.py").write_text(conftest)
    (folder / "schema.sql").write_text(app.twenty_megabytes())
    return folder


def watched(out: Path, fixture: str, tests: int) -> dict[str, str]:
    """What the conftest is told."""
    return {"BENCH_FRESH": str(out), "BENCH_FIXTURE": fixture, "BENCH_TESTS": str(tests)}


def run_theirs(folder: Path, by_hand: server.Server, out: Path) -> None:
    """pytest-postgresql, on a running server."""
    more: Mapping[str, str] = {**by_hand.environment("rival_fresh"), **watched(out, "postgresql", TESTS)}
    argv = ["python", "-m", "pytest", "-q"]
    done = subprocess.run(
        argv, cwd=folder, env=plain(tools.environment(tools.RIVAL), more), capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(f"error: pytest-postgresql ended with {done.returncode}\n{done.stdout[-3000:]}{done.stderr}")


def run_ours(place: ours.Place, out: Path) -> None:
    """envctl, warm; then wait for what it does in the background."""
    place("test", more=watched(out, "fresh_database", TESTS))
    place.settle()


def in_pool(place: ours.Place) -> int:
    """How many clones wait for somebody."""
    return len(pool(place))


def pool(place: ours.Place) -> list[str]:
    with server.connect(ours.address(place), "postgres") as connection:
        found = connection.execute("SELECT datname FROM pg_database WHERE datname LIKE %s", [POOL]).fetchall()
    return [name for (name,) in found]


def empty_pool(place: ours.Place) -> None:
    """Take the waiting clones away."""
    by_hand = server.Server(ours.address(place), Path())
    for name in pool(place):
        by_hand.execute("DROP DATABASE {}", name)


def told(samples: Samples) -> str:
    return f"{1000 * statistics.median(samples.fixture):.1f} ms" if samples.fixture else "none"


def tell(rival: Samples, pool: Samples, alone: Samples, report: Report) -> None:
    """Medians (p50), and beside the rival's."""
    for name, one in (("pytest-postgresql", rival), ("fresh_database, pool", pool), ("fresh_database, no pool", alone)):
        if one.fixture:
            report.figures.append(Figure(f"{name}: the fixture", milliseconds(one.fixture), "ms"))
            report.figures.append(Figure(f"{name}: the whole test", milliseconds(one.test), "ms"))
    report.aims.append(Aim("fresh_database in memory, p50", 15, 1000 * statistics.median(alone.fixture), "ms"))
    if pool.fixture:
        report.aims.append(Aim("fresh_database from the pool, p50", 3, 1000 * statistics.median(pool.fixture), "ms"))
    note = "without the pool; both on servers in memory"
    report.aims.append(Aim("fresh_database ÷ pytest-postgresql", 0.2, ratio(alone.fixture, rival.fixture), "x", note))


def milliseconds(samples: Sequence[float]) -> tuple[float, ...]:
    return tuple(1000 * one for one in samples)
