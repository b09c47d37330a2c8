"""SIGKILL before every effect that a run has on the world: one ordinary call later nothing is left of it.

The effects are those that a run without a kill was seen to have. Ordinarily the first and the last one of each phase
are tried, and a spread of the others; with ENVCTL_NIGHTLY=1 all of them. With ENVCTL_WRITE_DOCS=1 what came of it is
written into docs/design.md.
"""

from __future__ import annotations

import faulthandler
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count, groupby
from pathlib import Path

import mortal
import pytest
from checkouts import Envctl, Result, opened
from leavings import leavings, litter, settled
from till import CONFIG, till

from envctl.engines.embedded import folders

pytestmark = pytest.mark.embedded

NIGHTLY = bool(os.environ.get("ENVCTL_NIGHTLY"))
DOCS = Path(__file__).parents[2] / "docs" / "design.md"
BEGIN, END = "<!-- kill matrix -->\n", "<!-- end -->"
ROW = 12
PHASES = ("before", "servers", "template", "clones", "tests", "clean-up", "after")
PLAIN = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
"""pytest starts in half the time without the plugins that are installed here; ours comes to it by name."""
FAST = CONFIG.replace("pytest -q", "pytest -q -p no:cacheprovider")
FULL = FAST.replace("pytest -q", "pytest -q -p xdist -n 1") + "\n[services.s3]\n[services.redis]\n"
TESTS = """
    import os

    import psycopg

    def test_a_sale_is_kept():
        with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
            connection.execute("INSERT INTO sales (cents) VALUES (1)")
"""


@dataclass(frozen=True, slots=True)
class Start:
    """What a run finds, and what it needs."""

    name: str
    config: str
    spread: int
    """How many kill points are tried ordinarily."""
    ends: bool = False
    """Whether the first and the last one of each phase are tried as well."""
    cold: bool = False


STARTS = (
    Start("no server, no template, no state", FAST, spread=3, ends=True, cold=True),
    Start("servers and template", FAST, spread=10, ends=True),
    Start("servers and template, s3 and redis, with -n 1", FULL, spread=5),
    Start("nothing of use: its servers are its own", FAST.replace("[test]", '[test]\nisolation = "server"'), spread=3),
)


@dataclass(frozen=True, slots=True)
class Effect:
    """One line of the book that a mortal run keeps."""

    phase: str
    number: int
    asked: str
    kind: str
    detail: str

    @property
    def at(self) -> str:
        """Where to die: counted in its phase, since what one phase does varies from run to run."""
        return f"{self.phase}:{self.number}"

    def step(self) -> tuple[str, str, str]:
        """What it has in common with its neighbours, if they are one step of the run."""
        return self.phase, self.asked, self.kind

    def __str__(self) -> str:
        return f"{self.at}: {self.kind} {self.detail} by {self.asked}"


