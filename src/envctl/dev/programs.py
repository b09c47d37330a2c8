"""What runs with a sandbox's variables: one command, the application's processes, or one beside the others."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from envctl import ports, sandbox, variables
from envctl.errors import UsageError
from envctl.migrations.commands import search_path
from envctl.model import Command, Talk
from envctl.processes import Process, Write, run_all, run_foreground
from envctl.project import Project
from envctl.sandbox import Sandbox
from envctl.server_set import Running
from envctl.servers import Servers
from envctl.toml.words import did_you_mean

LOOK_EVERY = 2.0
"""Seconds between two looks at the servers under a running command."""


@contextmanager
def sandboxed(project: Project, chosen: Servers, *, wait: float, talk: Talk, detail: Talk) -> Iterator[Sandbox]:
    """This checkout's sandbox for the length of one command; a server that dies under it is told."""
    with (
        sandbox.opened(project, chosen, command="dev run", wait=wait, talk=talk, detail=detail) as ready,
        _watched(chosen, ready.running, talk),
    ):
        yield ready


def run_command(ready: Sandbox, words: Sequence[str]) -> int:
    """Run one command in the foreground with the sandbox's variables; its exit code is the result."""
    return run_foreground(Command(tuple(words), env=environment(ready.project.root, ready.variables), cwd=Path.cwd()))


def run_processes(ready: Sandbox, names: Sequence[str], words: Sequence[str], *, write: Write, talk: Talk) -> int:
    """Run the named processes (all where none is named); with a command, once they are ready and until it ends."""
    chosen = processes(ready, names, talk)
    if not words:
        return run_all(chosen, write=write, talk=talk)
    return run_beside(chosen, lambda: run_command(ready, words), write=write, talk=talk)


def run_beside(chosen: Sequence[Process], work: Callable[[], int], *, write: Write, talk: Talk) -> int:
    """Do the work once the processes are ready, and end them after it; a process that ends first is the result."""
    stop, all_ready = threading.Event(), threading.Event()

    def beside() -> int:
        try:
            return run_all(chosen, write=write, talk=talk, stop=stop, ready=all_ready)
        finally:
            all_ready.set()

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(beside)
        try:
            all_ready.wait()
            return running.result() if running.done() else work()
        finally:
            stop.set()


def processes(ready: Sandbox, names: Sequence[str], talk: Talk) -> list[Process]:
    """The configured processes of those names, each on this namespace's own port, free at this moment."""
    configured = ready.project.config.dev.processes
    if not configured:
        raise UsageError(
            "this project has no processes", hint="add [dev.processes.NAME] to envctl.toml, or give a command after --"
        )
    for name in names:
        if name not in configured:
            cause = f"configured under [dev.processes]: {', '.join(configured)}"
            raise UsageError(f"no process is called {name}", cause=cause, hint=did_you_mean(name, configured))
    return [_process(ready, name, _port(ready.project, name, talk)) for name in names or configured]


def _port(project: Project, name: str, talk: Talk) -> int:
    if fixed := project.config.dev.processes[name].port:
        return fixed
    key = sandbox.process_key(project, name)
    before, now = ports.lookup(key), ports.take(key)
    if before != now:
        talk(f"{name}: port {before} is taken, using {now}")
    return now


def _process(ready: Sandbox, name: str, port: int) -> Process:
    project = ready.project
    one = project.config.dev.processes[name]
    values = {**sandbox.values(project, ready.access), "port": str(port)}
    return Process(
        name=name,
        command=variables.fill(one.command, values, what=f"[dev.processes.{name}] command"),
        cwd=project.root / one.cwd,
        env={
            **environment(ready.project.root, ready.variables),
            **sandbox.export(project, ready.access),
            **variables.render(one.env, values),
        },
        port=port if one.port or one.health or "{port}" in one.command else None,
        health=one.health,
    )


def environment(root: Path, own: Mapping[str, str]) -> dict[str, str]:
    """A sandbox's variables, and a PATH on which the project's own virtual environment comes first."""
    path = own.get("PATH", os.environ.get("PATH", ""))
    return {**own, "PATH": search_path(root, path)}


@contextmanager
def _watched(chosen: Servers, running: Running, talk: Talk) -> Iterator[None]:
    """Look now and then whether the servers are still there, and say it once when one is not."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(LOOK_EVERY):
            if not chosen.engine.alive(running):
                gone = [one.service for one in chosen.engine.look(running) if one.state != "running"]
                talk(f"{', '.join(gone) or 'a server'} died: `envctl dev up` starts it again with its data")
                return

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
