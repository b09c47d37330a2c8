"""Sixteen namespaces at once, each with a database of its own, beside a loop of CREATE DATABASE on the same server."""

from __future__ import annotations

import os
import secrets
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import app
import ours
import server
from figures import Aim, Figure, Report, ratio

MANY = 16


def measure(folder: Path, rounds: int, report: Report) -> None:
    """The clones alone, made in one process by threads as the desk of a run makes them; then as so many commands."""
    with ours.checkout(folder) as place:
        place("run", "--", "true")
        place.settle()
        raw, made = [], []
        for _ in range(rounds):
            raw.append(loop(place) / MANY)
            made.append(sandboxes(place) / MANY)
            print(f"  crowd: {1000 * raw[-1]:.1f} ms raw, {1000 * made[-1]:.1f} ms envctl", flush=True)
        commands = [at_once(place, folder) for _ in range(max(rounds // 2, 1))]
    report.figures += [
        Figure("CREATE DATABASE … TEMPLATE in a loop, each", tuple(1000 * one for one in raw), "ms"),
        Figure(f"a database for each of {MANY} namespaces at once, each", tuple(1000 * one for one in made), "ms"),
        Figure(f"`envctl run -- true` in {MANY} worktrees at once", tuple(commands)),
    ]
    report.aims.append(Aim(f"{MANY} namespaces at once: wall per database ÷ raw loop", 1.5, ratio(made, raw), "x"))


def loop(place: ours.Place) -> float:
    """One after another on one connection, of the very template that envctl clones."""
    by_hand = server.Server(ours.address(place), Path())
    (template,) = by_hand.execute("SELECT datname FROM pg_database WHERE datname LIKE 'ledger\\_\\_t\\_%'")[0]
    names = [f"raw_{number}" for number in range(MANY)]
    with server.connect(by_hand.address, "postgres") as connection:
        start = time.monotonic()
        for name in names:
            connection.execute(server.composed("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY", name, template))
        wall = time.monotonic() - start
    for name in names:
        by_hand.execute("DROP DATABASE {}", name)
    return wall


def sandboxes(place: ours.Place) -> float:
    """Sixteen namespaces with their databases, logins and owner records; dropped again outside of the clock."""
    from envctl.testing.sandboxes import Sandboxes

    with inside(place) as live:
        made_from, ours_ = live.sandboxes.made_from, live.sandboxes
        crowd = []
        for number in range(MANY):
            names = replace(live.project.names, namespace=f"crowd_{number:02}")
            project = replace(live.project, names=names)
            memory = ours_.memory / str(number)
            crowd.append(
                Sandboxes(
                    project, ours_.running, lambda _: made_from, lease=secrets.token_hex(6), memory=memory, env={}
                )
            )
        with ThreadPoolExecutor(MANY) as pool:
            start = time.monotonic()
            list(pool.map(lambda one: one.of(), crowd))
            wall = time.monotonic() - start
        for one in crowd:
            one.drop([], lambda names: None)
    return wall


@contextmanager
def inside(place: ours.Place) -> Iterator[Any]:
    """A run of this checkout, opened in this process."""
    from envctl import testing
    from envctl.project import open_project
    from envctl.testing import wish
    from envctl.testing.timings import Timings

    def silent(*_: object) -> None:
        """Nobody listens."""

    kept = dict(os.environ)
    os.environ.update({key: value for key, value in place.environment.items() if key.startswith("ENVCTL_")})
    try:
        project = open_project(place.folder, "test", os.environ)
        voice = testing.Voice(silent, silent, silent)
        with testing.opened(project, wish.of_command(project, ["true"]), Timings(), wait=60, voice=voice) as live:
            yield live
    finally:
        os.environ.clear()
        os.environ.update(kept)


def at_once(place: ours.Place, folder: Path) -> float:
    """From the start of the first command to the end of the last; most of it is Python's own start, sixteen times."""
    trees = [worktree(place.folder, folder / f"tree-{number}", number) for number in range(MANY)]
    argv = [ours.ENVCTL, "run", "--", "true"]
    start = time.monotonic()
    crowd = [
        subprocess.Popen(argv, cwd=tree, env=place.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for tree in trees
    ]
    codes = [one.wait() for one in crowd]
    wall = time.monotonic() - start
    if any(codes):
        raise SystemExit(f"error: of {MANY} `envctl run` at once some failed: {codes}")
    place.settle()
    return wall


def worktree(checkout: Path, target: Path, number: int) -> Path:
    """Another checkout of the same repository."""
    if not target.exists():
        app.git(checkout, "worktree", "add", "-q", "-b", f"crowd-{number}", str(target))
    return target
