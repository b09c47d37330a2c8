"""Whether dead runs left anything: every command asks, so it costs a look at a folder and next to no import."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

from envctl import locks

LOCK = "lock"
RECORD = "run.json"
VERDICT = "recovery.json"
"""What recovery came to; from when it is there on, its folder is a dead run's, also while recovery has its lock."""
FOREIGN = "foreign.json"
"""What recovery put down of a run that is not this host's to judge, where its own host may see the folder too."""
UNTOUCHED = "untouched"
"""A file that is there until the run begins to make something on its servers: while it is, there is nothing to find."""
CLAIMS = "claims"
"""What services remember of this run's claims: a folder for each identity, in it one for each service."""
STAMP, HOME, HERE, STUCK, LEFT = "stamp", "home", "here", "stuck", "left"
BOOT = Path("/proc/sys/kernel/random/boot_id")


def dead(project_home: Path) -> list[Path]:
    """The folders of runs that no process has locked, private ones too."""
    try:
        found = sorted((project_home / "runs").iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [one for one in found if ours(one) and not locks.held(one / LOCK)]


def private(folder: Path) -> bool:
    """Whether it is not published yet, or not any more."""
    return folder.name.startswith(".")


def settled(folder: Path) -> bool:
    """Whether recovery was here and nothing has changed since that would let it do more."""
    verdict, judged = _read(folder / VERDICT), _read(folder / FOREIGN)
    if judged and judged.get(HERE) == here() and judged.get(STAMP) == stamp(folder, ""):
        return True
    return STAMP in verdict and bool(verdict[STAMP] == stamp(folder, verdict.get(HOME, "")))


def stuck(folder: Path) -> str:
    """What recovery could not remove and never will before a person acts; empty where it may yet."""
    return _read(folder / VERDICT).get(STUCK, "") if settled(folder) else ""


def left(folder: Path) -> str:
    """Why something of a dead run was still there when recovery last looked; empty where that is not known."""
    verdict = _read(folder / VERDICT)
    return verdict.get(STUCK) or verdict.get(LEFT) or _read(folder / FOREIGN).get(LEFT, "")


def here() -> str:
    """This host, in this boot of it."""
    return f"{os.uname().nodename} {boot()}"


def boot() -> str:
    """What tells this boot of the machine from all others; empty where nothing does."""
    try:
        return BOOT.read_text().strip()
    except OSError:
        return ""


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


def _read(path: Path) -> dict[str, str]:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
