"""Kernel locks on files: they say who lives, and a process that dies has let go of its own."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from envctl.errors import LockTimeoutError
from envctl.model import Talk
from envctl.state import folder, opened, text, unwritable

PATIENCE = 0.4
"""A wait shorter than this is not worth a word."""


@contextmanager
def locked(
    path: Path, *, what: str, wait: float, talk: Talk, holder: Callable[[], str] = lambda: "", who: str = ""
) -> Iterator[None]:
    """Hold an exclusive kernel lock. Says what it waits for, and for whom, before it waits; `who` is told to others."""
    folder(path.parent)
    note = path.with_name(f"{path.name}.holder")
    descriptor = _acquired(path, min(PATIENCE, wait), pause=0.005)
    if descriptor is None:
        talk(f"waiting for {what}{_held_by(holder() or _text(note))}")
        descriptor = _acquired(path, wait, pause=0.05)
    if descriptor is None:
        raise LockTimeoutError(
            f"{what} was still busy after {wait:g} s{_held_by(holder() or _text(note))}",
            hint="try again, or give it longer with --wait SECONDS",
        )
    try:
        with suppress(OSError):  # Only a word to those who wait.
            _note(note, f"{who}, process {os.getpid()}" if who else f"process {os.getpid()}")
        yield
    finally:
        if descriptor in _own:  # A forked child that leaves the block has let go of it already.
            free(descriptor)


def _acquired(path: Path, seconds: float, *, pause: float) -> int | None:
    """The descriptor of the locked file, None if somebody else had it locked for so long."""
    end = time.monotonic() + seconds
    while (descriptor := _tried(path)) is None:
        if time.monotonic() >= end:
            return None
        time.sleep(pause)
    _own.add(descriptor)
    return descriptor


def _tried(path: Path) -> int | None:
    """One attempt. A file that was removed before we had its lock guards nothing: others lock its successor."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise unwritable(path, error) from error
    if _lock(descriptor) and os.fstat(descriptor).st_nlink:
        return descriptor
    os.close(descriptor)
    return None


def held(path: Path) -> bool:
    """Whether some process holds this file's lock now. The kernel's word, free of pids and of times."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)


def claim(path: Path, *, create: bool = True) -> int | None:
    """Lock a file for as long as the returned descriptor is open anywhere; None if somebody has it locked.

    The descriptor may be handed to a process that is started: the file is then `held` until that process and
    all its children are gone. With `create=False` it is also None where there is no such file.
    """
    flags = os.O_RDWR | os.O_CLOEXEC
    if create:
        folder(path.parent)
        flags |= os.O_CREAT
    try:
        descriptor = os.open(path, flags, 0o600)
    except OSError as error:
        if isinstance(error, FileNotFoundError) and not create:
            return None
        raise unwritable(path, error) from error
    while not _lock(descriptor):
        if _exclusively_held(descriptor):
            os.close(descriptor)
            return None
    _own.add(descriptor)
    return descriptor


def free(descriptor: int) -> None:
    """Close what `claim` returned."""
    _own.discard(descriptor)
    os.close(descriptor)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _exclusively_held(descriptor: int) -> bool:
    """Whether a holder is in the way, and not somebody who asks `held` and is gone in an instant."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


_own: set[int] = set()


def _let_go_in_child() -> None:
    """A forked child must not keep its parent's locks; closing a copy leaves the parent's lock as it is."""
    while _own:
        os.close(_own.pop())


os.register_at_fork(after_in_child=_let_go_in_child)


def _note(path: Path, words: str) -> None:
    with os.fdopen(opened(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW), "w") as file:
        file.write(words)


def _held_by(who: str) -> str:
    return f" (held by {who})" if who else ""


def _text(path: Path) -> str:
    try:
        return text(path)
    except (OSError, ValueError):
        return ""