@dataclass
class Ground:
    """A project whose runs are killed, in a state folder of its own."""

    envctl: Envctl
    place: Path
    start: Start
    books: Iterator[int] = field(default_factory=count)

    def run(self, at: str = "") -> tuple[int, list[Effect], str]:
        """One run that dies before that effect: its exit code, what it had done, and what it said."""
        book = self.place.parent / f"book {next(self.books)}"
        done = subprocess.run(
            [sys.executable, mortal.__file__, at, str(book), "test"],
            cwd=self.place,
            env={**self.envctl.environment, **PLAIN},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        lines = [line.split("\t") for line in book.read_text().splitlines()]
        return done.returncode, [Effect(one[0], int(one[1]), *one[2:]) for one in lines], done.stdout + done.stderr

    def call(self, *words: str, code: int | None = 0) -> Result:
        """An ordinary call of the installed program."""
        return self.envctl(*words, cwd=self.place, code=code, **PLAIN)

    def effects(self) -> list[Effect]:
        """What a run does that nobody kills; a warm one, after one that built what it finds."""
        for _ in range(1 if self.start.cold else 2):
            code, found, said = self.run()
            assert code == 0, said
        settled(self.envctl, self.place)
        self.chill()
        return found

    def chill(self) -> None:
        """Back to where each run begins: a machine on which envctl was never used."""
        if not self.start.cold:
            return
        self.call("dev", "down", "--all", "--yes")
        homes = [path.parent for path in self.envctl.state.glob("projects/*/*/servers.json")]
        assert not [one for home in homes for one in folders.scratches(home) if one.exists()]
        while self.envctl.processes():
            time.sleep(0.01)  # The watcher has been woken, and finds nothing to watch.
        shutil.rmtree(self.envctl.state)

    def killed(self, at: str) -> Effect | None:
        """Kill a run, make one ordinary call, and see that nothing is left and the next run is green."""
        code, found, said = self.run(at)
        if code == 0:
            return None  # What threads do side by side varies a little: this time there were not so many.
        assert code == -9, said
        self.call("ns")
        settled(self.envctl, self.place)
        assert "1 passed" in self.call("test", "-q").out
        assert not leavings(self.envctl, self.place)
        settled(self.envctl, self.place)
        assert not litter(self.envctl)
        self.chill()
        return found[-1]


@contextmanager
def ground(folder: Path, start: Start) -> Iterator[Ground]:
    with opened(folder / "state") as envctl:
        place = till(folder / "till", config=start.config, tests=TESTS)
        yield Ground(envctl, place, start)


@pytest.mark.parametrize("start", STARTS, ids=("cold", "warm", "all-services", "own"))
def test_a_run_killed_at_any_step_leaves_nothing_after_the_next_call(tmp_path: Path, start: Start) -> None:
    if NIGHTLY:
        faulthandler.cancel_dump_traceback_later()  # It takes as long as there are effects.
    died: list[Effect] = []
    wrong: list[str] = []
    with ground(tmp_path, start) as runs:
        effects = runs.effects()
        for one in chosen(effects, start):
            try:
                effect = runs.killed(one.at)
            except AssertionError as error:
                wrong.append(f"{one}\n    {str(error).strip().splitlines()[0]}")
                continue
            died += [effect] if effect else []
    assert not wrong, "\n".join(wrong)
    publish(start, effects, died)


def chosen(effects: list[Effect], start: Start) -> list[Effect]:
    """Those to die at."""
    steps = [one for several in groupby(effects, Effect.step) for one in thinned(list(several[1]))]
    if NIGHTLY:
        return steps
    phases = [[one for one in effects if one.phase == phase] for phase in PHASES]
    ends = [one for found in phases if found and start.ends for one in (found[0], found[-1])]
    others = [one for one in steps if one not in ends]
    step = len(others) / start.spread
    return [*dict.fromkeys(ends), *(others[int(step * (place + 0.5))] for place in range(start.spread))]


def thinned(same: list[Effect]) -> list[Effect]:
    """Of a long row of the same step, as when a folder with a thousand files is removed, a few."""
    return same if len(same) <= ROW else [*same[:: len(same) // ROW], same[-1]]


def publish(start: Start, effects: list[Effect], died: list[Effect]) -> None:
    """The rows of this start: written, or compared with the phases of those that are there."""
    there, tried = Counter(one.phase for one in effects), Counter(one.phase for one in died)
    head, rest = DOCS.read_text().split(BEGIN)
    table, tail = rest.split(END)
    lines = table.strip().splitlines()
    mine = [line for line in lines if line.startswith(f"| {start.name} |")]
    assert {*there} <= {*PHASES}
    if not os.environ.get("ENVCTL_WRITE_DOCS"):
        assert [line.split("|")[2].strip() for line in mine] == [one for one in PHASES if there[one]]
        return
    rows = [row(start, one, there[one], tried[one]) for one in PHASES if there[one]]
    others = [line for line in lines if line not in mine]
    DOCS.write_text("".join((head, BEGIN, "\n".join(ordered([*others, *rows])), "\n", END, tail)))


def row(start: Start, phase: str, effects: int, kills: int) -> str:
    came = "nothing | green" if kills else "— | —"
    return f"| {start.name} | {phase} | {effects} | {kills} | {came} |"


def ordered(lines: list[str]) -> list[str]:
    """The heading, then the rows, each start's together."""
    names = [f"| {one.name} |" for one in STARTS]
    return [*lines[:2], *(line for name in names for line in lines[2:] if line.startswith(name))]
