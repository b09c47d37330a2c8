"""What a container engine has of a project, by the labels that we gave it, and the end of one that nobody needs.

Containers, and what throw-away sets have, bear our own labels. A volume or network of compose is ours where every
container of its compose project is; where there is none, if the set's record says that our own file was used last.
In the compose project of a file of the project's own all is the user's: it is shown with that, and never removed.
What belongs to another state folder than ours, or to another machine's, is shown and has no owner.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from envctl import containers, hosts, locks, runtimes, shell, state
from envctl.engines.compose import labelled, own
from envctl.engines.compose.labelled import Box
from envctl.engines.compose.sizes import Sizes
from envctl.errors import EnvctlError, UnavailableError
from envctl.model import EVERYBODY, Command, Environment, Owner, Resource, silent
from envctl.runtimes import Runtime
from envctl.values import dataclass

PROJECT = "envctl.project"
WAIT = 5.0
GONE = ("no such", "not found")
"""What engines say of what is not there."""
REMOVED = {"volume": ("volume", "rm"), "network": ("network", "rm"), "image": ("image", "rm")}


def of(project: str, *, stack: str = "", sizes: bool = True) -> tuple[Resource, ...]:
    """Containers, then what they use, then images. `stack` is the compose project of the project's own file."""
    runtime = runtimes.detect()
    boxes = labelled.boxes(runtime, labelled.ids(runtime, "container", f"{PROJECT}={project}"))
    known, last = Sizes.asked(runtime) if sizes else Sizes(), _last(project)
    theirs = {stack, "" if last.ours else last.name} - {""}
    found = [
        *_containers(project, boxes, theirs),
        *_others(runtime, project, boxes, theirs),
        *_images(runtime, project),
    ]
    return tuple(replace(one, bytes=known.of(one.kind, one.name, _note(one, "id"))) for one in found)


def discard(resource: Resource) -> None:
    """Remove one of them, if what is there now is what was seen and nobody uses it."""
    home = Path(_note(resource, "home")) if _note(resource, "home") else None
    with _nobody_starts(home):
        there = _there(resource)
        if there is None:
            return
        if there.owner is None or _note(there, "stack") or not _same(there, resource):
            raise _left_alone(resource, "nothing with it says that it is this project's, or it is another by now")
        if _note(there, "state") == "running":
            raise _in_use(resource, "it runs, or what runs uses it")
        if home is not None and any(locks.held(one) for one in (home / "leases").glob("*")):
            raise _in_use(resource, f"somebody holds the servers of {home.name}")
        _remove(there)


def _remove(there: Resource) -> None:
    runtime, ids = runtimes.detect(), [_note(there, "id")]
    if there.kind == "network" and _connected(runtime, ids[0]):
        raise _in_use(there, "containers are to be started in it")
    if there.kind == "container" and _note(there, "state") == "gone":
        command = containers.wipe(runtime, ids)
    elif there.kind == "container":
        command = Command((runtime.cli, "rm", "--volumes", *ids))
    else:
        command = Command((runtime.cli, *REMOVED[there.kind], *ids))
    done = shell.run(command, check=False, seconds=60)
    if done.code != 0 and not any(word in done.err.lower() for word in GONE):
        raise _in_use(there, shell.tail(done.err, 1))


def _connected(runtime: Runtime, network: str) -> bool:
    """Whether any container has it, a stopped one too: the engine lets it go, and the container then never starts."""
    command = Command((runtime.cli, "container", "ls", "--all", "--quiet", "--filter", f"network={network}"))
    return bool(shell.run(command, seconds=60).out.strip())


def _there(resource: Resource) -> Resource | None:
    project = resource.owner.project if resource.owner else ""
    if not project:
        raise _left_alone(resource, "nothing with it says that envctl made it")
    kind, name = resource.kind, resource.name
    return next((one for one in of(project, sizes=False) if (one.kind, one.name) == (kind, name)), None)


def _same(there: Resource, seen: Resource) -> bool:
    return (_note(there, "id"), _created(there)) == (_note(seen, "id"), _created(seen))


def _nobody_starts(home: Path | None) -> AbstractContextManager[None]:
    """The set's own lock, where there is such a set: whoever starts it holds that."""
    if home is None or not (home / "lock").exists():
        return nullcontext()
    return locks.locked(home / "lock", what=f"the servers of {home.name}", wait=WAIT, talk=silent)


def _containers(project: str, boxes: Iterable[Box], theirs: Collection[str]) -> Iterator[Resource]:
    for one in boxes:
        owner = _owner(project, one.home, one.labels, one.created, _state(project, [one]))
        stack = one.set if one.set in theirs else ""
        yield _resource("container", one.name, one.id, owner or _user(project, stack, one.labels, one.created, [one]))


def _others(runtime: Runtime, project: str, boxes: list[Box], theirs: Collection[str]) -> Iterator[Resource]:
    """Volumes and networks: those of our compose projects, and what our containers have without a name."""
    usual = project.replace("_", "-")
    for name in sorted({usual, *theirs, *(one.set for one in boxes if one.set)}):
        everybody = labelled.boxes(runtime, labelled.ids(runtime, "container", f"{labelled.COMPOSE}={name}"))
        made = _made_by(project, name, everybody)
        for kind in ("volume", "network"):
            for there in labelled.inspected(runtime, kind, labelled.ids(runtime, kind, f"{labelled.COMPOSE}={name}")):
                yield _of_compose(project, kind, there, everybody, made, name if name in theirs else "")
    mounted = {volume: one for one in boxes for volume in one.volumes}
    for there in labelled.inspected(runtime, "volume", sorted(mounted)):
        if labelled.COMPOSE not in (there.get("Labels") or {}) and len(there["Name"]) == 64:
            user = mounted[there["Name"]]
            yield _of_compose(project, "volume", there, [user], user.home, user.set if user.set in theirs else "")


