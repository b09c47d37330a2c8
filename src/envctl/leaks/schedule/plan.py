"""What a scheduled audit is: the command, its folder, its variables, its log and its time."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from envctl import shell, state
from envctl.digests import hexdigest
from envctl.errors import EnvctlError
from envctl.masking import masked
from envctl.project import Project
from envctl.values import dataclass

CARRIED = ("PATH", "HOME", "ENVCTL_STATE_DIR", "XDG_STATE_HOME", "DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG")
"""What cron does not know and the audit needs. Tokens are not among it: a crontab is no place for a secret."""
HOUR = 6


@dataclass(frozen=True, slots=True)
class Plan:
    """One project's audit, to be run again and again."""

    project: str
    checkout: Path
    command: tuple[str, ...]
    variables: Mapping[str, str]
    log: Path
    weekly: bool
    key: str
    """Names it among others: one for each project of a user."""

    @property
    def minute(self) -> int:
        """Not the same for all projects, so that they do not all start at once."""
        return int(hexdigest(self.key.encode())[:8], 16) % 60


def of(project: Project, *, weekly: bool, words: tuple[str, ...], environ: Mapping[str, str] = os.environ) -> Plan:
    """The plan for this checkout; another one's for the same project is replaced by it."""
    log = state.folder(project.home) / "leaks.log"
    variables = {name: environ[name] for name in CARRIED if environ.get(name) and name not in withheld(environ)}
    if "ENVCTL_STATE_DIR" in variables:
        variables["ENVCTL_STATE_DIR"] = str(state.root())
    command = (str(_program()), "leaks", "--scheduled", *words)
    plan = Plan(project.config.project, project.root, command, variables, log, weekly, key_of(project))
    for text in (str(plan.checkout), str(log), *command, *variables.values()):
        if not text.isprintable():
            raise EnvctlError(f"{text!r} cannot stand in a schedule", cause="it has a line break or the like in it")
    return plan


def key_of(project: Project) -> str:
    """The same from every checkout of the project."""
    return f"{project.config.project}-{hexdigest(str(project.home).encode())[:8]}"


def withheld(environ: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """What would be carried, and has a password in it, as the URL of a Docker host may."""
    return tuple(name for name in CARRIED if masked(environ.get(name, "")) != environ.get(name, ""))


def _program() -> Path:
    """The console script of this very installation, else the one on PATH."""
    beside = Path(sys.executable).with_name("envctl")
    found = beside if beside.is_file() else shell.which("envctl")
    if found is None:
        raise EnvctlError("the program envctl was not found", hint="install envctl so that it is on PATH")
    return found.absolute()
