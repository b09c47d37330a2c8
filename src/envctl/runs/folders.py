"""The folder of a run: its lock, which lives as long as its process, and its record, which is older than all it makes.

A folder is made under a private name, locked and put on record there, and published by a rename. So a published folder
whose lock nobody holds is a dead run's, and stays one: its slot is free again when its folder is gone.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from envctl import locks, state
from envctl.errors import EnvctlError
from envctl.residue import LOCK, RECORD, VERDICT, dead, ours, private
from envctl.values import dataclass

LATER = ("host", "boot", "device", "inode")
"""What the records of an older envctl do not have."""
MAKING = ".making"
"""A lock: shared by those who make folders under private names, exclusive for whoever removes forgotten ones."""


@dataclass(frozen=True, slots=True)
class Record:
    """What a run puts down before it makes anything. `home` is the state folder of the servers it works on."""

    id: str
    identity: str
    environment: str
    namespace: str
    slot: int
    workspace: str
    home: str
    engine: str
    command: str
    since: str
    kept: tuple[str, ...] = ()
    """What was left on purpose, for a person to look at until the next run."""
    released: tuple[str, ...] = ()
    """What was kept until the next run came."""
    host: str = ""
    """Where it began, and in which boot; both and the two below are empty in the records of an older envctl."""
    boot: str = ""
    device: str = ""
    inode: str = ""
    """The file that its process has locked."""


@dataclass(frozen=True, slots=True)
class Residue:
    """The folder of a dead run; `record` is None where it cannot be read."""

    folder: Path
    record: Record | None


def alive(folder: Path) -> bool:
    """Whether a run is at work there."""
    return ours(folder) and locks.held(folder / LOCK) and not (folder / VERDICT).exists()


def live(project_home: Path) -> list[Record]:
    """The runs at work."""
    found = (_readable(one) for one in sorted((project_home / "runs").glob("*")) if not private(one) and alive(one))
    return [one for one in found if one is not None]


def residue(project_home: Path) -> list[Residue]:
    """What dead runs left, also where recovery is at it right now."""
    published = (one for one in sorted((project_home / "runs").glob("*")) if not private(one) and ours(one))
    return [Residue(one, _readable(one)) for one in published if not alive(one)]


def taken(folder: Path) -> int | None:
    """Lock the folder of a dead run, to clean it; None where its run lives, somebody else cleans it, or it is gone."""
    lock = folder / LOCK
    if not ours(folder):
        return None
    descriptor = locks.claim(lock, create=False)
    if descriptor is None:
        return None
    with suppress(OSError):
        if os.path.samestat(os.fstat(descriptor), lock.lstat()):
            return descriptor
    locks.free(descriptor)  # Another has cleaned it, and the slot may be somebody's again.
    return None


@contextmanager
def making(runs: Path, lock: int) -> Iterator[None]:
    """Hold the lock of those who make, or of whoever removes."""
    descriptor = os.open(runs / MAKING, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, lock)
        yield
    finally:
        os.close(descriptor)


def write(folder: Path, record: Record) -> None:
    """Put a run on record."""
    state.write(folder / RECORD, {**asdict(record), "kept": list(record.kept), "released": list(record.released)})


def read(folder: Path) -> Record:
    """What a run put down; an error says what is wrong with it."""
    content = state.read(folder / RECORD, hint=f"if no run of yours is at work there: rm -r {folder}")
    try:
        return _parsed(content or {}, folder)
    except (KeyError, TypeError, ValueError) as error:
        raise EnvctlError(
            f"{folder / RECORD} does not tell what its run made",
            cause=f"{type(error).__name__}: {error}" if content else "there is no such file",
            hint=f"if no run of yours is at work there: rm -r {folder}",
            code="state_broken",
        ) from error


def remove(folder: Path) -> None:
    """Give a slot free, in one step; whoever calls holds its lock. What dies after that step leaves a private name."""
    private = folder.with_name(f".{os.urandom(16).hex()}")
    try:
        folder.rename(private)
    except FileNotFoundError:
        return
    except OSError as error:
        raise state.unwritable(folder, error) from error
    shutil.rmtree(private, ignore_errors=True)


def tidy(project_home: Path) -> None:
    """Remove private names that nobody is at work on, unless one is being made right now."""
    runs = project_home / "runs"
    with suppress(OSError), making(runs, fcntl.LOCK_EX | fcntl.LOCK_NB):
        for path in filter(private, dead(project_home)):
            shutil.rmtree(path, ignore_errors=True)


def _readable(folder: Path) -> Record | None:
    try:
        return read(folder)
    except EnvctlError:
        return None


def _parsed(content: dict[str, Any], folder: Path) -> Record:
    content = {**dict.fromkeys(LATER, ""), "released": [], **content}
    texts = {one.name: content[one.name] for one in fields(Record) if one.name not in ("slot", "kept", "released")}
    slot, kept, released = content["slot"], content["kept"], content["released"]
    if not all(isinstance(text, str) for text in (*texts.values(), *kept, *released)) or not isinstance(slot, int):
        raise ValueError("a value of the wrong kind")
    if texts["identity"] != folder.name or not texts["id"]:
        raise ValueError(f"it is the record of {texts['identity']!r}")
    return Record(**texts, slot=slot, kept=tuple(kept), released=tuple(released))
