"""Environment 1: this checkout's own database, buckets and ports inside servers that stay up."""

from __future__ import annotations

import queue
import shlex
import threading
from collections.abc import Iterable, Iterator, Mapping

from envctl import hosts, leases, sandbox, servers, services, workspaces
from envctl.dev import tests
from envctl.errors import UnavailableError, UsageError
from envctl.model import Address, Holder, Resource, Talk
from envctl.project import Project
from envctl.sandbox import Sandbox
from envctl.server_set import Running, Sighting
from envctl.servers import Servers
from envctl.values import dataclass

EXPLICIT = ("flag", "BRANCH_NAME")
"""Where a namespace comes from that somebody has named, rather than the checkout."""
DEV = ("dev up", "dev run")
"""What makes a checkout's dev environment be up."""


def up(project: Project, chosen: Servers, *, recreate: bool, wait: float, talk: Talk, detail: Talk) -> Sandbox:
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
    ready = sandbox.prepare(project, running, wait=wait, talk=talk, detail=detail)
    if workspaces.aside(project.config.project, project.namespace.name).exists():
        from envctl.clean import aside

        aside.tell(project, running, talk)
    return ready


def current(project: Project, chosen: Servers, *, wait: float, talk: Talk) -> Sandbox:
    """The sandbox that `up` made, as it is: nothing is migrated. Not available where nobody has made it."""
    running = _running(project, chosen)
    users = leases.holders(chosen.set.home)
    if not any(one.namespace == project.namespace.name for one in users):
        raise _not_up(project, users)
    return sandbox.looked_up(sandbox.register(project, wait=wait, talk=talk), running)


@dataclass(frozen=True, slots=True)
class Status:
    """What there is to see of a project's dev servers and of this namespace."""

    servers: tuple[tuple[Sighting, Address | None], ...]
    """Without an address where the server has never been ready."""
    holders: tuple[Holder, ...]
    resources: tuple[Resource, ...]
    others: tuple[workspaces.Workspace, ...]
    tests: tests.Seen

    @property
    def healthy(self) -> bool:
        """Whether every recorded server runs, and has answered."""
        return all(seen.state == "running" and address for seen, address in self.servers)


def status(project: Project, chosen: Servers) -> Status:
    """Look at servers, leases and resources; starts nothing."""
    running = leases.record(chosen.set.home)
    seen = chosen.engine.look(running) if running else ()
    known = workspaces.workspaces(project.config.project)
    ready = running.servers if running else {}
    wanted = project.config.services.keys() & ready.keys()
    answering = [one.service for one in seen if one.state == "running" and one.service in wanted]
    return Status(
        servers=tuple((one, ready[one.service].address if one.service in ready else None) for one in seen),
        holders=leases.holders(chosen.set.home),
        resources=tuple(_resources(project, running, answering)) if running else (),
        others=tuple(one for one in known if one.namespace != project.namespace.name),
        tests=tests.look(project),
    )


def reset(project: Project, chosen: Servers, *, wait: float, talk: Talk, detail: Talk) -> Sandbox:
    """A fresh database and fresh buckets for this namespace, and for no other."""
    running = _running(project, chosen)
    _refuse_anothers(project, running)
    project = sandbox.register(project, wait=wait, talk=talk)
    for name in project.config.services:
        with sandbox.alone(project, name, wait=wait, talk=talk):
            for resource in _given(project, running, name):
                talk(f"dropping {resource.kind} {resource.name}")
                services.get(name).drop(running.servers[name].address, resource, sessions="end")
    return sandbox.prepare(project, running, wait=wait, talk=talk, detail=detail)


