"""What the hook starts: a process that waits until no refs change any more, and then looks."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from envctl import locks
from envctl.hooks import record
from envctl.hooks.record import SEEN, WAITING

RETRIES, PAUSE = 20, 0.05


def attend(folder: Path, here: Path) -> None:
    """Look once it is quiet, and again if refs changed meanwhile; one process at a time. `here` is git's folder."""
    descriptor = _claimed(folder)
    if descriptor is None:
        return
    try:
        while (hook := record.read(folder)) is not None:
            _mark(folder, _me())
            seen = _until_quiet(folder, hook.quiet)
            from envctl.hooks import looking  # not before: who waits is to be small

            looking.look(folder, here)
            # Given up before the last question: whoever finds nobody waiting from here on starts another.
            _mark(folder, b"")
            if _touched(folder) == seen:
                return
    finally:
        locks.free(descriptor)


def _claimed(folder: Path) -> int | None:
    """The lock of the one who waits. Tried for a moment: whoever has it may be on the way out."""
    for _ in range(RETRIES):
        descriptor = locks.claim(folder / record.LOCK, create=False)
        if descriptor is not None:
            _written(descriptor, _me())
            return descriptor
        time.sleep(PAUSE)
    with suppress(OSError):  # The hook took us for the one who waits: tell it who does.
        _mark(folder, (folder / record.LOCK).read_bytes())
    return None


def _until_quiet(folder: Path, quiet: float) -> int:
    """Wait until no ref has changed for so long; the last change's mark. What the clock says is nobody's business."""
    seen = _touched(folder)
    while True:
        time.sleep(quiet)
        before, seen = seen, _touched(folder)
        if seen == before:
            return seen


def _touched(folder: Path) -> int:
    try:
        return (folder / SEEN).stat().st_mtime_ns
    except OSError:
        return 0


def _mark(folder: Path, who: bytes) -> None:
    """Say who waits; never makes the file, for the folder may be on its way out."""
    with suppress(OSError):
        descriptor = os.open(folder / WAITING, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            _written(descriptor, who)
        finally:
            os.close(descriptor)


def _written(descriptor: int, content: bytes) -> None:
    """A short file with another content; who reads it meanwhile sees no half of it, and a full disk is no matter."""
    with suppress(OSError):
        if os.pread(descriptor, 100, 0) != content:
            os.pwrite(descriptor, content, 0)
            os.ftruncate(descriptor, len(content))


def _me() -> bytes:
    """Our number and, where the system tells it, when we began: the number alone may be another's one day."""
    began = b""
    with suppress(OSError):
        began = Path("/proc/self/stat").read_bytes().rpartition(b") ")[2].split()[19]
    return b"%d\n%b\n" % (os.getpid(), began)
