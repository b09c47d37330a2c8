"""What killed runs left behind is removed in the background of whatever is called next.

Asked by every command, so only this look is cheap to import; the work is in `cleaning`, in a process of its own.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

from envctl import locks, residue, state
from envctl.errors import EnvctlError
from envctl.project import Project

LOG_LIMIT = 256 * 1024


def sweep(project: Project) -> None:
    """Start the process that cleans up after dead runs, if there are any and none is at work. Never fails a command."""
    with suppress(EnvctlError, OSError):
        if any(not residue.settled(folder) for folder in residue.dead(project.home)):
            _start(project.home)


def _start(project_home: Path) -> None:
    """One at a time: the process inherits the lock."""
    from envctl import shell
    from envctl.model import Command

    descriptor = locks.claim(project_home / "recovery.lock")
    if descriptor is None:
        return
    try:
        log = _log(project_home)
        try:
            argv = (sys.executable, "-P", "-m", "envctl.recovery", str(project_home))
            shell.detach(Command(argv), log=log, keep=(descriptor,))
        finally:
            os.close(log)
    finally:
        locks.free(descriptor)


def _log(project_home: Path) -> int:
    """The log, to be written at its end; a long one is set aside first."""
    path = state.folder(project_home / "logs") / "recovery.log"
    with suppress(FileNotFoundError):
        if path.stat().st_size > LOG_LIMIT:
            path.replace(path.with_suffix(".log.old"))
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
