"""Removing what one dead run left: everything whose owner record names that run, and nothing else."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

from envctl import locks, residue, servers, services, state
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
    stuck: str = ""
    """What stays until a person does something about it."""

    @property
    def why(self) -> str:
        """The first reason why something is still there."""
        return next(iter(self.later), "")

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
            report = Report("later", later=(_told(error),), settled=True)
            _note(folder, "", residue.stamp(folder, ""), report)
            return report
        seen = residue.stamp(folder, record.home)
        report = _cleaned(folder, record)
        if report.verdict == "clean":
            folders.remove(folder)
        elif report.settled:
            _note(folder, record.home, seen, report)
        else:
            state.write(folder / residue.VERDICT, {residue.LEFT: report.why})
        return report
    finally:
        locks.free(descriptor)


def _foreign(folder: Path) -> str:
    """Why this run is not ours to judge. Nothing is put down that would let its own host take it for a dead one."""
    try:
        why = origin.foreign(folders.read(folder), folder)
    except EnvctlError:
        return ""
    if why:
        seen = {residue.STAMP: residue.stamp(folder, ""), residue.HERE: residue.here()}
        state.write(folder / residue.FOREIGN, {**seen, residue.LEFT: why})
        return f"{why}: it is left alone, with all that it made"
    return ""


def _note(folder: Path, home: str, seen: str, report: Report) -> None:
    """Put down that trying again is idle until something is other than it was `seen`, before we looked."""
    found = {residue.STAMP: seen, residue.HOME: home, residue.STUCK: report.stuck, residue.LEFT: report.why}
    state.write(folder / residue.VERDICT, found)


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
    stuck: list[str] = []
    with visited(home, command="recovery", wait=WAIT, talk=print) as found:
        if found.running is None and home.exists():
            return Report("later", later=(f"{home.name} has no record of its servers",), settled=True)
        for name, address in found.servers.items():
            refused = _dropped(services.get(name), address, folder, record, dropped)
            left += [one.why for one in refused if not one.stuck]
            stuck += [one.why for one in refused if one.stuck]
    waiting = [f"{name} is not up: what is left there goes when it is" for name in found.out_of_reach]
    if left or waiting:
        return Report("later", tuple(dropped), (*left, *waiting, *stuck), settled=not left, stuck="; ".join(stuck))
    verdict: Literal["kept", "clean"] = "kept" if record.kept or stuck else "clean"
    return Report(verdict, tuple(dropped), tuple(stuck), settled=True, stuck="; ".join(stuck))


@dataclass(frozen=True, slots=True)
class Refused:
    """Why something is still there; `stuck` if that does not pass by itself."""

    why: str
    stuck: bool = False


def _dropped(service: Service, address: Address, folder: Path, record: Record, dropped: list[str]) -> list[Refused]:
    """What could not be dropped, and why. Sessions of processes that are ending are waited for."""
    project, end, pause = folder.parent.parent.name, time.monotonic() + PATIENCE, PAUSE
    for memory in sorted((folder / residue.CLAIMS).glob(f"*/{service.name}")):
        service.unfinished(address, memory)
    before: list[Resource] = []
    while mine := _made(found := service.list(address, project, lease=record.id), project, record):
        refused = list(_refusals(service, address, mine, dropped))
        if not refused and mine == before:
            return [Refused(f"{one.kind} {one.name} is still there") for one in mine]
        before = [] if refused else mine
        if refused and time.monotonic() > end:
            passing = [one for one in refused if not one.stuck]
            return [replace(one, stuck=not passing) for one in refused] + _saved(found, project, record)
        if refused:
            time.sleep(pause)
            pause = min(pause * 1.5, LONGEST_PAUSE)
    return _saved(found, project, record)


def _made(found: Iterable[Resource], project: str, record: Record) -> list[Resource]:
    """What bears the run's own mark and is not to stay, databases before the logins that they belong to."""
    mine = _marked(found, project, record)
    saved = _by_hand(mine, record)
    staying = {_worker(one) for one in saved}
    going = [
        one
        for one in mine
        if one.name not in record.kept and one not in saved and not (one.kind == "role" and _worker(one) in staying)
    ]
    return sorted(going, key=lambda one: (one.kind == "role", one.name))


def _saved(found: Iterable[Resource], project: str, record: Record) -> list[Refused]:
    by_hand = f"envctl clean --all --branch {record.namespace}"
    return [
        Refused(
            f"{one.kind} {one.name} was made or renamed by hand with what a failed run kept (`{by_hand}`)", stuck=True
        )
        for one in _by_hand(_marked(found, project, record), record)
    ]


def _by_hand(mine: Iterable[Resource], record: Record) -> list[Resource]:
    """The databases of a kept login that were not there when it was kept: a person has made or renamed them since."""
    known = {*record.kept, *record.released}
    workers = {_worker(one) for one in mine if one.kind == "role" and one.name in known}
    return [one for one in mine if one.kind == "database" and one.name not in known and _worker(one) in workers]


def _worker(one: Resource) -> str:
    return one.owner.worker if one.owner else ""


def _marked(found: Iterable[Resource], project: str, record: Record) -> list[Resource]:
    return [
        one
        for one in found
        if one.owner is not None
        and one.owner.project == project
        and one.owner.lease == record.id
        and one.owner.notes.get("kind") not in SHARED
    ]


def _refusals(service: Service, address: Address, going: Iterable[Resource], dropped: list[str]) -> Iterator[Refused]:
    """Drop them; the reason for each that is refused. What a login has beside the run's own bears another mark."""
    try:
        for resource, refusal in service.drop_all(address, going):
            if refusal is None:
                dropped.append(f"{resource.kind} {resource.name}")
            else:
                yield Refused(_told(refusal), stuck=resource.kind == "role" and refusal.code == "in_use")
    except EnvctlError as error:
        yield Refused(_told(error))


def _told(error: EnvctlError) -> str:
    return " · ".join(part for part in (error.message, error.cause, error.hint) if part)
