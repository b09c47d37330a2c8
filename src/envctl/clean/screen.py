"""What a plan says and what came of it, to read: one thing a line, broken at words where the screen ends."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, TextIO

from envctl import output
from envctl.clean.outcomes import Outcome
from envctl.clean.plans import Action
from envctl.model import Finding
from envctl.render import View, text
from envctl.values import dataclass

if TYPE_CHECKING:
    from rich.console import RenderableType

WORD = 11
"""The width of what is done, before the thing that it is done with."""
DONE = {"drop": "dropped", "quarantine": "quarantined", "expire": "dropped"}
Line = tuple[str, str]
"""What is done, and with what and why."""


@dataclass(frozen=True, slots=True)
class Lines(View):
    """The lines, and a sum below them. A file or a pipe, where nothing is broken, gets them without rich."""

    shown: tuple[Line, ...]
    last: str

    def show(self, stream: TextIO) -> None:
        """Print it; the sum alone is broken nowhere."""
        if self.shown:
            View.show(self, stream)
        else:
            output.write(stream, self.text())

    def text(self) -> str:
        """One line a thing."""
        indent = "\n" + " " * (WORD + 1)
        lines = [f"{word:<{WORD}} {output.harmless(said)}".replace("\n", indent) for word, said in self.shown]
        return "\n".join([*lines, output.harmless(self.last)])


def lines(shown: Iterable[Line], last: str) -> Lines:
    """What is done with each thing, and the sum."""
    found = tuple(shown)
    return Lines(partial(_grid, found, last), found, last)


def _grid(shown: Iterable[Line], last: str) -> RenderableType:
    from rich.console import Group
    from rich.table import Table

    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(width=WORD)
    grid.add_column(overflow="fold")
    for word, said in shown:
        grid.add_row(text(word), text(said))
    return Group(grid, text(last)) if grid.row_count else text(last)


def planned(action: Action) -> Line:
    """What would be done with a thing."""
    return action.do, f"{named(action.finding)}: {action.why}"


def ended(outcome: Outcome) -> Line:
    """What was done with it, or why it was not."""
    done = outcome.result == "done"
    word = DONE[outcome.action.do] if done else outcome.result
    return word, f"{named(outcome.action.finding)}: {outcome.action.why if done else outcome.why}"


def spared(action: Action) -> Line:
    """What somebody uses."""
    return "in use", f"{named(action.finding)}: {action.why}"


def named(finding: Finding) -> str:
    """What it is, and where."""
    return f"{finding.resource.kind} {finding.resource.name} ({finding.place})"


def summary(counts: Counter[str]) -> str:
    """How many came to what."""
    told = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    return told or "nothing is there"
