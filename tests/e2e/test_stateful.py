"""Anything in any order: a model of checkouts, runs, kills and servers, and the servers asked after each step.

The model is short, and knows nothing of how envctl works: which databases may be there, which templates, which rows,
who holds the servers, and how many migrations a run had to execute.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import psutil
import pytest
from checkouts import Envctl, opened, worktree
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from inside import addresses, databases, sql, started, templates
from till import till, write

from envctl import leases

pytestmark = pytest.mark.embedded
NIGHTLY = bool(os.environ.get("ENVCTL_NIGHTLY"))
DEADLINE = 30.0
CONFIG = """
project = "till"
engine = "embedded"
idle = "0"

[services.postgres]
migrate = { sql = ["db/*.sql"] }

[test]
command = "python -m pytest -q -p no:cacheprovider"
server = "shared"
template_space = 1000000
"""
BASE = """
-- {mark}
CREATE TABLE sales (cents int);
CREATE TABLE ran (name text, mark uuid DEFAULT gen_random_uuid());
"""
STEP = "-- {mark}\nINSERT INTO ran (name) VALUES ('{name}');\n"
"""Each execution has a mark of its own, which goes with all copies: so executions are counted by the marks seen."""
WRONG = "INSERT INTO no_such_table VALUES (1);\n"
TESTS = """
    import os, pathlib

    import psycopg

    def test_what_ran():
        with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
            rows = connection.execute("SELECT name || ' ' || mark FROM ran ORDER BY name").fetchall()
        pathlib.Path(os.environ["REPORT"]).write_text("".join(f"{row[0]}\\n" for row in rows))
"""
WAIT = 'echo "$DATABASE_URL" > "$0.new" && mv "$0.new" "$0" && exec sleep 1000'
LOGINS = r"""
    SELECT rolname FROM pg_roles r WHERE rolname !~ '^pg_|_owner$|^postgres$'
       AND NOT EXISTS (SELECT FROM pg_database WHERE datdba = r.oid)
