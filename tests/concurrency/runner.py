"""What a run does, in a process of its own that a test can kill: a slot, held servers, resources in every service."""

from __future__ import annotations

import json
import os
import signal
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import dying

from envctl import leases, locks, recovery, runs, sandbox, servers, services
from envctl.project import Project, open_project
from envctl.recovery import cleaning
from envctl.residue import dead, private
from envctl.runs import Run, folders

CONFIG = """
project = "{project}"
engine = "embedded"
idle = "0"
{services}
[test]
server = "{server}"
"""
ALL = ("postgres", "redis", "s3")


def checkout(folder: Path, *, project: str = "shop", names: tuple[str, ...] = ALL, server: str = "own") -> Path:
    """A project with these services."""
    folder.mkdir(parents=True, exist_ok=True)
    text = CONFIG.format(project=project, server=server, services="\n".join(f"[services.{one}]" for one in names))
    (folder / "envctl.toml").write_text(text)
    return folder


def opened(root: Path, namespace: str = "feature_a") -> Project:
    """The checkout as a run sees it."""
    return open_project(root, "test", {"BRANCH_NAME": namespace})


def claimed(project: Project, talk: Any = lambda line: None) -> Any:
    """A slot for a run on the project's own servers."""
    home = servers.choose(project, "test").set.home
    return runs.claimed(project, home=home, engine="embedded", command="envctl test", talk=talk)


def held(project: Project) -> Any:
    """Its servers."""
    found = servers.choose(project, "test")
    asked: dict[str, Any] = {"namespace": project.namespace.name, "workspace": str(project.root)}
    return leases.hold(found.set, found.engine, command="envctl test", wait=60, talk=lambda line: None, **asked)


def make(run: Run, running: Any, workers: tuple[str, ...] = ("", "gw0")) -> dict[str, list[str]]:
    """What a run and its workers have, in every service."""
    made: dict[str, list[str]] = {}
    for name, server in running.servers.items():
        for worker in workers:
            claim = sandbox.claim(run.project, name, worker, lease=run.id, memory=run.memory)
            access = services.get(name).create(server.address, run.project.config.services[name], claim)
            made.setdefault(name, []).extend(one.name for one in access.resources)
    return made


def work(root: Path, namespace: str, *, at: int = 0, when: dying.When = "before") -> None:
    """Hold, claim, make; say what was made and wait for a word."""
    project = opened(root, namespace)
    with ExitStack() as stack:
        running = stack.enter_context(held(project))
        if at:
            dying.install(at, when)
        run = stack.enter_context(claimed(project))
        run.begun()
        made = make(run, running)
        tell(slot=run.slot, id=run.id, identity=run.identity, made=made)
        if at or sys.stdin.readline().strip() == "done":
            os.kill(os.getpid(), signal.SIGKILL)


def claim(root: Path, namespace: str) -> None:
    """Claim, say which slot, and give it back when a line comes; or leave it as it is."""
    with claimed(opened(root, namespace), talk=lambda line: print(line, file=sys.stderr)) as run:
        tell(slot=run.slot, id=run.id, identity=run.identity)
        if sys.stdin.readline().strip() == "done":
            run.done()


def churn(root: Path, namespace: str, count: int, busy: Path) -> None:
    """Claim again and again; whoever finds a slot's mark there was not alone in it."""
    for number in range(count):
        with claimed(opened(root, namespace)) as run:
            mark = busy / str(run.slot)
            os.close(os.open(mark, os.O_CREAT | os.O_EXCL))
            assert folders.read(run.folder).id == run.id
            mark.unlink()
            if number % 3:
                run.done()
    tell(count=count)


def clean(root: Path, namespace: str, until: Path) -> None:
    """Clean up after the dead again and again, until a file is there."""
    home = opened(root, namespace).home
    seen = 0
    while not until.exists():
        folders.tidy(home)
        seen += sum(cleaning.clean(one).verdict == "clean" for one in dead(home) if not private(one))
    tell(count=seen)


def clean_and_die(root: Path, namespace: str, at: int, when: dying.When) -> None:
    """What the recovery process does, and its death."""
    home = opened(root, namespace).home
    dying.install(at, when)
    folders.tidy(home)
    for one in dead(home):
        if not private(one):
            cleaning.clean(one)


def sweep(root: Path, namespace: str) -> None:
    """What every command does."""
    project = opened(root, namespace)
    recovery.sweep(project)
    tell(busy=locks.held(project.home / "recovery.lock"))


def tell(**said: Any) -> None:
    print(json.dumps(said), flush=True)


if __name__ == "__main__":
    verb, root, namespace, options = sys.argv[1:]
    given = {key: Path(one) if key in ("busy", "until") else one for key, one in json.loads(options).items()}
    globals()[verb](Path(root), namespace, **given)
