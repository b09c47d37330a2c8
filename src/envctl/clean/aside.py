"""What is in quarantine: how a checkout that comes back learns of it, and how it is given back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from envctl import services, state, workspaces
from envctl.errors import EnvctlError, UsageError
from envctl.inventory import places, spared
from envctl.inventory.places import Sight, told
from envctl.inventory.verdicts import quarantined
from envctl.model import Address, Resource, Running, Talk
from envctl.project import Project
from envctl.recovery.visit import visited


@dataclass(frozen=True, slots=True)
class Restored:
    """One resource that was to be given back, as it is called now; and why it was not."""

    resource: Resource
    place: str
    error: str = ""


def was(resource: Resource) -> str:
    """The name that it had before."""
    return resource.owner.notes.get("was", "") or resource.name if resource.owner else resource.name


def mark(project: Project, resource: Resource) -> None:
    """Note, before it goes into quarantine, that its namespace has something there."""
    if resource.owner is not None:
        file = state.folder(project.home / "quarantined") / resource.owner.namespace
        try:
            file.touch(mode=0o600)
        except OSError as error:
            raise state.unwritable(file, error) from error


def waiting(project: Project, running: Running) -> list[Resource]:
    """What this namespace has in quarantine; asked of the servers only where there once was something."""
    file = project.home / "quarantined" / project.namespace.name
    if not file.exists():
        return []
    found = [one for name, server in running.servers.items() for one in _of(project, name, server.address)]
    mine = [one for one in found if one.owner and one.owner.namespace == project.namespace.name]
    if not mine:
        file.unlink(missing_ok=True)
    return mine


def restore(project: Project, name: str, *, wait: float, talk: Talk) -> tuple[Restored, ...]:
    """Give back what has that name in quarantine, had it before, or belongs to the namespace or branch of that name."""
    known = 0
    for home in places.homes(project):
        with visited(home, command="envctl restore", wait=wait, talk=talk) as visit:
            sights = places.sights(visit)
            found = [(one, thing) for one in sights for thing in _of(project, one.service, one.address)]
            known += len(found)
            meant = [pair for pair in found if name in _names(pair[1])]
            _refuse_two(name, [one for _, one in meant])
            if meant:
                with workspaces.locked(project.config.project, wait=wait, talk=talk):
                    return tuple(_given_back(project, meant))
    raise UsageError(
        f"nothing in quarantine is called {name}",
        cause=f"{known} are there" if known else "nothing is there, in any server that is up",
        hint="envctl clean --list-quarantine shows what is",
        code="not_in_quarantine",
    )


def _given_back(project: Project, meant: Iterable[tuple[Sight, Resource]]) -> Iterable[Restored]:
    """Databases before their logins. What is restored is spared for as long as it could have stayed there."""
    now = datetime.now(UTC)
    until = now + timedelta(seconds=float(project.config.clean.quarantine))
    for sight, resource in sorted(meant, key=lambda pair: (pair[1].kind == "role", pair[1].name)):
        spared.spare(project.home, was(resource), until, now)
        try:
            yield Restored(services.get(sight.service).restore(sight.address, resource), sight.home.name)
        except EnvctlError as error:
            yield Restored(resource, sight.home.name, told(error))


def _of(project: Project, service: str, address: Address) -> list[Resource]:
    return [one for one in services.get(service).list(address, project.config.project) if quarantined(one)]


def _names(resource: Resource) -> set[str]:
    owner = resource.owner
    return {resource.name, was(resource), *((owner.namespace, owner.branch) if owner else ())} - {""}


def _refuse_two(name: str, meant: Sequence[Resource]) -> None:
    """One branch may have had a namespace in several checkouts."""
    namespaces = sorted({one.owner.namespace for one in meant if one.owner})
    if len(namespaces) > 1:
        raise UsageError(
            f"{name} is of several namespaces in quarantine: {', '.join(namespaces)}",
            hint=f"name one of them: envctl restore {namespaces[0]}",
        )
