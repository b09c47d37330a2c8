"""What is on this machine: the inventory's findings as rows, and what the state folder itself takes."""

from __future__ import annotations

import os
import re
import shlex
import stat
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

from envctl import hosts, inventory, leases, locks, servers
from envctl.leaks.rows import Row, row
from envctl.model import Talk, Unseen
from envctl.project import Project

Seen = tuple[tuple[Row, ...], tuple[Unseen, ...]]


def look(project: Project, *, start: bool, wait: float, talk: Talk) -> Seen:
    """Everything of the project here, and what could not be looked at. `start` holds the servers meanwhile."""
    with ExitStack() as stack:
        if start:
            _start(project, stack, wait, talk)
        found = inventory.take(project, command="leaks", wait=wait, talk=talk)
    mine = {hosts.this_host(), *hosts.former()}
    rows = [row(one, project=project.config.project, mine=mine) for one in found.findings]
    return (*rows, *_state(project)), found.unseen


def _start(project: Project, stack: ExitStack, wait: float, talk: Talk) -> None:
    """Bring up the servers that were made once; new ones would have nothing in them to see."""
    chosen = servers.choose(project)
    if (chosen.set.home / "servers.json").exists():
        held = leases.hold(
            chosen.set, chosen.engine, namespace="", workspace="", command="leaks", wait=wait, talk=talk
        )  # Of no namespace: looking is not using.
        stack.enter_context(held)


def _state(project: Project) -> Iterator[Row]:
    """What the state folder takes, without the servers' own folders: their data are findings of their own.

    Each file is written under a private name first, and locked; one that has it still and is not is a dead writer's.
    """
    total = 0
    for path, size in _files(project.home):
        total += size
        if _PRIVATE.fullmatch(path.name) and not locks.held(path):
            reason = "its writer died before it was done"
            remedy = shlex.join(("rm", str(path)))
            yield Row("", "state", "file", str(path), "orphan", reason, bytes=size, remedy=remedy)
    yield Row(
        "", "state", "folder", str(project.home), "live", "records, logs and memories of this project", bytes=total
    )


_PRIVATE = re.compile(r"\..+\.[0-9]+\.[0-9a-f]{8}")


def _files(home: Path) -> Iterator[tuple[Path, int]]:
    """Each file and what it takes on the disk; a link is not followed, and what goes meanwhile takes nothing."""
    for where, folders, names in os.walk(home):
        folder = Path(where)
        folders[:] = [name for name in folders if not (folder / name / "servers.json").exists()]
        for name in names:
            with suppress(OSError):
                found = (folder / name).lstat()
                if stat.S_ISREG(found.st_mode):
                    yield folder / name, found.st_blocks * 512
