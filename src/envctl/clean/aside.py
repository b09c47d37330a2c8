"""What is in quarantine: how a checkout that comes back learns of it, and how it is given back."""

from __future__ import annotations

import os
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import timedelta

from envctl import hosts, services, state, workspaces
from envctl.errors import EnvctlError, UnavailableError, UsageError
from envctl.inventory import clock, places, spared
from envctl.inventory.places import Sight, told
from envctl.inventory.verdicts import quarantined
from envctl.model import Address, Resource, Talk
from envctl.project import Project
from envctl.recovery.visit import visited
from envctl.server_set import Running
from envctl.services.ownership import not_ours
from envctl.values import dataclass

LOGINS = ("role",)
LONGEST = 160
"""How much of a reason goes into a record, which has room for little."""
SPARED = timedelta(days=1)
TAKEN = "taken"
"""The code of an error that says: what was to be restored has its name no more."""
BY, RESTORE = "by", "restore"
"""The note of what a restore put there itself, to make room."""
Pair = tuple[Sight, Resource]


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
        file = workspaces.aside(project.config.project, resource.owner.namespace)
        try:
            state.folder(file.parent)
            if not os.path.lexists(file):  # A link would lead out of here.
                file.touch(mode=0o600)
        except OSError as error:
            raise state.unwritable(file, error) from error


def tell(project: Project, running: Running, talk: Talk) -> None:
    """Let a namespace that came back know what it has in quarantine. Nothing is there any more: no mark either."""
    found = [one for name, server in running.servers.items() for one in _of(project, name, server.address)]
    mine = [one for one in found if one.owner and one.owner.namespace == project.namespace.name]
    for one in mine:
        if one.kind not in LOGINS and one.owner:
            talk(f"the {one.kind} {was(one)} of before is in quarantine until {one.owner.notes.get('until', '')}")
            talk(f"  `envctl restore {shlex.quote(one.name)}` puts it in the place of the one that is there now")
    if not mine:
        workspaces.aside(project.config.project, project.namespace.name).unlink(missing_ok=True)


def restore(project: Project, name: str, *, wait: float, talk: Talk) -> tuple[Restored, ...]:
    """Give back what has that name in quarantine, had it before, or belongs to the namespace or branch of that name."""
    known, down = 0, list[str]()
    for home in places.homes(project):
        with visited(home, command="envctl restore", wait=wait, talk=talk) as visit:
            sights = places.sights(visit)
            found = [(one, thing) for one in sights for thing in _of(project, one.service, one.address)]
            known += len(found)
            down += [f"{home.name} {one}" for one in visit.out_of_reach if may_hold(home.name)]
            meant = _meant(name, found)
            if meant:
                with workspaces.locked(project.config.project, wait=wait, talk=talk):
                    return tuple(_given_back(project, meant))
    if down:
        raise untold(f"whether anything in quarantine is called {name} cannot be told", down)
    raise UsageError(
        f"nothing in quarantine is called {name}",
        cause=f"{known} are there" if known else "nothing is there",
        hint="envctl clean --list-quarantine shows what is",
        code="not_in_quarantine",
    )


def may_hold(place: str) -> bool:
    """Whether things may be in quarantine there: only what lasts is put aside, and only `dev` has such things."""
    return place.startswith("dev-")


def untold(message: str, places: Iterable[str]) -> UnavailableError:
    """Nobody could look, which is another thing than nothing there."""
    cause = f"nobody could look into {', '.join(places)}"
    return UnavailableError(message, cause=cause, hint="envctl dev up", code="not_up")


def _given_back(project: Project, meant: Iterable[Pair]) -> Iterator[Restored]:
    """Databases before their logins. What is restored is spared for as long as it could have stayed, or a day."""
    now = clock.reached()
    until = now + max(timedelta(seconds=float(project.config.clean.quarantine)), SPARED)
    for sight, resource in sorted(meant, key=lambda pair: (pair[1].kind in LOGINS, pair[1].name)):
        try:
            _refuse_anothers(sight, resource)
            spared.spare(project.home, was(resource), until, now)
            yield Restored(_in_place(project, sight, resource), sight.home.name)
        except EnvctlError as error:
            yield Restored(resource, sight.home.name, told(error))


def _refuse_anothers(sight: Sight, resource: Resource) -> None:
    """What another machine has put aside on a server that both reach, that one gives back."""
    owner = resource.owner
    if owner and sight.reach == "network" and hosts.elsewhere(owner.host) and owner.host not in hosts.former():
        raise not_ours(f"the {resource.kind} {resource.name}", owner, hint="restore it on that machine")


def _in_place(project: Project, sight: Sight, resource: Resource) -> Resource:
    """Restored; what its own namespace has made under that name meanwhile goes into quarantine for it."""
    service = services.get(sight.service)
    try:
        return service.restore(sight.address, resource)
    except EnvctlError as error:
        if error.code != TAKEN:
            raise
        known = service.list(sight.address, project.config.project)
        there = next((one for one in known if one.name == was(resource) and one.kind == resource.kind), None)
        if there is None or quarantined(there) or not _same_namespace(there, resource):
            raise
    mark(project, there)
    why = notes(project, f"{resource.name} was restored in its place")
    service.quarantine(sight.address, there, notes={**why, BY: RESTORE})
    return service.restore(sight.address, resource)


def notes(project: Project, why: str) -> dict[str, str]:
    """What the record of something in quarantine says: since when, until when, and why.

    By the clock that decides about its end, and never by one that is behind: that end would have come already.
    """
    since = clock.reached().replace(microsecond=0)
    until = since + timedelta(seconds=float(project.config.clean.quarantine))
    return {"since": since.isoformat(), "until": until.isoformat(), "why": why[:LONGEST]}


def _same_namespace(one: Resource, other: Resource) -> bool:
    return (
        one.owner is not None
        and other.owner is not None
        and (one.owner.project, one.owner.environment, one.owner.namespace)
        == (other.owner.project, other.owner.environment, other.owner.namespace)
    )


def _meant(name: str, found: Iterable[Pair]) -> list[Pair]:
    """Those of that name; where a name from before, or a branch, is that of several, nobody can tell which.

    What a restore put there itself is known by its own name alone: who restores twice means the same as once.
    """
    found = list(found)
    if exact := [pair for pair in found if pair[1].name == name and was(pair[1]) != name]:
        return exact
    meant = [pair for pair in found if name in _names(pair[1]) and not _made_room(pair[1])]
    counts = Counter((sight.service, one.kind, was(one)) for sight, one in meant)
    namespaces = {one.owner.namespace for _, one in meant if one.owner}
    if len(namespaces) > 1 or any(count > 1 for count in counts.values()):
        raise UsageError(
            f"{name} is the name of several in quarantine",
            cause=", ".join(sorted(f"{one.kind} {one.name}" for _, one in meant)),
            hint="envctl clean --list-quarantine tells them apart; name the one to restore",
        )
    return meant


def _made_room(resource: Resource) -> bool:
    return resource.owner is not None and resource.owner.notes.get(BY) == RESTORE


def _of(project: Project, service: str, address: Address) -> list[Resource]:
    return [one for one in services.get(service).list(address, project.config.project) if quarantined(one)]


def _names(resource: Resource) -> set[str]:
    owner = resource.owner
    return {resource.name, was(resource), *((owner.namespace, owner.branch) if owner else ())} - {""}
