"""A database of its own for every test: envctl's `fresh_database` beside pytest-postgresql's fixture, 20 MB schema."""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import time
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
TESTS = 30
FIRST = 3
"""How many tests of a run do not count: what is made once is made in them."""
POOL = r"%\_\_p\_%"
"""How databases that wait for somebody are named."""
PAUSE = 0.2
"""What a test does besides, so that the next one's database can be made meanwhile."""
NO_POOL = "from envctl.testing import sandboxes; sandboxes.AHEAD = 0; from envctl.cli import main; main()"
"""The console script, but nothing is made ahead."""


@dataclass
class Samples:
    """The seconds of each test: of its fixture alone, and of all of it, connecting and dropping included."""

    name: str
    fixture: list[float] = field(default_factory=list)
    test: list[float] = field(default_factory=list)

    def add(self, file: Path) -> None:
        """Those of one run; its first tests pay for what is made once."""
        laps = json.loads(file.read_text())
        self.fixture += laps["fixture"][FIRST:]
        self.test += laps["test"][FIRST:]


def measure(folder: Path, rounds: int, report: Report) -> None:
    """Each in turn, in one process without workers."""
    rival, busy = Samples("pytest-postgresql"), Samples("fresh_database, one after another")
    pool, alone = Samples("fresh_database, from the pool"), Samples("fresh_database, without a pool")
    out, console = folder / "laps.json", (ours.ENVCTL,)
    raw: list[float] = []
    with ExitStack() as stack:
        by_hand = stack.enter_context(server.serving())
        theirs = write(folder / "rival", "rival.py", "test_fresh.py")
        place = stack.enter_context(ours.at(write(folder / "ours", "envctl.toml", "test_fresh.py"), folder / "state"))
        run_ours(place, console, watched(out, "fresh_database"))
        for _ in range(rounds):
            run_theirs(theirs, by_hand, out)
            rival.add(out)
            run_ours(place, console, watched(out, "fresh_database"))
            busy.add(out)
            run_ours(place, console, watched(out, "fresh_database", pause=PAUSE))
            pool.add(out)
            empty_pool(place)
            raw += clones(place)
            run_ours(place, (sys.executable, "-c", NO_POOL), watched(out, "fresh_database"))
            alone.add(out)
            print(f"  fresh: {'; '.join(map(told, (rival, busy, pool, alone)))}", flush=True)
    report.figures.append(Figure("CREATE DATABASE … TEMPLATE of that schema", milliseconds(raw), "ms"))
    tell(rival, busy, pool, alone, statistics.median(milliseconds(raw)), report)


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


def watched(out: Path, fixture: str, pause: float = 0) -> dict[str, str]:
    """What the conftest is told."""
    named = {"BENCH_FRESH": out, "BENCH_FIXTURE": fixture, "BENCH_TESTS": TESTS, "BENCH_PAUSE": pause}
    return {name: str(value) for name, value in named.items()}


def run_theirs(folder: Path, by_hand: server.Server, out: Path) -> None:
    """pytest-postgresql, on a running server."""
    more = {**by_hand.environment("rival_fresh"), **watched(out, "postgresql")}
    green(["python", "-m", "pytest", "-q"], folder, plain(tools.environment(tools.RIVAL), more))


def run_ours(place: ours.Place, envctl: Sequence[str], more: Mapping[str, str]) -> None:
    """envctl; then wait for what it does in the background."""
    green([*envctl, "test"], place.folder, {**place.environment, **more})
    place.settle()


def green(argv: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
    """Anything else is the end of the benchmark."""
    done = subprocess.run(argv, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"error: {argv} ended with {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")


def empty_pool(place: ours.Place) -> None:
    """Take the waiting clones away."""
    by_hand = server.Server(ours.address(place), Path())
    with server.connect(by_hand.address, "postgres") as connection:
        found = connection.execute("SELECT datname FROM pg_database WHERE datname LIKE %s", [POOL]).fetchall()
    for (name,) in found:
        by_hand.execute("DROP DATABASE {}", name)


def clones(place: ours.Place) -> list[float]:
    """What the server itself takes for a copy, on a connection that is there."""
    by_hand = server.Server(ours.address(place), Path())
    (template,) = by_hand.execute("SELECT datname FROM pg_database WHERE datistemplate AND datname LIKE 'fresh%'")[0]
    took = []
    with server.connect(by_hand.address, "postgres") as connection:
        connection.execute("SET file_copy_method = clone")  # as envctl has it copied
        for _ in range(FIRST):
            start = time.perf_counter()
            connection.execute(server.composed("CREATE DATABASE raw TEMPLATE {} STRATEGY FILE_COPY", template))
            took.append(time.perf_counter() - start)
            connection.execute("DROP DATABASE raw")
    return took


def told(samples: Samples) -> str:
    return f"{samples.name} {1000 * statistics.median(samples.fixture):.1f} ms"


def tell(rival: Samples, busy: Samples, pool: Samples, alone: Samples, copy: float, report: Report) -> None:
    """Medians (p50), and beside the rival's."""
    for one in (rival, busy, pool, alone):
        report.figures.append(Figure(f"{one.name}: the fixture", milliseconds(one.fixture), "ms"))
        report.figures.append(Figure(f"{one.name}: the whole test", milliseconds(one.test), "ms"))
    note = "one after another, with its pool as it is; both on servers in memory"
    report.aims += [
        Aim(
            "fresh_database in memory, p50",
            15,
            1000 * statistics.median(alone.fixture),
            "ms",
            "the pool switched off",
            f"CREATE DATABASE … TEMPLATE alone takes {copy:.1f} ms on that server",
        ),
        Aim("… one after another, with its pool as it is", 15, 1000 * statistics.median(busy.fixture), "ms"),
        Aim("fresh_database from the pool, p50", 3, 1000 * statistics.median(pool.fixture), "ms"),
        Aim("fresh_database ÷ pytest-postgresql's fixture", 0.2, ratio(busy.fixture, rival.fixture), "x", note),
    ]


def milliseconds(samples: Sequence[float]) -> tuple[float, ...]:
    return tuple(1000 * one for one in samples)
