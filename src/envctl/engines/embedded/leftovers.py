"""The data folders of a project's server sets, and the end of one that nobody needs.

A set's state folder knows its data. Throw-away data that lie elsewhere say themselves whose they are.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from envctl import hosts, locks, state, unprivileged
from envctl.engines.embedded import daemon, folders
from envctl.errors import EnvctlError, UnavailableError
from envctl.model import EVERYBODY, Environment, Owner, Resource, silent
from envctl.values import dataclass

ENDING = "-embedded"
OLD = ".old"
"""Behind the name of a data folder that is being removed: half of it must not pass for the whole."""
WAIT = 5.0


@dataclass(frozen=True, slots=True)
class Folder:
    """Data, and the state folder of the server set that they belong to. `marked`: they say so themselves."""

    path: Path
    home: Path
    marked: bool = False


def of(project: str, *, sizes: bool = True) -> tuple[Resource, ...]:
    """Every data folder of the project, whichever set it belongs to."""
    return tuple(_resource(project, one, sizes=sizes) for one in _folders(project))


def discard(resource: Resource) -> None:
    """Remove a data folder of servers that do not run and that nobody holds."""
    project = resource.owner.project if resource.owner else ""
    found = next((one for one in _folders(project) if str(one.path) == resource.name), None) if project else None
    if found is None and project and not os.path.lexists(resource.name):
        return
    if found is None or not _judgeable(project, found.home):
        raise _left_alone(resource, "nothing with it says that it is this project's")
    if not found.home.is_dir():
        _removed(resource, found)
        return
    with locks.locked(found.home / "lock", what=f"the servers of {found.home.name}", wait=WAIT, talk=silent):
        _removed(resource, found)


def _folders(project: str) -> list[Folder]:
    """What the state folders know, then what in memory says that it is theirs."""
    homes = [one for one in sorted(_home(project).glob(f"*{ENDING}")) if one.is_dir() and not one.is_symlink()]
    known = [Folder(path, home) for home in homes for path in _of(home)]
    there = {one.path for one in known}
    return known + [one for one in _marked(project) if one.path not in there]


def _of(home: Path) -> Iterator[Path]:
    for place in (home / "data", unprivileged.PUBLIC / unprivileged.digest(home) / "data"):
        yield from _inside(place)
    yield from (one for one in folders.scratches(home) if folders.is_ours(one))


def _marked(project: str) -> Iterator[Folder]:
    """Throw-away data whose state folder may be gone."""
    public = [one / "scratch" for one in _inside(unprivileged.PUBLIC)]
    for path in (*_inside(folders.memory()), *public):
        home = Path(folders.text(path / "home"))
        if folders.is_ours(path) and home.name.endswith(ENDING) and home.parent.name == project:
            yield Folder(path, home, marked=True)


def _inside(place: Path) -> list[Path]:
    try:
        return sorted(one for one in place.iterdir() if one.is_dir() and not one.is_symlink())
    except OSError:
        return []


def _resource(project: str, one: Folder, *, sizes: bool) -> Resource:
    owner = _owner(project, one) if _judgeable(project, one.home) else None
    return Resource("embedded", "data", str(one.path), owner, _size(one.path) if sizes else None)


def _owner(project: str, one: Folder) -> Owner:
    environment: Environment = "dev" if one.home.name.startswith("dev-") else "test"
    return Owner(
        project=project,
        environment=environment,
        namespace=EVERYBODY,
        workspace="",
        branch="",
        host=hosts.this_host(),
        created=datetime.fromtimestamp(one.path.stat().st_mtime, UTC).isoformat(timespec="seconds"),
        notes={"state": _state(one), "home": str(one.home)},
    )


def _judgeable(project: str, home: Path) -> bool:
    """Whether it belongs to the state folder that we use: of another's we cannot tell who uses it."""
    return home.parent == _home(project) and home.parent.is_dir()


def _state(one: Folder) -> str:
    if _is_used(one):
        return "running"
    return "stopped" if one.home.is_dir() else "gone"


def _is_used(one: Folder) -> bool:
    """By the locks of its set; where these are gone, by whether any process stands in it."""
    if one.home.is_dir():
        return any(daemon.runs(daemon.at(one.home, path.stem)) for path in (one.home / "run").glob("*.alive"))
    return _inhabited(one.path)


def _inhabited(path: Path) -> bool:
    """Whether the kernel knows a process whose current folder is in there: every server of ours has its data."""
    import psutil

    for process in psutil.process_iter():
        try:
            here = Path(process.cwd())
        except psutil.Error:
            continue  # it has just ended, or is another user's, who cannot be in a private folder of ours
        if here == path or path in here.parents:
            return True
    return False


def _removed(resource: Resource, found: Folder) -> None:
    """Once more from the beginning, now that nobody can start it."""
    if _is_used(found) or any(locks.held(one) for one in (found.home / "leases").glob("*")):
        raise UnavailableError(f"the data in {resource.name} are in use", cause="their server runs", code="in_use")
    try:
        _remove(found)
    except OSError as error:
        raise _left_alone(resource, error.strerror or str(error)) from error


def _remove(found: Folder) -> None:
    if not (found.path / "home").is_file():
        old = found.path if found.path.name.endswith(OLD) else found.path.with_name(found.path.name + OLD)
        if old != found.path:
            if old.exists():
                shutil.rmtree(old)
            found.path.rename(old)
        shutil.rmtree(old)
        return
    for one in found.path.iterdir():
        if one.name != "home":  # It explains the rest, so it goes last.
            shutil.rmtree(one) if one.is_dir() and not one.is_symlink() else one.unlink()
    shutil.rmtree(found.path)


def _size(path: Path) -> int:
    """What it takes on the disk; what vanishes meanwhile takes nothing."""
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            try:
                total += (Path(folder) / name).lstat().st_blocks * 512
            except OSError:
                continue
    return total


def _home(project: str) -> Path:
    return state.root() / "projects" / project


def _left_alone(resource: Resource, cause: str) -> EnvctlError:
    return EnvctlError(f"the {resource.kind} {resource.name} was left alone", cause=cause, code="not_ours")
