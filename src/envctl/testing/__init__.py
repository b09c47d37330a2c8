"""`envctl test`: a slot of this namespace → held servers → template → clones → the command → nothing left."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from types import FrameType

from envctl import dev, leases, runs, sandbox, servers, services, templates
from envctl.errors import EnvctlError, UsageError
from envctl.migrations.commands import search_path
from envctl.model import Command, Resource, Talk
from envctl.processes import Write, run_foreground
from envctl.project import Project
from envctl.runs import Run
from envctl.sandbox import Sandbox
from envctl.servers import Servers
from envctl.testing import suites
from envctl.testing.party import Party
from envctl.testing.sandboxes import Sandboxes
from envctl.testing.suites import Wish
from envctl.testing.timings import Timings


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended."""

    code: int
    timings: Timings
    template: str = ""
    clones: int = 0
    warning: str = ""
    """Why a green run should not be believed."""
    kept: tuple[Resource, ...] = ()


def run(project: Project, wish: Wish, *, wait: float, write: Write, talk: Talk, detail: Talk) -> Outcome:
    """Run one command in a sandbox of its own, and leave nothing of it."""
    timings = Timings()
    with interruptible(), opened(project, wish, timings, wait=wait, talk=talk, detail=detail) as party:
        with timings.phase("tests"):
            code = party.run(write=write, talk=talk)
    return party.outcome(code)
