"""A run that is open, as its parts know it."""

from __future__ import annotations

from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING

from envctl.errors import EnvctlError
from envctl.model import Resource, Talk
from envctl.processes import Write
from envctl.project import Project
from envctl.runs import Run
from envctl.sandbox import Sandbox
from envctl.testing.attendant import Attendant
from envctl.testing.sandboxes import Sandboxes
from envctl.testing.timings import Timings
from envctl.testing.wish import Wish
from envctl.values import dataclass

if TYPE_CHECKING:
    from envctl.audit import Audit


@dataclass(frozen=True, slots=True)
class Voice:
    """Where a run says what it does: its steps, their details, and the lines of the processes beside it."""

    talk: Talk
    detail: Talk
    write: Write
    own_stdout: bool = True
    """Whether the command may write to our stdout; else to our stderr, for stdout is ours alone."""


@dataclass
class Live:
    """A run that is open, and what is learned while it goes on."""

    project: Project
    wish: Wish
    run: Run
    home: Path
    timings: Timings
    sandboxes: Sandboxes
    attendant: Attendant
    socket: Path
    early: bool = False
    """Whether pytest starts while its sandbox is being made, and asks for it when it needs it."""
    code: int = 0
    """The command's own."""
    warning: str = ""
    """Why a green run should not be believed."""
    faults: list[EnvctlError] = field(default_factory=list)
    """Why it counts as failed, whatever its command's exit code."""
    kept: tuple[Resource, ...] = ()
    audit: Audit | None = None
    """What looks for escapes, where that is wished."""

    @property
    def exit_code(self) -> int:
        """The command's own, but never green where something is at fault."""
        return self.code or next((one.exit_code for one in self.faults), 0)

    @property
    def throw_away(self) -> bool:
        """Whether what is kept goes with the servers."""
        return not self.home.name.startswith("dev-")

    def prepare(self) -> None:
        """Begin with the run's own sandbox; where it is there already, nothing happens."""
        self.sandboxes.expect([""])

    @property
    def base(self) -> Sandbox:
        """The run's own sandbox, which is nobody's of its workers."""
        return self.sandboxes.of()
