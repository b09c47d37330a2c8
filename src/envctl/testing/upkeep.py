"""After a run, in a process of its own: copies made ahead for the next one, and templates gone that nobody uses.

It is started only where it pays: where a copy is slow to make, as on a disk, or where this run added a template.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from envctl import locks, services, shell, state, templates
from envctl.errors import EnvctlError
from envctl.model import Command
from envctl.project import Project, open_project
from envctl.recovery.visit import visited
from envctl.testing.sandboxes import Sandboxes

SLOW = 0.05
"""Seconds that a copy takes above which it is made ahead; below, the process that makes it ahead costs more."""
MOST = 16
"""How many copies are made ahead at most."""
WAIT = 10.0
MEGABYTE = 1 << 20


def begin(sandboxes: Sandboxes, home: Path) -> None:
    """Start it, if there is something to do and nobody does it already. The run is over: it never fails for this."""
    found = sandboxes.made_from
    jobs = {name: min(sandboxes.copies, MOST) if sandboxes.copying > SLOW else 0 for name in found}
    if not any(jobs[name] or ready.how != "reused" for name, ready in found.items()):
        return
    words = [f"{name}={jobs[name]}={ready.template.digest}" for name, ready in found.items()]
    try:
        _start(sandboxes.project, home, words)
    except (EnvctlError, OSError) as error:
        print(f"warning: nothing is made ahead for the next run: {error}", file=sys.stderr)


def _start(project: Project, home: Path, words: list[str]) -> None:
    descriptor = locks.claim(home / "upkeep.lock")
    if descriptor is None:
        return
    try:
        log = os.open(
            state.folder(project.home / "logs") / "upkeep.log",
            os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC,
            0o600,
        )
        try:
            argv = (sys.executable, "-P", "-m", "envctl.testing.upkeep", str(project.root), str(home), *words)
            shell.detach(Command(argv), log=log, keep=(descriptor,))
        finally:
            os.close(log)
    finally:
        locks.free(descriptor)


def main(root: Path, home: Path, words: list[str]) -> None:
    """Use the servers if they still run, and hold them meanwhile."""
    os.chdir("/")
    project = open_project(root, "test", os.environ)
    limit = project.config.test.template_space * MEGABYTE
    with visited(home, command="envctl test, after a run", wait=WAIT, talk=print) as visit:
        for word in words:
            name, count, digest = word.split("=")
            maker, address = services.get(name).templates, visit.servers.get(name)
            template = maker.find(address, project.config.project, digest) if maker and address else None
            if template is not None and address is not None:
                print(f"made {templates.refill(project, address, name, template, int(count))} copies ahead")
                print("dropped:", *templates.evict(project, address, name, {template.name}, limit))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
