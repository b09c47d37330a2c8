"""The command of a run: what it is started with, and where."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from envctl import services, shell
from envctl.dev import programs
from envctl.errors import EnvctlError
from envctl.keeper.keeping import Kept
from envctl.libpq import REDIRECTING
from envctl.model import Command
from envctl.processes import run_foreground
from envctl.testing import audited, passport

if TYPE_CHECKING:
    from envctl.testing.live import Live, Voice

NOT_BEGUN = 125
"""The exit code of a run whose command never had its sandbox."""
NAMED = ("database", "bucket")
"""What is known by its name: a redis database has a number, and the login goes with what it opens."""


def run(live: Live, keeper: Kept, voice: Voice) -> int:
    """Run the command, beside the processes that its suite asks for, and return its exit code."""
    own = _environment(live)
    if live.wish.plugin:
        own |= passport.issued(live.project, live.wish, live.socket, early=live.early)
    without = tuple(name for name in REDIRECTING if name not in live.project.config.exported(services.get))
    command = Command(live.wish.argv, env=own, cwd=_place(live), without=without)

    def work() -> int:
        if live.wish.interactive:
            voice.talk(f"this shell is in a sandbox of its own ({_named(live)}); `exit` leaves it and removes that")
        try:
            with audited.looking(live) as look:
                return run_foreground(
                    command, impatient=live.wish.plugin, ahead=keeper, meanwhile=live.prepare, remaining=look
                )
        except EnvctlError as error:
            if error.code == "no_program":
                error.exit_code = NOT_BEGUN
            raise

    if not live.wish.processes:
        return work()
    beside = programs.processes(live.base, live.wish.processes, voice.talk)
    return programs.run_beside(beside, work, write=voice.write, talk=voice.talk)


def _named(live: Live) -> str:
    """What the run has to itself; its namespace, where none of it has a name."""
    found = [one for access in live.base.access.values() for one in access.resources if one.kind in NAMED]
    return ", ".join(f"{one.kind} {one.name}" for one in found) or live.project.names.sandbox


def _environment(live: Live) -> dict[str, str]:
    """The sandbox's variables. PATH is as it was, unless the project has an environment or the program is not on it."""
    own = {} if live.early else dict(live.base.variables)
    found = shell.which(live.wish.argv[0]) is not None and not (live.project.root / ".venv").is_dir()
    return own if found else programs.environment(live.project.root, own)


def _place(live: Live) -> Path:
    """Where the command runs: the configuration's at the project's root, a typed one where it was typed."""
    return live.project.root if live.wish.command else Path.cwd()