def _made_by(project: str, name: str, everybody: list[Box]) -> str:
    """The state folder of the set that is this compose project; empty where that is not surely ours."""
    if everybody:
        homes = {one.home if one.labels.get(PROJECT) == project else "" for one in everybody}
        return homes.pop() if len(homes) == 1 else ""
    last = _last(project)
    return str(_project_home(project) / "dev-compose") if last.ours and last.name == name else ""


@dataclass(frozen=True, slots=True)
class _Last:
    """The compose project that `dev` last used, and whether with a file of ours."""

    name: str = ""
    ours: bool = False


def _last(project: str) -> _Last:
    home = _project_home(project) / "dev-compose"
    try:
        detail = (state.read(home / "servers.json") or {}).get("detail", {})
        files = json.loads(detail.get("files", "[]"))
        return _Last(str(detail.get("project", "")), files == [str(home / "compose.yaml")])
    except (EnvctlError, ValueError, AttributeError, TypeError):
        return _Last()


def _of_compose(
    project: str, kind: str, there: Mapping[str, Any], boxes: Iterable[Box], home: str, stack: str
) -> Resource:
    labels, name = there.get("Labels") or {}, there["Name"]
    created = there.get("CreatedAt") or there.get("Created") or ""
    users = [one for one in boxes if kind == "network" or name in one.volumes]
    home = labels.get(own.HOME, "") if labels.get(PROJECT) == project else home
    owner = _owner(project, home, labels, created, _state(project, users, labels))
    owner = owner or _user(project, stack, labels, created, users)
    return _resource(kind, name, name if kind == "volume" else there["Id"], owner)


def _images(runtime: Runtime, project: str) -> Iterator[Resource]:
    """Those that bear our label: built for this project by us."""
    for there in labelled.inspected(runtime, "image", labelled.ids(runtime, "image", f"{PROJECT}={project}")):
        labels = (there.get("Config") or {}).get("Labels") or {}
        name = next(iter(there.get("RepoTags") or ()), there["Id"])
        home = labels.get(own.HOME, str(_project_home(project) / "dev-compose"))
        yield _resource("image", name, there["Id"], _owner(project, home, labels, there.get("Created", ""), "stopped"))


def _state(project: str, users: Iterable[Box], labels: Mapping[str, str] | None = None) -> str:
    """Running where a container is that anybody can still use; gone where the set's own state folder is."""
    found = list(users)
    lost = [one for one in found if _is_lost(project, one.labels)]
    if any(one.running for one in found if one not in lost):
        return "running"
    return "gone" if (found and len(lost) == len(found)) or _is_lost(project, labels or {}) else "stopped"


def _is_lost(project: str, labels: Mapping[str, str]) -> bool:
    """Whether it is of a throw-away set of this very machine, in our state folder, and that set's folder is gone.

    What another machine or container has in its state folder cannot be seen from here.
    """
    home = Path(labels.get(own.HOME, ""))
    ours = labels.get(own.HOST) == hosts.this_host() and home.parent == _project_home(project)
    return ours and home.parent.is_dir() and not home.exists()


def _project_home(project: str) -> Path:
    return state.root() / "projects" / project


def _owner(project: str, home: str, labels: Mapping[str, str], created: str, now: str) -> Owner | None:
    """None for what is of another state folder, or of another machine's: who uses it cannot be told from here."""
    elsewhere = labels.get(own.HOST, hosts.this_host()) != hosts.this_host()
    if elsewhere or Path(home).parent != _project_home(project):
        return None
    return _recorded(project, "test" if own.HOME in labels else "dev", EVERYBODY, created, {"state": now, "home": home})


def _user(project: str, stack: str, labels: Mapping[str, str], created: str, users: Iterable[Box]) -> Owner | None:
    """For what is in the compose project of the project's own file: whoever wrote that."""
    if not stack or own.HOME in labels:
        return None
    now = "running" if any(one.running for one in users) else "stopped"
    return _recorded(project, "dev", "", created, {"state": now, "stack": stack})


def _recorded(project: str, environment: Environment, namespace: str, created: str, notes: Mapping[str, str]) -> Owner:
    return Owner(project, environment, namespace, "", "", hosts.this_host(), created, notes=notes)


def _resource(kind: str, name: str, number: str, owner: Owner | None) -> Resource:
    noted = replace(owner, notes={**owner.notes, "id": number}) if owner else None
    return Resource("compose", kind, name, noted)


def _note(resource: Resource, name: str) -> str:
    return resource.owner.notes.get(name, "") if resource.owner else ""


def _created(resource: Resource) -> str:
    return resource.owner.created if resource.owner else ""


def _left_alone(resource: Resource, cause: str) -> EnvctlError:
    return EnvctlError(f"the {resource.kind} {resource.name} was left alone", cause=cause, code="not_ours")


def _in_use(resource: Resource, cause: str) -> EnvctlError:
    return UnavailableError(f"the {resource.kind} {resource.name} is in use", cause=cause, code="in_use")
