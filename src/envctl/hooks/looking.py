"""What is done once it is quiet: see whether branches came or went, and clean."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from envctl import git, recovery
from envctl.config import find
from envctl.errors import EnvctlError
from envctl.hooks import branches, record
from envctl.hooks.record import Record
from envctl.project import Project, open_project


def look(folder: Path, hook: Record, here: Path) -> None:
    """Clean for each project whose branches are not what they were. What fails is told in the log, and tried again."""
    for directory in targets(hook, here):
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
    now = branches.changed(folder, directory)
    if not now:
        return
    project = open_project(directory, "dev", os.environ)
    done = _cleaned(project)
    record.note(folder, f"{project.config.project}: branches changed: {done}")
    branches.remember(folder, directory, now)


def _cleaned(project: Project) -> str:
    """What a plain `envctl clean` does, in a few words."""
    recovery.sweep(project)
    return "what dead runs left is being removed"


def _is_project(directory: Path) -> bool:
    try:
        return find(directory)[0].samefile(directory)
    except (EnvctlError, OSError):
        return False
