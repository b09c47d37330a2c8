"""Whether dead runs left anything: every command asks, so it costs a look at a folder and next to no import."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

from envctl import state

LOCK = "lock"
RECORD = "run.json"
VERDICT = "recovery.json"
"""What recovery came to; from when it is there on, its folder is a dead run's, also while recovery has its lock."""
UNTOUCHED = "untouched"
"""A file that is there until the run begins to make something on its servers: while it is, there is nothing to find."""
CLAIMS = "claims"
"""What services remember of this run's claims: a folder for each identity, in it one for each service."""
STAMP, HOME = "stamp", "home"


def dead(project_home: Path) -> list[Path]:
    """The folders of runs that no process has locked, private ones too."""
    try:
        found = sorted((project_home / "runs").iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [one for one in found if ours(one) and not state.held(one / LOCK)]


def private(folder: Path) -> bool:
    """Whether it is not published yet, or not any more."""
    return folder.name.startswith(".")


def settled(folder: Path) -> bool:
    """Whether recovery was here and nothing has changed since that would let it do more."""
    try:
        verdict = json.loads((folder / VERDICT).read_text())
        return bool(verdict[STAMP] == stamp(folder, verdict[HOME]))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def stamp(folder: Path, home: str) -> str:
    """Changes when the run's record does, and when the record of its servers does."""
    return f"{_changed(folder / RECORD)} {_changed(Path(home) / 'servers.json') if home else 0}"


def ours(folder: Path) -> bool:
    """Whether it is a real folder of this user's: never a link to one."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
