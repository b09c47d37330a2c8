"""The story: hold the servers → create what is this namespace's own → migrate it → hand out the variables."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from envctl import hosts, leases, locks, migrations, ports, recall, services, state, variables, workspaces
from envctl.migrations import Fingerprint, Migration
from envctl.model import Access, Claim, Owner, Resource, Talk, silent
from envctl.project import Project
from envctl.server_set import Running
from envctl.servers import Servers
from envctl.values import dataclass

T = TypeVar("T")

APPLIED = "applied"
"""The note that says which SQL files ran there: each runs once, and again when it has changed."""
DIGITS = 12
MIGRATED = "migrated"
"""The note in an owner record that says which migrations a resource has."""


@dataclass(frozen=True, slots=True)
class Sandbox:
    """The resources of one namespace in one environment, ready."""

    project: Project
    running: Running
    access: Mapping[str, Access]
    variables: Mapping[str, str] = field(repr=False)
    migrated: tuple[str, ...] = ()
    """The services whose migrations ran just now."""

    @property
    def processes(self) -> dict[str, int]:
        """The port of each configured process."""
        return ports_of(self.project)


@contextmanager
def opened(
    project: Project,
    servers: Servers,
    *,
    command: str,
    wait: float,
    talk: Talk,
    detail: Talk = silent,
) -> Iterator[Sandbox]:
    """Hold the servers for as long as the block runs, with everything of this namespace ready inside it."""
    project = register(project, wait=wait, talk=talk)
    with leases.hold(
        servers.set,
        servers.engine,
        namespace=project.namespace.name,
        workspace=str(project.root),
        command=command,
        wait=wait,
        talk=talk,
    ) as running:
        yield prepare(project, running, wait=wait, talk=talk, detail=detail)


def register(project: Project, *, wait: float, talk: Talk) -> Project:
    """Put this checkout on record before it makes anything, and learn whether the bare names are its own."""
    name = project.config.project
    branch, chosen = project.default_branch, bool(project.config.default_branch)
    mine = workspaces.register(name, project.namespace, default_branch=branch, chosen=chosen, wait=wait, talk=talk)
    claimant = workspaces.bare_names_of(name)
    if claimant and not claimant.live and project.namespace.branch == project.default_branch:
        talk(f"the bare names of {name} still belong to {claimant.path}, which is gone")
        talk(f"  with --namespace {claimant.namespace} this checkout takes its data over")
    return replace(project, names=replace(project.names, primary=mine.primary))


def prepare(project: Project, running: Running, *, wait: float, talk: Talk, detail: Talk = silent) -> Sandbox:
    """Create what is missing and migrate what is stale; what is there already costs a look."""
    ready = looked_up(project, running)
    return replace(ready, migrated=_migrate(ready, wait=wait, talk=talk, detail=detail))


def looked_up(project: Project, running: Running) -> Sandbox:
    """The sandbox of a namespace that is there: resources are found again (or made whole), and nothing is migrated."""
    access = create(project, running)
    return Sandbox(project, running, access, export(project, access))


def create(project: Project, running: Running) -> dict[str, Access]:
    """This namespace's resources in every service, made or found, side by side."""

    def one(name: str) -> Access:
        service, settings = services.get(name), project.config.services[name]
        address, wanted = running.servers[name].address, claim(project, name, shared=running.engine == "external")
        known = recall.recalled(wanted, address, settings)
        if known is not None and service.opens(address, wanted, known):
            return known
        made = service.create(address, settings, wanted)
        recall.remember(wanted, address, settings, made)
        return made

    return each(project.config.services, one)


def claim(
    project: Project,
    service: str,
    worker: str = "",
    *,
    shared: bool = False,
    lease: str = "",
    memory: Path | None = None,
) -> Claim:
    """What this namespace asks of a service: the names and the password are functions of the namespace alone.

    What a run asks for bears the run's `lease`, and what is remembered of it lies in the run's own folder.
    """
    names, environment = project.names, project.environment
    wanted = {
        logical: names.database(environment, worker)
        if pattern == "database"
        else names.bucket(logical, environment, worker)
        for pattern, logical in services.get(service).logical_names(project.config.services[service])
    }
    identity = names.identity(environment, worker)
    written = getattr(project.config.services[service], "password", "")
    return Claim(
        owner=owner(project, worker, lease=lease),
        identity=identity,
        names=wanted,
        secret=written or workspaces.secret(project.config.project, f"{service}:{identity}"),
        written=bool(written),
        memory=state.folder((memory or project.home / "claims") / identity / service),
        shared=shared,
    )