"""


@dataclass(eq=False)
class Checkout:
    """One checkout, as the model knows it."""

    place: Path
    steps: set[int] = field(default_factory=set)
    broken: int = 0
    pinned: bool = False
    database: str = ""
    """Its database of `dev`, once it was up."""

    def __repr__(self) -> str:
        return self.place.name


@dataclass(eq=False)
class Waiting:
    """A run whose command waits."""

    process: subprocess.Popen[str]
    database: str


@dataclass
class World:
    """What all examples share: the state folder with its servers, and the rows that must stay."""

    envctl: Envctl
    folder: Path
    rows: dict[str, int] = field(default_factory=dict)
    examples: Any = field(default_factory=count)
    steps: Counter[str] = field(default_factory=Counter)
    failure: BaseException | None = None
    round: int = 0

    @property
    def home(self) -> Path:
        return self.envctl.state / "projects" / "till" / "dev-embedded"


class Days(RuleBasedStateMachine):
    """Some days of a team."""

    world: World

    def __init__(self) -> None:
        super().__init__()
        if self.world.failure is not None:
            raise self.world.failure
        self.envctl = self.world.envctl
        self.all: list[Checkout] = []
        self.live: list[Waiting] = []
        self.sets: set[tuple[int, ...]] = set()
        self.marks: set[str] = set()
        self.down = False
        """Whether the server was killed, and nobody has started it since."""
        self.messy = False
        """Whether a run died, so that the next call has something to remove."""
        self.number = next(self.world.examples)
        self.last = 0
        self.said: list[str] = []
        """What was done, for the report of a failure."""

    @initialize()
    def first_checkout(self) -> None:
        """A repository whose migrations nobody else has, up; from then on the model says what there may be."""
        mark = f"example {self.number}"
        place = self.world.folder / f"till {self.number}"
        till(place, config=CONFIG, tests=TESTS, **{"db/1_sales.sql": BASE.format(mark=mark)})
        self.envctl("dev", "up", cwd=place)
        self.before = templates(self.envctl)
        found = Checkout(place, pinned=True)
        self.all.append(found)
        self._is_up(found)

    @rule(chance=st.integers(0, 10_000))
    def something_happens(self, chance: int) -> None:
        """One of all that may happen now. The first example is all zeros: shuffled, it is as good as any other."""
        shuffled = random.Random(f"{chance} {len(self.said)} {self.world.round}")
        name, deed = shuffled.choice(self._possible())
        self.world.steps[name] += 1
        self.said.append(name)
        deed()

    def _possible(self) -> list[tuple[str, Callable[[], None]]]:
        """Each with a name; what is rarer in life is so here."""
        found: list[tuple[str, Callable[[], None]]] = []
        for one in self.all:
            found += [
                ("test", partial(self.test, one)),
                ("add a migration", partial(self.add_a_migration, one, shared=False)),
                ("add another's migration", partial(self.add_a_migration, one, shared=True)),
                ("dev down" if one.pinned else "dev up", partial(self.dev_down if one.pinned else self.dev_up, one)),
            ]
            found += [("start a run", partial(self.start_a_run, one))] if len(self.live) < 3 else []
            found += [("remove a migration", partial(self.remove_it_again, one))] if one.steps else []
        for run in self.live:
            found += [("SIGKILL", partial(self._end, run, signal.SIGKILL))]
            found += [("SIGINT", partial(self._end, run, signal.SIGINT))]
        some = self.all[len(self.said) % len(self.all)]
        found += [("dev up again", partial(self.dev_up, some)), ("ns", partial(self.ask_for_the_name, some))]
        found += [("mend" if some.broken else "break", partial(self.break_or_mend, some))]
        found += [("new worktree", self.new_worktree)] if len(self.all) < 3 else []
        found += [("kill the server", self.kill_the_server)] if self._used and not self.down else []
        return found

    def new_worktree(self) -> None:
        """It has what was committed: none of the steps that others have added."""
        first = self.all[0].place
        place = first.with_name(f"{first.name} feature {len(self.all)}")
        self.all.append(Checkout(worktree(first, f"feature/{len(self.all)}", place)))

    def dev_up(self, checkout: Checkout) -> None:
        """A broken migration fails it, and the servers stay for the checkout all the same."""
        self.envctl("dev", "up", cwd=checkout.place, code=1 if checkout.broken else 0)
        self.down, checkout.pinned = False, True
        self._is_up(checkout)

    def dev_down(self, checkout: Checkout) -> None:
        self.envctl("dev", "down", cwd=checkout.place)
        checkout.pinned = False

    def test(self, checkout: Checkout) -> None:
        """It executes what no template has: none, or the new ones, or nothing at all where one is broken."""
        report = checkout.place / "report"
        code = 125 if checkout.broken else 0
        done = self.envctl("test", "--json", cwd=checkout.place, code=code, REPORT=str(report))
        self.down = False
        if checkout.broken:
            assert "no_such_table" in done.err
            return
        wanted = tuple(sorted(checkout.steps))
        found = dict(line.split() for line in report.read_text().splitlines())
        assert set(found) == {str(step) for step in wanted}, "each once, and none of another set"
        fresh = {found[name] for name in found} - self.marks
        assert len(fresh) == self._missing(wanted), f"executed now: {fresh}"
        self.marks |= fresh
        self.sets.add(wanted)

    def start_a_run(self, checkout: Checkout) -> None:
        """Its command waits; a second one in the same checkout has other databases."""
        file = checkout.place / f"url {len(self.live)} {time.monotonic_ns()}"
        process = started(self.envctl, "run", "--", "sh", "-c", WAIT, str(file), cwd=checkout.place)
        if checkout.broken:
            _, said = process.communicate()
            assert (process.returncode, "no_such_table" in said) == (125, True), said
            self.down = False
            return
        while not file.exists():
            assert process.poll() is None, process.communicate()[1]
            time.sleep(0.01)
        self.down = False
        self.sets.add(tuple(sorted(checkout.steps)))
        self.live.append(Waiting(process, file.read_text().strip().rpartition("/")[2]))
        self._learn(self.live[-1].database)

    def add_a_migration(self, checkout: Checkout, *, shared: bool) -> None:
        """One that nobody has, or one of another checkout's: then both have the same file."""
        others = sorted({step for one in self.all for step in one.steps} - checkout.steps)
        if not (shared and others):
            self.last += 1
        step = others[0] if shared and others else self.last
        checkout.steps.add(step)
        write(self._file(checkout, step), STEP.format(mark=f"example {self.number}", name=step))

    def remove_it_again(self, checkout: Checkout) -> None:
        """As a switch to another branch does."""
        step = max(checkout.steps)
        checkout.steps.discard(step)
        self._file(checkout, step).unlink()

    def break_or_mend(self, checkout: Checkout) -> None:
        if checkout.broken:
            self._file(checkout, checkout.broken).unlink()
            checkout.broken = 0
        else:
            checkout.broken = 900
            write(self._file(checkout, 900), WRONG)

    def kill_the_server(self) -> None:
        seen = self.envctl("dev", "status", "--json", cwd=self.all[0].place, code=None).data["servers"]
        server = psutil.Process(next(one["pid"] for one in seen if one["service"] == "postgres"))
        server.kill()
        server.wait()
        self.down = True

    def ask_for_the_name(self, checkout: Checkout) -> None:
        self.envctl("ns", cwd=checkout.place)

    @invariant()
    def as_the_model_says(self) -> None:
        """Asked of the servers, once what runs in the background has ended."""
        if not self.all or self.down:
            return
        if self.messy and self._used:
            self.envctl("ns", cwd=self.all[0].place)
            self.messy = False
        self._until(self._held, self._expected_holders())
        if not self._used:
            self._until(lambda: list(addresses(self.envctl, "postgres")), [])
            return
        self._compare()

    def teardown(self) -> None:
        """The first failure counts: what comes after it finds servers that are not as the model says."""
        failure = sys.exc_info()[1]
        try:
            if failure is None and self.all:
                self._close()
        except AssertionError as error:
            failure = error
        if failure is not None and self.world.failure is None:
            failure.add_note(f"after: {', '.join(self.said)}")
            self.world.failure = failure
        for one in self.live:
            one.process.kill()
            one.process.communicate()
        if failure is not None:
            raise failure

    def _close(self) -> None:
        """Kill what waits, and give up all servers: one call later nothing is left but what is to stay."""
        for run in [*self.live]:
            self._end(run, signal.SIGKILL)
        first = self.all[0]
        if first.broken:
            self.break_or_mend(first)
        self.dev_up(first)
        self.as_the_model_says()
        self._until(lambda: [one for one in self.world.home.parent.glob("runs/*") if not one.name.startswith(".")], [])
        for one in self.all:
            self.dev_down(one)
        self.as_the_model_says()
        self._until(lambda: len(self.envctl.processes()), 0)

    def _compare(self) -> None:
        self._until(lambda: databases(self.envctl), self._databases())
        (address,) = addresses(self.envctl, "postgres")
        assert sql(address, LOGINS) == [], "a login without a database"
        there = templates(self.envctl)
        assert self.before.items() <= there.items(), "an older template went, or is another now"
        assert len(there) - len(self.before) == len(self.sets)
        for name, rows in self.world.rows.items():
            assert sql(address, "SELECT count(*) FROM sales", name) == [(rows,)], name

    def _databases(self) -> set[str]:
        """Those of `dev`, also of checkouts that are down, and those of the runs that wait."""
        return set(self.world.rows) | {one.database for one in self.live}

    def _missing(self, wanted: tuple[int, ...]) -> int:
        """How many steps no template has that is a beginning of this set."""
        return len(wanted) - max((len(one) for one in self.sets if one == wanted[: len(one)]), default=0)

    def _is_up(self, checkout: Checkout) -> None:
        """Learn what its database is called, and put one more row into it that must never go."""
        (address,) = addresses(self.envctl, "postgres")
        if not checkout.database:
            asked = self.envctl("dev", "psql", "--", "-Atc", "SELECT current_database()", cwd=checkout.place)
            checkout.database = asked.out.strip()
            assert checkout.database not in self.world.rows
            self.world.rows[checkout.database] = 0
        sql(address, "INSERT INTO sales VALUES (1) RETURNING 1", checkout.database)
        self.world.rows[checkout.database] += 1

    def _learn(self, database: str) -> None:
        """The marks of a run's database count as seen: it was this run that executed them."""
        (address,) = addresses(self.envctl, "postgres")
        self.marks |= {str(row[0]) for row in sql(address, "SELECT mark FROM ran", database)}

    def _end(self, one: Waiting, number: signal.Signals) -> None:
        """After Ctrl-C it cleans up itself, if its server is there; after SIGKILL the next call does."""
        self.live.remove(one)
        one.process.send_signal(number)
        one.process.communicate()
        if number == signal.SIGKILL:
            assert one.process.returncode == -number
        elif not self.down:
            assert one.process.returncode == 130
        self.messy = self.messy or number == signal.SIGKILL or self.down

    @property
    def _used(self) -> bool:
        return bool(self.live) or any(one.pinned for one in self.all)

    def _held(self) -> tuple[list[str], int]:
        """Whose checkouts are pinned, and how many processes hold the servers."""
        found = leases.holders(self.world.home)
        pinned = [one.workspace for one in found if one.kind == "pinned"]
        return sorted(pinned), len(found) - len(pinned)

    def _expected_holders(self) -> tuple[list[str], int]:
        return sorted(str(one.place) for one in self.all if one.pinned), len(self.live)

    def _until(self, look: Callable[[], Any], wanted: Any) -> None:
        """What runs in the background has its time."""
        end = time.monotonic() + DEADLINE
        while (found := look()) != wanted:
            assert time.monotonic() < end, f"{found} is not {wanted}"
            time.sleep(0.05)

    def _file(self, checkout: Checkout, step: int) -> Path:
        return checkout.place / f"db/2_{step:03}.sql"


COMMON = settings(
    database=None,
    phases=(Phase.generate,),  # Servers remember: a shorter example would not begin where this one did.
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
ORDINARY = settings(COMMON, max_examples=3, stateful_step_count=14, derandomize=True)
MANY = settings(COMMON, max_examples=3, stateful_step_count=40)
ROUNDS = 20 if NIGHTLY else 1


@pytest.mark.parametrize("number", range(ROUNDS))
def test_whatever_a_team_does_the_servers_have_what_the_model_says(tmp_path: Path, number: int) -> None:
    with opened(tmp_path / "state") as envctl:
        Days.world = World(envctl, tmp_path, round=number)
        try:
            run_state_machine_as_test(Days, settings=MANY if NIGHTLY else ORDINARY)
        except Exception as error:
            raise Days.world.failure or error from None
        print(*(f"{number} {name}" for name, number in Days.world.steps.most_common()), sep=", ")
