"""Removing what one dead run left: everything whose owner record names that run, and nothing else."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from envctl import residue, servers, services, state
from envctl.errors import EnvctlError
from envctl.model import Address, Resource
from envctl.recovery.visit import visited
from envctl.runs import folders, origin
from envctl.runs.folders import Record
from envctl.services.base import Service
from envctl.values import dataclass

PATIENCE = 10.0
"""Seconds that the sessions of dying processes have to go away."""
PAUSE, LONGEST_PAUSE = 0.05, 0.5
WAIT = 60.0
SHARED = frozenset({"template", "pool"})
"""What a run made for all others that come after it."""


@dataclass(frozen=True, slots=True)
class Report:
    """What came of it. `later` is what is still there and why, a sentence each; `settled` if trying again is idle."""

    verdict: Literal["clean", "kept", "later", "busy"]
    dropped: tuple[str, ...] = ()
    later: tuple[str, ...] = ()
    settled: bool = False

    @property
    def lines(self) -> tuple[str, ...]:
        """For the log."""
        return (*(f"removed {one}" for one in self.dropped), *self.later, self.verdict)


def clean(folder: Path) -> Report:
    """Remove all that the run of this folder made, then the folder. Safe to be killed, and to be called again."""
    descriptor = folders.taken(folder)
    if descriptor is None:
        return Report("busy")
    try:
        if why := _foreign(folder):
            return Report("later", later=(why,), settled=True)
        if not (folder / residue.VERDICT).exists():
            state.write(folder / residue.VERDICT, {})  # From here on nobody takes it for a run at work.
        try:
            record = folders.read(folder)
        except EnvctlError as error:
            _note(folder, "", residue.stamp(folder, ""))
            return Report("later", later=(_told(error),), settled=True)
        seen = residue.stamp(folder, record.home)
        report = _cleaned(folder, record)
        if report.verdict == "clean":
            folders.remove(folder)
        elif report.settled:
            _note(folder, record.home, seen)
        return report
    finally:
        state.free(descriptor)


def _foreign(folder: Path) -> str:
    """Why this run is not ours to judge. Nothing is put down that would let its own host take it for a dead one."""
    try:
        why = origin.foreign(folders.read(folder), folder)
    except EnvctlError:
        return ""
    if why:
        state.write(folder / residue.FOREIGN, {residue.STAMP: residue.stamp(folder, ""), residue.HERE: residue.here()})
        return f"{why}: it is left alone, with all that it made"
    return ""


def _note(folder: Path, home: str, seen: str) -> None:
    """Put down that trying again is idle until something is other than it was `seen`, before we looked."""
    state.write(folder / residue.VERDICT, {residue.STAMP: seen, residue.HOME: home})


def _cleaned(folder: Path, record: Record) -> Report:
    home = Path(record.home)
    if home.parent != folder.parent.parent:
        why = f"{home} is no state folder of this project's servers: its run is left alone"
        return Report("later", later=(why,), settled=True)
    if home.name.startswith("run-"):
        return _forgotten(home)
    if (folder / residue.UNTOUCHED).exists():
        return Report("clean")
    return _emptied(folder, record, home)


def _forgotten(home: Path) -> Report:
    """Servers that were this run's alone go with all that is in them."""
    if servers.forget(home, wait=WAIT) or not home.exists():
        return Report("clean", dropped=(f"the servers of {home.name}",))
    return Report("later", later=(f"somebody uses the servers of {home.name}",))


def _emptied(folder: Path, record: Record, home: Path) -> Report:
    """The shared servers: what the run made there goes, database by database."""
    dropped: list[str] = []
    left: list[str] = []
    with visited(home, command="recovery", wait=WAIT, talk=print) as found:
        if found.running is None and home.exists():
            return Report("later", later=(f"{home.name} has no record of its servers",), settled=True)
        for name, address in found.servers.items():
            left += _dropped(services.get(name), address, folder, record, dropped)
    waiting = [f"{name} is not up: what is left there goes when it is" for name in found.out_of_reach]
    if left or waiting:
        return Report("later", tuple(dropped), (*left, *waiting), settled=not left)
    return Report("kept" if record.kept else "clean", tuple(dropped), settled=True)


def _dropped(service: Service, address: Address, folder: Path, record: Record, dropped: list[str]) -> list[str]:
    """What could not be dropped, and why. Sessions of processes that are ending are waited for."""
    project, end, pause = folder.parent.parent.name, time.monotonic() + PATIENCE, PAUSE
    for memory in sorted((folder / residue.CLAIMS).glob(f"*/{service.name}")):
        service.unfinished(address, memory)
    before: list[Resource] = []
    while mine := _made(service.list(address, project, lease=record.id), project, record):
        refused = [why for one in mine if (why := _refusal(service, address, one, dropped))]
        if not refused and mine == before:
            return [f"{one.kind} {one.name} is still there" for one in mine]
        before = mine
        if refused and time.monotonic() > end:
            return refused
        if refused:
            time.sleep(pause)
            pause = min(pause * 1.5, LONGEST_PAUSE)
    return []


def _made(found: Iterable[Resource], project: str, record: Record) -> list[Resource]:
    """What bears the run's own mark, databases before the logins that they belong to."""
    mine = [
        one
        for one in found
        if one.owner is not None
        and one.owner.project == project
        and one.owner.lease == record.id
        and one.owner.notes.get("kind") not in SHARED
        and one.name not in record.kept
    ]
    return sorted(mine, key=lambda one: (one.kind == "role", one.name))


def _refusal(service: Service, address: Address, resource: Resource, dropped: list[str]) -> str:
    """Drop it; the reason where that is refused."""
    try:
        service.drop(address, resource)
    except EnvctlError as error:
        return _told(error)
    dropped.append(f"{resource.kind} {resource.name}")
    return ""


def _told(error: EnvctlError) -> str:
    return " · ".join(part for part in (error.message, error.cause, error.hint) if part)