def _refuse_anothers(project: Project, running: Running) -> None:
    """A checkout that is not there may only have moved, or be on a disk that is not mounted: its data are its own.

    Whoever is on record here has taken them over, but for servers where others may have them on record as well.
    """
    mine, root = workspaces.find(project.config.project, project.namespace.name), project.root
    if mine is not None and mine.path != root and mine.live:
        return  # Nobody can be put on record beside it, which says more.
    if mine is not None and mine.path == root and running.engine != "external":
        return
    shared = running.engine == "external"
    for one in _resources(project, running, project.config.services):
        if one.owner and (one.owner.workspace not in ("", str(root)) or (shared and hosts.elsewhere(one.owner.host))):
            raise UsageError(
                f"the {one.kind} {one.name} is of another checkout, and nothing was deleted",
                cause=f"{one.owner.workspace} on {hosts.name(one.owner.host)} made it, this one is {root}",
                hint="reset it there, or remove it by hand"
                if shared
                else "reset it there; if that is no more, or is here now, `envctl dev up` takes its data over",
                code="namespace_taken",
            )


@dataclass(frozen=True, slots=True)
class Down:
    """What came of giving the servers up: whose pins went, whether the servers stopped, and for whom they stay."""

    pins: tuple[str, ...]
    stopped: bool
    users: tuple[str, ...] = ()


def down(project: Project, chosen: Servers, *, wait: float, talk: Talk) -> Down:
    """Give up this checkout's pins, of whichever branch, or that of the one namespace that was asked for."""
    home, name = chosen.set.home, project.namespace
    asked = name.name if name.source in EXPLICIT else ""
    pins = leases.unpin(home, asked, workspace=str(project.root), wait=wait, talk=talk)
    if leases.stop_unused(home, chosen.engine, wait=wait, talk=talk):
        return Down(pins, stopped=True)
    return Down(pins, stopped=False, users=_users(leases.holders(home)))


def down_all(project: Project, *, wait: float, talk: Talk) -> list[str]:
    """Stop every server set of this project, used or not; its data stay. Names what was stopped."""
    stopped = []
    for home, engine in servers.existing(project):
        if leases.stop_all(home, engine, wait=wait, talk=talk):
            stopped.append(home.name)
    return stopped


def logs(project: Project, chosen: Servers, service: str, *, follow: bool) -> Iterator[tuple[str, str]]:
    """The log lines of one server, or of all, each with its server's name."""
    running = leases.record(chosen.set.home)
    if running is None:
        raise _not_up(project)
    known = [one.service for one in chosen.engine.look(running)]  # Those too that have never been ready.
    if service and service not in known:
        raise UsageError(f"no server is called {service}", cause=f"this set has: {', '.join(known)}")
    names = [service] if service else known
    lines = {name: chosen.engine.logs(running, name, follow=follow) for name in names}
    return _as_they_come(lines) if follow else ((name, line) for name, one in lines.items() for line in one)


def users(project: Project) -> list[str]:
    """Who uses any of this project's servers, other than this checkout."""
    found = [one for home, _ in servers.existing(project) for one in leases.holders(home)]
    return list(_users(one for one in found if one.namespace != project.namespace.name))


def _users(holders: Iterable[Holder]) -> tuple[str, ...]:
    """Who they are; whoever works for no namespace is known by his command."""
    named = ((one.namespace or (f"`{one.command}`" if one.command else "somebody"), one.kind) for one in holders)
    return tuple(sorted({f"{name} ({kind})" for name, kind in named}))


def _running(project: Project, chosen: Servers) -> Running:
    running = leases.record(chosen.set.home)
    if running is None or not running.ready or not chosen.engine.alive(running):
        raise _not_up(project)
    return running


def _not_up(project: Project, users: Iterable[Holder] = ()) -> UnavailableError:
    """What is up in this checkout may be what somebody began before switching branches."""
    mine, here = project.namespace.name, str(project.root)
    message = f"the dev environment of {mine} is not up"
    other = next((one for one in users if one.workspace == here and one.command in DEV), None)
    if other is None or project.namespace.source in EXPLICIT:
        return UnavailableError(message, hint="envctl dev up", code="not_up")
    before = workspaces.find(project.config.project, other.namespace)
    back = f"; or go back to the other: git switch {shlex.quote(before.branch)}" if before and before.branch else ""
    return UnavailableError(
        message,
        cause=f"what is up in this checkout is {other.namespace}, by `envctl {other.command}`",
        hint=f"envctl dev up, which makes {mine} ready{back}",
        code="not_up",
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
