"""Runs: each works in a slot of its namespace, which is its own for as long as its process lives."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from envctl import locks, residue, state
from envctl.errors import EnvctlError, UnavailableError
from envctl.model import Talk
from envctl.namespace import Names
from envctl.project import Project
from envctl.runs import folders, origin
from envctl.runs.folders import Record
from envctl.values import dataclass

SLOTS = 98
Home = Path | Callable[[str], Path]


@dataclass(frozen=True, slots=True)
class Run:
    """A run that is at work. `project` is its project with the names of its slot."""

    project: Project
    record: Record
    folder: Path
    descriptor: int
    pid: int

    @property
    def id(self) -> str:
        """Stands as the lease in the owner record of everything that the run makes."""
        return self.record.id

    @property
    def slot(self) -> int:
        """1 has the plain names."""
        return self.record.slot

    @property
    def identity(self) -> str:
        """The name of its login, and of its folder."""
        return self.record.identity

    @property
    def names(self) -> Names:
        """The names of its slot."""
        return self.project.names

    @property
    def memory(self) -> Path:
        """Where services keep what they remember of its claims."""
        return self.folder / residue.CLAIMS

    def begun(self) -> None:
        """From now on it makes things. Called before the first one, once the servers are held."""
        (self.folder / residue.UNTOUCHED).unlink(missing_ok=True)

    def keep(self, names: Iterable[str]) -> None:
        """Leave these resources alone until the next run of this namespace. Called before the others are dropped."""
        folders.write(self.folder, replace(self.record, kept=tuple(names)))

    def done(self) -> None:
        """Nothing is left of what the run made: its slot is free."""
        folders.remove(self.folder)


@contextmanager
def claimed(project: Project, *, home: Home, engine: str, command: str, talk: Talk) -> Iterator[Run]:
    """The first slot of this namespace that is free and clean, ours until the block ends.

    `home` is the state folder of its servers, or makes it of the run's identity. What the block leaves without `done`
    is residue, which recovery removes.
    """
    run = _claimed(project, home, engine, command)
    if run.slot > 1:
        before = [_folder(project, slot) for slot in range(1, run.slot)]
        talk(f"{_taken(before)}: this one is slot {run.slot} ({run.names.sandbox})")
    try:
        _no_longer_kept(run)
        yield run
    finally:
        if os.getpid() == run.pid:  # A forked child that leaves the block ends nothing of its parent's.
            locks.free(run.descriptor)


def _claimed(project: Project, home: Home, engine: str, command: str) -> Run:
    """Locked and on record under a private name, then published as the first slot whose name is free."""
    folder = state.folder(project.home / "runs")
    private, run_id = folder / f".{os.urandom(16).hex()}", os.urandom(6).hex()
    with folders.making(folder, fcntl.LOCK_SH):
        descriptor = locks.claim(private / residue.LOCK)
        assert descriptor is not None, "nobody else knows this name"
        try:
            (private / residue.UNTOUCHED).touch(mode=0o600)
            for slot in range(1, SLOTS + 1):
                mine = replace(project, names=replace(project.names, slot=slot))
                target = _folder(project, slot)
                record = origin.marked(_record(mine, home, engine, command, run_id), descriptor)
                if not os.path.lexists(target) and _published(private, target, record):
                    return Run(mine, record, target, descriptor, os.getpid())
            raise _no_slot(project)
        except BaseException:
            shutil.rmtree(private, ignore_errors=True)
            locks.free(descriptor)
            raise


def _published(private: Path, target: Path, record: Record) -> bool:
    """Whether the name was still free."""
    folders.write(private, record)
    try:
        private.rename(target)
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
            return False
        raise state.unwritable(target, error) from error
    return True


def _taken(slots: list[Path]) -> str:
    """Why these are not free. What keeps them keeps no run from beginning, so that is all it is: a word."""
    if any(map(folders.alive, slots)):
        return "another run of this checkout is at work"
    why = next(filter(None, map(residue.left, slots)), "")
    return f"what an earlier run left is still there ({why})" if why else "what an earlier run left is being removed"


def _no_longer_kept(run: Run) -> None:
    """What an earlier run of this namespace kept was for looking at until now."""
    for one in folders.residue(run.project.home):
        found = one.record
        if found is None or not found.kept or _whose(found) != _whose(run.record) or origin.foreign(found, one.folder):
            continue
        descriptor = folders.taken(one.folder)
        if descriptor is not None:
            folders.write(one.folder, replace(found, kept=(), released=(*found.released, *found.kept)))
            locks.free(descriptor)


def _whose(record: Record) -> tuple[str, str]:
    return record.environment, record.namespace


def _record(project: Project, home: Home, engine: str, command: str, run_id: str) -> Record:
    identity = project.names.identity(project.environment)
    return Record(
        id=run_id,
        identity=identity,
        environment=project.environment,
        namespace=project.namespace.name,
        slot=project.names.slot,
        workspace=str(project.root),
        home=str(home(identity) if callable(home) else home),
        engine=engine,
        command=command,
        since=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _folder(project: Project, slot: int) -> Path:
    return project.home / "runs" / replace(project.names, slot=slot).identity(project.environment)


def _no_slot(project: Project) -> EnvctlError:
    live = sum(folders.alive(_folder(project, slot)) for slot in range(1, SLOTS + 1))
    return UnavailableError(
        f"all {SLOTS} slots of {project.namespace.name} are taken",
        cause=f"{live} by runs at work, {SLOTS - live} by what dead ones left",
        hint=f"wait for a run to end; why something is still there stands in {project.home / 'logs' / 'recovery.log'}",
        code="no_slot",
    )
