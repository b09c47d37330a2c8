"""What is done once it is quiet: see whether branches came or went, and clean."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Container, Iterable, Iterator
from pathlib import Path

from envctl import clean, git, services
from envctl.clean import Action, Outcome, Plan
from envctl.errors import EnvctlError
from envctl.hooks import branches, record
from envctl.hooks.branches import Seen
from envctl.hooks.record import Record
from envctl.inventory import evidence
from envctl.project import open_project
from envctl.project_file import find

WAIT = 60.0
MOST = 5
"""Lines of a kind in the log for one look."""
DONE = {"drop": "dropped", "quarantine": "put into quarantine", "expire": "dropped from quarantine"}


def look(folder: Path, here: Path) -> None:
    """Clean for each project whose branches are not what they were. What fails is told in the log, and tried again."""
    hook = record.read(folder)
    for directory in targets(hook, here) if hook else ():
        try:
            _look_at(folder, directory)
        except EnvctlError as error:
            record.note(folder, f"{directory}: not now: {error.message}" + (f": {error.cause}" if error.cause else ""))
        except Exception as error:
            record.note(folder, f"{directory}: failed with {type(error).__name__}: {error}")


def targets(hook: Record, here: Path) -> Iterator[Path]:
    """The projects' folders: where they were installed from, else in the checkout in which git runs now."""
    found = git.checkout(here)
    seen: set[Path] = set()
    for entry in hook.entries:
        for base in (Path(entry.checkout), *([found.root] if found else ())):
            directory = base / entry.folder
            if _is_project(directory):
                if directory not in seen:
                    yield directory
                seen.add(directory)
                break


def _look_at(folder: Path, directory: Path) -> None:
    """Once for every change of branches, and again while something is left to do: that is told when it is news."""
    now, before = branches.digest(directory), branches.last(folder, directory)
    if before == Seen(now, done=True):
        return
    project = open_project(directory, "dev", os.environ)
    plan = clean.planned(project, clean.Scope(), wait=WAIT, talk=_nobody)
    outcomes = clean.apply(project, plan, wait=WAIT, talk=_nobody)
    if outcomes or before is None or before.digest != now:
        for line in told(plan, outcomes, evidence.pinned(project)):
            record.note(folder, f"{project.config.project}: {line}")
    done = not plan.unseen and not any(one.result == "failed" for one in outcomes)
    branches.remember(folder, directory, Seen(now, done))


def told(plan: Plan, outcomes: Iterable[Outcome], pinned: Container[str] = ()) -> list[str]:
    """What came of it, for the log: how much went, what did not and why, and where nobody could look."""
    ends = list(outcomes)
    counts = Counter(DONE[one.action.do] for one in ends if one.result == "done")
    failed = [f"failed: {_named(one.action)}: {one.why}" for one in ends if one.result == "failed"]
    unseen = [f"not looked at: {one.place}: {one.why}" for one in plan.unseen]
    summary = ", ".join(f"{count} {word}" for word, count in counts.items()) or "nothing to remove"
    if kept := sum(_is_kept(one, pinned) for one in plan.actions):
        summary += f"; {kept} kept: pinned by dev up (envctl dev down)"
    return [summary, *failed[:MOST], *unseen[:MOST]]


def _is_kept(action: Action, pinned: Container[str]) -> bool:
    """Whether it would go, did not a pin keep its namespace."""
    one, owner = action.finding, action.finding.resource.owner
    lasts = one.environment == "dev" and one.verdict == "live" and one.resource.service in services.REGISTRY
    return lasts and owner is not None and owner.namespace in pinned


def _named(action: Action) -> str:
    return f"{action.finding.resource.kind} {action.finding.resource.name}"


def _nobody(line: str) -> None:
    """Nobody listens."""


def _is_project(directory: Path) -> bool:
    try:
        return find(directory)[0].samefile(directory)
    except (EnvctlError, OSError):
        return False
