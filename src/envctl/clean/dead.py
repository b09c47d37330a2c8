"""What dead runs left goes the way that recovery takes, whose lock is ours meanwhile."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from envctl import locks
from envctl.clean.outcomes import Outcome, Result, failed
from envctl.clean.plans import Action, Scope
from envctl.errors import EnvctlError
from envctl.model import Talk
from envctl.project import Project
from envctl.recovery import cleaning
from envctl.recovery.cleaning import Report
from envctl.runs import folders, origin

TOGETHER = 4
Parted = Mapping[Path, list[Action]]
"""The folder of each dead run, with all that is to go with it."""


def parted(project: Project, todo: Iterable[Action]) -> tuple[Parted, list[Action]]:
    """What goes with a dead run on record, by its folder; and the rest."""
    known = {
        one.record.id: one.folder
        for one in folders.residue(project.home)
        if one.record is not None and not origin.foreign(one.record, one.folder)
    }
    runs: dict[Path, list[Action]] = {}
    rest: list[Action] = []
    for action in todo:
        owner = action.finding.resource.owner
        folder = known.get(owner.lease) if owner and owner.lease and action.do == "drop" else None
        (rest if folder is None else runs.setdefault(folder, [])).append(action)
    return runs, rest


def finished(project: Project, runs: Parted, scope: Scope, *, wait: float, talk: Talk) -> list[Outcome]:
    """Clean up after each of them, several at the same time."""
    if not runs:
        return []
    lock, what = project.home / "recovery.lock", "the cleaning in the background"
    try:
        with locks.locked(lock, what=what, wait=wait, talk=talk), ThreadPoolExecutor(TOGETHER) as pool:
            reports = list(pool.map(lambda folder: _cleaned(folder, scope), runs))
    except EnvctlError as error:
        return failed((one for actions in runs.values() for one in actions), error)
    return [_outcome(one, report) for report, actions in zip(reports, runs.values(), strict=True) for one in actions]


def _cleaned(folder: Path, scope: Scope) -> Report | EnvctlError:
    try:
        if scope.everything:
            _no_longer_kept(folder)
        return cleaning.clean(folder)
    except EnvctlError as error:
        return error


def _no_longer_kept(folder: Path) -> None:
    """What a failed run kept goes too."""
    descriptor = folders.taken(folder)
    if descriptor is not None:
        try:
            folders.write(folder, replace(folders.read(folder), kept=(), released=()))
        finally:
            locks.free(descriptor)


def _outcome(action: Action, report: Report | EnvctlError) -> Outcome:
    one = action.finding.resource
    if isinstance(report, EnvctlError):
        return failed([action], report)[0]
    if report.verdict == "busy":
        return Outcome(action, "kept", "somebody else is at it")
    if one.service != "state" and f"{one.kind} {one.name}" in report.dropped:
        return Outcome(action, "done")
    why = "; ".join(told for told in report.later if one.service == "state" or one.name in told)
    left: Result = "kept" if report.settled else "failed"
    return Outcome(action, left, why) if why else Outcome(action, "done" if one.service == "state" else "gone")
