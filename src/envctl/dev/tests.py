"""What the tests have here: their servers, the runs at work, the databases that failed runs kept, and templates."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

from envctl import leases, residue, sandbox, servers, services
from envctl.errors import EnvctlError
from envctl.model import Access, Address, Resource
from envctl.project import Project
from envctl.runs import folders
from envctl.runs.folders import Record, Residue
from envctl.server_set import Running, Sighting
from envctl.services.base import Template
from envctl.values import dataclass


@dataclass(frozen=True, slots=True)
class Server:
    """One server of a set that is not the one of `dev`."""

    set: str
    sighting: Sighting
    address: Address | None
    """None where it has never been ready."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A database that a failed run of this namespace left to be looked at."""

    resource: Resource
    address: Address
    by: Residue
    record: Record


@dataclass(frozen=True, slots=True)
class Seen:
    """All of it."""

    servers: tuple[Server, ...]
    runs: tuple[Record, ...]
    kept: tuple[Kept, ...]
    templates: tuple[Template, ...]


def look(project: Project) -> Seen:
    """Ask the servers that run; starts nothing."""
    sets = [(home, engine, running) for home, engine in servers.existing(project) if (running := leases.record(home))]
    seen = [(home, running, one) for home, engine, running in sets for one in engine.look(running)]
    up = [
        (home.name, running, one.service)
        for home, running, one in seen
        if one.state == "running" and one.service in running.servers
    ]
    return Seen(
        servers=tuple(
            Server(home.name, one, running.servers[one.service].address if one.service in running.servers else None)
            for home, running, one in seen
            if not home.name.startswith("dev-")
        ),
        runs=tuple(folders.live(project.home)),
        kept=tuple(kept(project)),
        templates=tuple(one for _, running, service in up for one in _templates(project, running, service)),
    )


def kept(project: Project) -> Iterator[Kept]:
    """The kept databases of this namespace, as far as their servers run."""
    for one in folders.residue(project.home):
        record = one.record
        if record is None or not record.kept or record.namespace != project.namespace.name:
            continue
        for running in (leases.record(home) for home, _ in servers.existing(project) if str(home) == record.home):
            for service, server in running.servers.items() if running else ():
                with suppress(EnvctlError):  # It has been stopped.
                    found = services.get(service).list(server.address, project.config.project, lease=record.id)
                    mine = [each for each in found if each.kind == "database" and each.name in record.kept]
                    yield from (Kept(each, server.address, one, record) for each in mine)


def opened(project: Project, one: Kept) -> Access:
    """The login of a kept database: what the run had for itself, or for its worker."""
    owner, record = one.resource.owner, one.record
    names = replace(project.names, slot=record.slot)
    asked = sandbox.claim(
        replace(project, names=names, environment=owner.environment if owner else project.environment),
        one.resource.service,
        owner.worker if owner else "",
        lease=record.id,
        memory=one.by.folder / residue.CLAIMS,
    )
    values = {"host": one.address.host, "port": str(one.address.port), "database": one.resource.name}
    return Access((one.resource,), {**values, "user": asked.identity, "password": asked.secret})


def _templates(project: Project, running: Running, service: str) -> tuple[Template, ...]:
    maker = services.get(service).templates
    if maker is None:
        return ()
    with suppress(EnvctlError):
        return tuple(maker.all(running.servers[service].address, project.config.project))
    return ()
