"""Lease files: a lock that a process holds for as long as it uses something, with a word about who it is."""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Literal

from envctl import locks, state
from envctl.model import Holder
from envctl.values import dataclass


@dataclass(frozen=True, slots=True)
class Lease:
    """A file that this process has locked; what it says is for people, its lock is what counts."""

    path: Path
    descriptor: int

    @classmethod
    def taken(cls, folder: Path, holder: Holder) -> Lease:
        """Locked under a private name first: nobody ever sees a live lease unlocked. Called under the set's lock."""
        _sweep(state.folder(folder))
        path = folder / os.urandom(16).hex()
        private = folder / f".{path.name}"
        descriptor = locks.claim(private)
        assert descriptor is not None, "nobody else knows this name"
        try:
            os.write(descriptor, json.dumps({"version": state.VERSION, **asdict(holder)}).encode())
            private.rename(path)
        except OSError as error:
            private.unlink(missing_ok=True)
            locks.free(descriptor)
            raise state.unwritable(path, error) from error
        return cls(path, descriptor)

    def drop(self) -> None:
        """No longer a user."""
        self.path.unlink(missing_ok=True)
        locks.free(self.descriptor)


def until_free(folder: Path) -> None:
    """Block in the kernel until no process holds a lease; remove what dead ones left."""
    while found := files(folder):
        for path in found:
            with suppress(FileNotFoundError):
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                fcntl.flock(descriptor, fcntl.LOCK_SH)
                os.close(descriptor)
                path.unlink()


def read(path: Path, kind: Literal["held", "pinned"]) -> Holder:
    """What a lease says of itself; a lease is one whatever it says."""
    try:
        content = json.loads(path.read_text())
        return Holder(kind, **{name: content[name] for name in ("namespace", "workspace", "command", "since", "pid")})
    except (OSError, ValueError, KeyError, TypeError):
        return Holder(kind, path.name if kind == "pinned" else "", "", "", "")


def _sweep(folder: Path) -> None:
    """Remove what dead leases left. A private name can be judged only here, under the set's lock."""
    for path in folder.iterdir():
        if not locks.held(path):
            path.unlink(missing_ok=True)


def files(folder: Path) -> list[Path]:
    """The published files of a folder; names that begin with a dot are being made."""
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except FileNotFoundError:
        return []
