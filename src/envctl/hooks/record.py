"""What envctl keeps of a hook: a private folder with its record, the marks that the hook sets, and the log."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from envctl import locks, state
from envctl.digests import hexdigest
from envctl.hooks.place import NAME
from envctl.model import Talk
from envctl.values import dataclass

RECORD, LOG, LOCK = "hook.json", "hook.log", "lock"
SEEN, WAITING = "seen", "waiting"
"""Touched by each change of refs; the process that waits for quiet."""
LOG_LIMIT = 32 * 1024
_MADE = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
QUIET = 3.0
"""Seconds without a change of refs after which we look."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One project for which the hook was installed: its folder, from the root of one of the repository's checkouts."""

    repository: str
    checkout: str
    folder: str

    @property
    def there(self) -> bool:
        """Whether its repository still is."""
        return Path(self.repository).is_dir()


@dataclass(frozen=True, slots=True)
class Record:
    """One hook file, and for whom it is there. `python` is the one that the file calls."""

    file: str
    python: str
    entries: tuple[Entry, ...] = ()
    made_folder: bool = False
    quiet: float = QUIET


def folder_of(file: Path) -> Path:
    """The private folder that belongs to a hook's file."""
    real = file.parent.resolve() / file.name
    return root() / hexdigest(os.fsencode(real))[:12]


def root() -> Path:
    """Where the folders of all hooks are."""
    return state.root() / "hooks"


def read(folder: Path) -> Record | None:
    """The record; None if there is none."""
    content = state.read(folder / RECORD)
    if content is None:
        return None
    entries = tuple(Entry(**one) for one in content["entries"])
    return Record(content["file"], content["python"], entries, content["made_folder"], content["quiet"])


def write(folder: Path, record: Record) -> None:
    """The record, and the marks: made here, private whatever git's umask is, and never again by those who use them."""
    state.write(folder / RECORD, asdict(record))
    for name in (LOCK, SEEN, WAITING):
        again = os.O_TRUNC if name == WAITING else 0  # One that is taken for alive and is not ends here at the latest.
        try:
            os.close(os.open(folder / name, _MADE | again, 0o600))
        except OSError as error:
            raise state.unwritable(folder / name, error) from error


def all_of(repository: Path) -> list[tuple[Path, Record]]:
    """The hooks that are there for a repository. A record that nobody can read is left to be found by its own error."""
    try:
        folders = sorted(root().iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    records = ((folder, read(folder)) for folder in folders if folder.is_dir())
    return [(f, r) for f, r in records if r and any(one.repository == str(repository) for one in r.entries)]


@contextmanager
def locked(*, wait: float, talk: Talk) -> Iterator[None]:
    """Held while hooks are put in or taken out."""
    with locks.locked(state.root() / "hooks.lock", what="the hooks", wait=wait, talk=talk):
        yield


def script(folder: Path) -> Path:
    """The hook as a program of its own, for files of others' that we do not touch."""
    return folder / NAME


def forget(folder: Path) -> None:
    """Remove all that is kept of a hook."""
    if folder.is_dir() and not folder.is_symlink():
        state.remove(folder, last=RECORD)


def busy(folder: Path) -> bool:
    """Whether the background waits or works now."""
    return locks.held(folder / LOCK)


def note(folder: Path, line: str) -> None:
    """Add a line to the log. A full disk costs the line and nothing else."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    with suppress(OSError):
        descriptor = os.open(folder / LOG, flags, 0o600)
        try:
            text = " ".join(line.split())[:500]
            os.write(descriptor, f"{now} {text}\n".encode("utf-8", "backslashreplace"))
            long = os.fstat(descriptor).st_size > LOG_LIMIT
        finally:
            os.close(descriptor)
        if long:
            _shorten(folder / LOG)


def log(folder: Path, lines: int = 10) -> tuple[str, ...]:
    """The last lines of the log."""
    try:
        return tuple((folder / LOG).read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ()


def _shorten(path: Path) -> None:
    """Keep the newer half."""
    kept = path.read_bytes()[-LOG_LIMIT // 2 :].partition(b"\n")[2]
    with state.fresh(path) as (_, name):
        name.write_bytes(kept)
        name.replace(path)
