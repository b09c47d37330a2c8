"""How long each phase of a run took, for the one line at its end and for `--timings`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import field
from typing import Any

from envctl.values import dataclass

TESTS = "tests"


@dataclass(frozen=True, slots=True)
class Phase:
    """One step of a run: when it began, counted from the start, and how long it took."""

    name: str
    at: float
    seconds: float


@dataclass
class Timings:
    """The phases of one run, in the order in which they began."""

    begun: Callable[[str], None] = lambda name: None
    """Hears of each phase as it begins, but while the terminal is the tests'; an empty word says that it is."""
    phases: list[Phase] = field(default_factory=list)
    first_test: float | None = None
    """When the first test was about to run."""
    tests: int = 0
    ran: int | None = None
    """How many of them were not skipped; None where nobody told."""
    _theirs: bool = False
    _zero: float = field(default_factory=time.monotonic)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Measure a block, however it ends."""
        if name == TESTS:
            self.begun("")
            self._theirs = True
        elif not self._theirs:
            self.begun(f"{name} …")
        begun = time.monotonic()
        place = len(self.phases)
        self.phases.append(Phase(name, begun - self._zero, 0.0))
        try:
            yield
        finally:
            self._theirs = self._theirs and name != TESTS
            self.phases[place] = Phase(name, begun - self._zero, time.monotonic() - begun)

    def began(self, name: str) -> bool:
        """Whether that phase was reached."""
        return any(one.name == name for one in self.phases)

    def started(self) -> None:
        """The first test is about to run."""
        if self.first_test is None:
            self.first_test = time.monotonic() - self._zero

    def seconds(self, *names: str) -> float:
        """How long these phases took together."""
        return sum(one.seconds for one in self.phases if one.name in names)

    def as_json(self) -> dict[str, Any]:
        """All of it, for a program."""
        return {
            "phases": [
                {"name": one.name, "at": round(one.at, 4), "seconds": round(one.seconds, 4)} for one in self.phases
            ],
            "first_test": None if self.first_test is None else round(self.first_test, 4),
            "tests": self.tests,
            "total": round(time.monotonic() - self._zero, 4),
        }
