"""One of the processes of a run is killed while its tests run: envctl ends it, says so, and nothing is left."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from checkouts import BIN, Envctl
from leavings import leavings, litter, settled
from test_kill_matrix import FAST, PLAIN
from till import till

from envctl.engines.embedded.folders import scratches

pytestmark = pytest.mark.embedded

TESTS = """
    import os
    import pathlib
    import time

    import psycopg

    def test_a_sale_is_kept():
        here = pathlib.Path(os.environ["MEETING"])
        (here / "new").write_text(str(os.getpid()))
        (here / "new").rename(here / "test")
        while not (here / "go").exists():
            time.sleep(0.01)
        with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
            connection.execute("INSERT INTO sales (cents) VALUES (1)")
"""


@dataclass(frozen=True, slots=True)
class Busy:
    """A run whose test waits for a word."""

    envctl: Envctl
    place: Path
    process: subprocess.Popen[str]
    meeting: Path

    @property
    def test(self) -> psutil.Process:
        """The process that the test runs in."""
        return psutil.Process(int((self.meeting / "test").read_text()))

    @property
    def keeper(self) -> psutil.Process:
        """The process between envctl and pytest."""
        return next(one for one in psutil.Process(self.process.pid).children() if "foreground" in one.cmdline())

    @property
    def controller(self) -> psutil.Process:
        """The pytest that was started."""
        (found,) = self.keeper.children()
        return found

    @property
    def server(self) -> psutil.Process:
        """The first process of PostgreSQL."""
        (file,) = (home / "run" / "postgres.pid" for home in self.homes)
        return psutil.Process(int(file.read_text().split()[0]))

    @property
    def homes(self) -> list[Path]:
        """The state folders of all servers."""
        return [path.parent for path in self.envctl.state.glob("projects/*/*/servers.json")]

    def call(self, *words: str) -> str:
        """An ordinary call that goes well; what it printed."""
        return self.envctl(*words, cwd=self.place, code=0, MEETING=str(self.meeting), **PLAIN).out

    def ended(self) -> tuple[int, str]:
        """Let the test go on, if it is there; what the run said in the end."""
        (self.meeting / "go").touch()
        out, err = self.process.communicate()
        return self.process.returncode, out + err


@contextmanager
def busy(envctl: Envctl, folder: Path, words: str, *start: str, tests: str = TESTS, **files: str) -> Iterator[Busy]:
    config = FAST.replace("pytest -q", f"pytest -q {words}")
    place, meeting = till(folder / "till", config=config, tests=tests, **files), folder
    process = subprocess.Popen(
        start or [BIN / "envctl", "test"],
        cwd=place,
        env={**envctl.environment, **PLAIN, "MEETING": str(meeting)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    envctl("ns", cwd=place)
    try:
        while not (meeting / "test").exists():
            assert process.poll() is None, process.communicate()
            os.sched_yield()
        yield Busy(envctl, place, process, meeting)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def green(run: Busy) -> None:
    """The next run works, and leaves nothing of what was there."""
    assert "1 passed" in run.call("test", "-q")
    settled(run.envctl, run.place)
    assert not litter(run.envctl)


def killed_keeper(run: Busy) -> int:
    run.keeper.kill()
    code, said = run.ended()
    assert "the keeper of python was killed" in said
    return code


def killed_controller(run: Busy) -> int:
    run.controller.kill()
    return run.ended()[0]


def killed_worker(run: Busy) -> int:
    run.test.kill()
    code, said = run.ended()
    assert "crashed" in said
    return code


@pytest.mark.parametrize(
    ("kill", "expected"),
    [(killed_keeper, 1), (killed_controller, 128 + signal.SIGKILL), (killed_worker, 1)],
    ids=["keeper", "controller", "worker"],
)
@pytest.mark.parametrize("words", ["-p xdist -n 1"])
def test_a_run_that_loses_one_of_its_processes_cleans_up_by_itself(
    envctl: Envctl, tmp_path: Path, kill: Callable[[Busy], int], expected: int, words: str
) -> None:
    with busy(envctl, tmp_path, words) as run:
        assert kill(run) == expected
        assert not leavings(envctl, run.place)
        green(run)


def test_a_server_that_dies_under_a_run_is_told_and_what_was_on_it_goes_when_it_is_back(
    envctl: Envctl, tmp_path: Path
) -> None:
    with busy(envctl, tmp_path, "") as run:
        killed_server(run)
        green(run)


def test_a_server_that_dies_under_a_run_leaves_nothing_once_it_is_given_up(envctl: Envctl, tmp_path: Path) -> None:
    with busy(envctl, tmp_path, "") as run:
        killed_server(run)
        run.call("dev", "down", "--all", "--yes")
        run.call("ns")
        settled(envctl, run.place)
        assert not [one for home in run.homes for one in scratches(home) if one.exists()]
        while envctl.processes():
            os.sched_yield()
        green(run)


@pytest.mark.parametrize(
    "start", [(), (sys.executable, "-m", "pytest", "-q", "-p", "envctl")], ids=["envctl test", "pytest"]
)
def test_tests_that_pass_without_their_server_are_not_green(
    envctl: Envctl, tmp_path: Path, start: tuple[str, ...]
) -> None:
    tests = TESTS.partition("        with psycopg")[0]
    with busy(envctl, tmp_path, "", *start, tests=tests, **{"pytest.ini": "[pytest]\nenvctl = true\n"}) as run:
        run.server.kill()
        code, said = run.ended()
        assert (code, "1 passed" in said) == (1 if start else 4, True), said
        assert re.search(r"error: postgres at \S+ did not answer", said), said
        green(run)


def killed_server(run: Busy) -> None:
    run.server.kill()
    code, said = run.ended()
    assert (code, "1 failed" in said) == (1, True), said
    assert re.search(r"error: postgres at \S+ did not answer", said), said
