"""The servers that are looked at: the run's own, and all others of its project that run; and who is at work there."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from envctl import leases, servers, services
from envctl.audit.values import Ground, Visit
from envctl.errors import EnvctlError
from envctl.model import Address, Seen, Unseen
from envctl.project import Project
from envctl.runs import folders
from envctl.server_set import Running
from envctl.values import dataclass

LOOPBACK = {"127.0.0.1", "localhost", "::1"}


@dataclass(frozen=True, slots=True)
class Place:
    """One server."""

    name: str
    service: str
    home: Path
    address: Address
    shared: bool = False
    """Whether others than this machine's processes may use it, of whom nothing can be known."""


def places(project: Project, home: Path, running: Running) -> tuple[Place, ...]:
    """The run's own servers first."""
    shared = running.engine == "external" and project.environment != "ci"
    found = [*_of(home, running, shared=shared)]
    for other, engine in servers.existing(project):
        record = leases.record(other)
        if other != home and record is not None and record.ready and engine.alive(record):
            found += _of(other, record, shared=record.engine == "external")
    return tuple(found)


def look(place: Place, lease: str) -> tuple[Seen, ...] | Unseen:
    """All that is there now."""
    try:
        return services.get(place.service).census(place.address, lease=lease)
    except EnvctlError as error:
        return Unseen(place.name, error.message)


def survey(
    found: tuple[Place, ...], project: Project, lease: str, folder: Path
) -> tuple[Mapping[str, Ground], tuple[Unseen, ...]]:
    """Every place, side by side."""
    if not found:
        return {}, ()
    runs = _other_runs(project, folder)
    with ThreadPoolExecutor(len(found)) as pool:
        looks = list(zip(found, pool.map(lambda one: look(one, lease), found), strict=True))
    there = [(one, seen) for one, seen in looks if not isinstance(seen, Unseen)]
    # Whoever is at work in one service of a set may be in the others, which do not show it.
    others = {one.home: (*_shared(one), *runs, *_holders(one)) for one, _ in there}
    for one, seen in there:
        others[one.home] += _sessions(seen, lease)
    grounds = {one.name: Ground(seen, others[one.home]) for one, seen in there}
    return grounds, tuple(seen for _, seen in looks if isinstance(seen, Unseen))


def visits(found: Iterable[Place], went: Iterable[tuple[str, str, int, str, str, str]]) -> Iterator[Visit]:
    """Where the tests went, as far as it is one of these places."""
    by_port = {one.address.port: one for one in found}
    for worker, host, port, login, what, test in sorted(went):
        place = by_port.get(port)
        if place is not None and _alike(host, place.address.host):
            yield Visit(place.name, login, what, worker, test)


def _alike(one: str, other: str) -> bool:
    return one == other or {one, other} <= LOOPBACK


def came_and_went(project: Project) -> int:
    """Changes whenever a run of the project begins or ends."""
    return (project.home / "runs").stat().st_mtime_ns


def _of(home: Path, running: Running, *, shared: bool) -> Iterator[Place]:
    for service, server in running.servers.items():
        yield Place(f"{service} of {home.name}", service, home, server.address, shared)


def _shared(place: Place) -> tuple[str, ...]:
    return ("whoever else may use that server",) if place.shared else ()


def _other_runs(project: Project, folder: Path) -> tuple[str, ...]:
    found = (project.home / "runs").iterdir()
    names = sorted(one.name for one in found if one != folder and one.is_dir() and folders.alive(one))
    return tuple(f"the run {name}" for name in names)


def _holders(place: Place) -> tuple[str, ...]:
    """Whoever has a namespace there; envctl's own work in the background, which has none, records all that it makes."""
    users = (one for one in leases.holders(place.home) if one.kind == "held" and one.namespace)
    return tuple(f"`{one.command}` of {one.namespace}" for one in users if one.pid != os.getpid())


def _sessions(seen: tuple[Seen, ...], lease: str) -> tuple[str, ...]:
    """Whoever is connected, but with a login of the run."""
    theirs = (one for one in seen if one.kind == "session" and not (one.keeper and one.keeper.lease == lease))
    return tuple(dict.fromkeys(f"{one.login} in {one.name}" for one in theirs))