def owner(project: Project, worker: str = "", *, lease: str = "") -> Owner:
    """The record that goes with everything this namespace makes."""
    return Owner(
        project=project.config.project,
        environment=project.environment,
        namespace=project.namespace.name,
        workspace=str(project.root),
        branch=project.namespace.branch,
        host=hosts.recorded(),
        created=datetime.now(UTC).isoformat(timespec="microseconds"),
        worker=worker,
        lease=lease,
    )


def export(project: Project, access: Mapping[str, Access]) -> dict[str, str]:
    """The environment variables of this sandbox, as the configuration maps them."""
    return variables.render(project.config.exported(services.get), values(project, access))


def values(project: Project, access: Mapping[str, Access]) -> dict[str, str]:
    """All that a variable may refer to."""
    found = {f"{service}.{key}": value for service, one in access.items() for key, value in one.values.items()}
    for name, port in ports_of(project).items():
        found |= {f"process.{name}.port": str(port), f"process.{name}.url": f"http://127.0.0.1:{port}"}
    return found | {
        "project": project.config.project,
        "environment": project.environment,
        "namespace": project.names.sandbox,
        "branch": project.namespace.branch,
        "workspace": str(project.root),
    }


def ports_of(project: Project) -> dict[str, int]:
    """The port of each configured process: the namespace's own, the same on every run."""
    configured = project.config.dev.processes
    return {name: one.port or ports.lookup(process_key(project, name)) for name, one in configured.items()}


def process_key(project: Project, process: str) -> str:
    """What a process's port is booked under. `dev` and a run of the tests have one each, at the same time."""
    environment = "" if project.environment == "dev" else f"{project.environment}/"
    return f"{project.config.project}/{environment}{project.names.sandbox}/{process}"


def _migrate(ready: Sandbox, *, wait: float, talk: Talk, detail: Talk) -> tuple[str, ...]:
    """Bring every service's data to what this checkout's files say, once, however many ask at the same time."""
    project, ran = ready.project, []
    for name in ready.access:
        migration = services.get(name).migration(project.config.services[name])
        if migration is None:
            continue
        now = migrations.fingerprint(migration.steps, migration.watch, project.root)
        for warning in now.warnings:
            talk(f"warning: {warning}")
        if migrations.needed(now, _noted(ready.access[name])):
            with alone(project, name, wait=wait, talk=talk):
                ran += [name] if _migrated(ready, name, migration, now, talk, detail) else []
    return tuple(ran)


def _migrated(ready: Sandbox, name: str, migration: Migration, now: Fingerprint, talk: Talk, detail: Talk) -> bool:
    """Run one service's migrations; False where somebody has just done it. The note that they ran comes last."""
    project, service = ready.project, services.get(name)
    address = ready.running.servers[name].address
    access = service.create(address, project.config.services[name], claim(project, name))
    if not migrations.needed(now, _noted(access)):
        return False
    resource = access.resources[0]
    applied = _applied(resource)

    def ran(name: str) -> None:
        applied[name] = now.files[name][:DIGITS]
        service.note(address, resource, {APPLIED: json.dumps(applied)})

    migrations.run(
        migration.steps,
        root=project.root,
        variables=ready.variables,
        connect=access.values,
        talk=talk,
        output=detail,
        applied={name for name, digest in applied.items() if now.files.get(name, "")[:DIGITS] == digest},
        ran=ran,
    )
    service.note(address, resource, {**({APPLIED: json.dumps(applied)} if applied else {}), MIGRATED: now.digest})
    return True


def alone(project: Project, service: str, *, wait: float, talk: Talk) -> AbstractContextManager[None]:
    """The lock under which one namespace's data of one service are migrated, or dropped."""
    lock = project.home / "locks" / f"{project.names.identity(project.environment)}.{service}.lock"
    return locks.locked(lock, what=f"{service} of {project.namespace.name}", wait=wait, talk=talk)


def _applied(resource: Resource) -> dict[str, str]:
    """The SQL files that ran there, each with the digest of what it was then."""
    notes = resource.owner.notes if resource.owner else {}
    return dict(json.loads(notes.get(APPLIED, "{}")))


def _noted(access: Access) -> str | None:
    owner = access.resources[0].owner
    return owner.notes.get(MIGRATED) if owner else None


def each(names: Mapping[str, object], work: Callable[[str], T]) -> dict[str, T]:
    """The work for every name, in parallel; the first failure is raised once all have ended."""
    if not names:
        return {}
    with ThreadPoolExecutor(max_workers=len(names)) as pool:
        futures = {name: pool.submit(work, name) for name in names}
    return {name: future.result() for name, future in futures.items()}
