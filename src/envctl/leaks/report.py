"""A scheduled audit: what its log gets, and whom it tells."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from envctl import shell
from envctl.errors import EnvctlError
from envctl.leaks.plain import summary
from envctl.leaks.rows import Audit
from envctl.masking import masked
from envctl.model import Command, Talk
from envctl.project import Project

LARGEST = 1_000_000
"""A log that has grown beyond this makes room for a new one; the one before it is kept."""
SECONDS = 120.0


def turn(log: Path) -> None:
    """Put a log that is full out of the way. What still writes into it writes into the old one to its end."""
    if log.exists() and log.stat().st_size > LARGEST:
        os.replace(log, log.with_name(f"{log.name}.1"))  # noqa: PTH105  (in one step, also over an older one)


def notify(project: Project, audit: Audit, talk: Talk) -> bool:
    """Run the configured command where there are leaks, with the summary on its standard input; whether it did well."""
    command = project.config.leaks.notify
    if not command or not audit.leaks:
        return True
    try:
        words = shlex.split(command)
    except ValueError as error:
        talk(f"the notify command cannot be read: {error}")
        return False
    if why := _failed(Command(tuple(words), cwd=project.root, stdin=summary(audit))):
        talk(f"the notify command failed: {why}")
    return not why


def _failed(command: Command) -> str:
    """Why it did not do well. Its words and what it says may have a token in them: the program alone is named."""
    program = masked(command.argv[0])
    try:
        done = shell.run(command, check=False, seconds=SECONDS)
    except EnvctlError as error:
        return f"{program} could not be run" if error.code == "no_program" else error.message
    except OSError as error:
        return f"{program} could not be run: {error.strerror}"
    return f"{program} ended with {done.code}" if done.code else ""
