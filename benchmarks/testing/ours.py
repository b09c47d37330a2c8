"""envctl as a contender: the console script of this tree, on an application that knows nothing of it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import app
import psutil
import tools
from rivals import Contender, plain

ENVCTL = str(Path(sys.executable).with_name("envctl"))
SETTLED = ("envctl.recovery", "envctl.testing.upkeep")
"""Modules that work in the background after a run, and end."""


@dataclass(frozen=True)
class Place:
    """A checkout, and the state folder that its commands use."""

    folder: Path
    state: Path
    environment: Mapping[str, str]

    def __call__(self, *words: str, more: Mapping[str, str] | None = None) -> str:
        """Run envctl to its end; a failure is the end of the benchmark."""
        done = subprocess.run(
            [ENVCTL, *words],
            cwd=self.folder,
            env={**self.environment, **(more or {})},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            sys.exit(f"error: envctl {' '.join(words)} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def timed(self, *words: str) -> tuple[float, dict[str, float]]:
        """The seconds of `envctl WORDS`, and of each of its phases; then wait until nothing of it works any more."""
        file = self.state.with_suffix(".timings")
        command, _, rest = " ".join(words).partition(" -- ")
        argv = [*command.split(), "--timings", str(file), *(["--", *rest.split()] if rest else [])]
        start = time.monotonic()
        self(*argv)
        wall = time.monotonic() - start
        self.settle()
        return wall, phases(file)

    def settle(self) -> None:
        """Wait for what goes on in the background after a run, so that nobody else pays for it."""
        psutil.wait_procs(
            [one for one in self.processes() if any(word in SETTLED for word in cmdline(one))], timeout=60
        )

    def processes(self) -> list[psutil.Process]:
        """Every process that came of this state folder, but the servers."""
        return [one for one in psutil.process_iter() if self._mine(one)]

    def _mine(self, process: psutil.Process) -> bool:
        with suppress(psutil.Error):
            return process.environ().get("ENVCTL_STATE_DIR") == str(self.state)
        return False


def phases(file: Path) -> dict[str, float]:
    """The seconds of each phase, by name; those of one name together."""
    found: dict[str, float] = {}
    for one in json.loads(file.read_text())["phases"]:
        found[one["name"]] = found.get(one["name"], 0.0) + float(one["seconds"])
    return found


def cmdline(process: psutil.Process) -> list[str]:
    """Its words; none where it is gone."""
    with suppress(psutil.Error):
        return process.cmdline()
    return []


@contextmanager
def checkout(folder: Path, *, revisions: int = app.REVISIONS) -> Iterator[Place]:
    """The application with an `envctl.toml`; its servers are stopped after the block."""
    made = app.generate(folder / "ledger", "sandboxed", revisions=revisions)
    with at(made, folder / "state") as place:
        yield place


@contextmanager
def at(folder: Path, state: Path) -> Iterator[Place]:
    """Commands in that folder, with a state folder that nothing of stays behind."""
    place = Place(folder, state, environment(state))
    try:
        yield place
    finally:
        stop(place)


def environment(state: Path) -> dict[str, str]:
    """What its commands see: the application's programs, and this state folder."""
    return plain(tools.environment(tools.APPLICATION), {"ENVCTL_STATE_DIR": str(state), "ENVCTL_ENGINE": "embedded"})


def stop(place: Place) -> None:
    """Stop the servers, and forget all."""
    place.settle()
    argv = [ENVCTL, "dev", "down", "--all", "--yes"]
    subprocess.run(argv, cwd=place.folder, env=place.environment, check=False, capture_output=True)
    shutil.rmtree(place.state, ignore_errors=True)


def warm(place: Place) -> Contender:
    """`envctl test` where everything is there already."""
    file = place.state.with_suffix(".timings")
    command = (ENVCTL, "test", "--timings", str(file))
    server = "its own, as by hand"
    return Contender("envctl test, warm", server, place.folder, command, place.environment, after=place.settle)


def cold(place: Place) -> Contender:
    """`envctl test` where no server runs, no template and no state is."""

    def before() -> None:
        shutil.rmtree(place.state, ignore_errors=True)

    def after() -> None:
        stop(place)

    command = (ENVCTL, "test", "--timings", str(place.state.with_suffix(".timings")))
    return Contender(
        "envctl test, cold", "its own, started by it", place.folder, command, place.environment, before, after
    )


def address(place: Place) -> Any:
    """The administrator's address of the server that this checkout's tests run on, and its settings."""
    from envctl.model import Address

    found = sorted(place.state.rglob("servers.json"))
    for file in found:
        one = json.loads(file.read_text())["servers"]["postgres"]["address"]
        return Address(**one)
    sys.exit(f"error: no server on record in {place.state}")


def cpu(processes: list[psutil.Process]) -> float:
    """User and system seconds of these processes until now."""
    total = 0.0
    for one in processes:
        with suppress(psutil.Error):
            times = one.cpu_times()
            total += times.user + times.system
    return total
