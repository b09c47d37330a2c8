"""Hook files: read without following anything, written aside and put in place in one step."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from envctl import state
from envctl.errors import EnvctlError
from envctl.hooks.text import Refused
from envctl.values import dataclass


@dataclass(frozen=True, slots=True)
class Found:
    """A hook's file as it was when we read it."""

    content: bytes
    about: os.stat_result

    @property
    def runs(self) -> bool:
        """Whether git runs it at all."""
        return bool(self.about.st_mode & 0o111)


def read(path: Path) -> Found | None:
    """The file; None if there is none. What is not a plain file of its own is refused: it is also somewhere else."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        if path.is_symlink():
            raise Refused(f"it is a link to {path.readlink()}") from error
        raise failed(path, error) from error
    try:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            raise Refused("it is not a plain file")
        if about.st_nlink > 1:
            raise Refused("it has another name elsewhere")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return Found(file.read(), about)
    finally:
        os.close(descriptor)


def create(path: Path, content: bytes) -> None:
    """A new hook; one that somebody has made meanwhile stays as it is."""
    with _aside(path, content, 0o777) as written:
        try:
            os.link(written, path)
        except FileExistsError as error:
            raise _changed(path) from error
        except OSError as error:  # a file system without a second name for a file
            if path.exists():
                raise _changed(path) from error
            written.replace(path)


def replace(path: Path, content: bytes, found: Found) -> None:
    """Give a hook another content; its owner, mode and attributes stay."""
    with _aside(path, content, 0o700) as written:
        shutil.copystat(path, written)
        os.utime(written)
        mine = written.stat()
        if (mine.st_uid, mine.st_gid) != (found.about.st_uid, found.about.st_gid):
            os.chown(written, found.about.st_uid, found.about.st_gid)
            written.chmod(stat.S_IMODE(found.about.st_mode))
        same(path, found)
        written.replace(path)


def remove(path: Path, found: Found) -> None:
    """Remove a hook that is what we read."""
    try:
        same(path, found)
        path.unlink()
    except OSError as error:
        raise failed(path, error) from error


def same(path: Path, found: Found) -> None:
    """Raise if the file is not any more what we read."""
    now, then = path.lstat(), found.about
    if (now.st_ino, now.st_mtime_ns, now.st_size) != (then.st_ino, then.st_mtime_ns, then.st_size):
        raise _changed(path)


def sweep(path: Path) -> None:
    """Remove what killed installations wrote beside it; those at work have theirs locked."""
    pattern = re.compile(rf"\.{re.escape(path.name)}\.envctl-[0-9a-f]{{16}}")
    with suppress(OSError):
        for left in path.parent.iterdir():
            if pattern.fullmatch(left.name):
                state.discard(left)


@contextmanager
def _aside(path: Path, content: bytes, mode: int) -> Iterator[Path]:
    """The content in a file beside the hook, whole on the disk; gone after the block unless it was renamed."""
    name = path.with_name(f".{path.name}.envctl-{os.urandom(8).hex()}")
    try:
        descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "wb") as file:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            try:
                file.write(content)
                file.flush()
                os.fsync(descriptor)
                yield name
            finally:
                name.unlink(missing_ok=True)
    except OSError as error:
        raise failed(path, error) from error


def failed(path: Path, error: OSError) -> EnvctlError:
    """The one error for a hook's file that cannot be read or written."""
    return EnvctlError(
        f"the hook {path} cannot be read or written",
        cause=error.strerror or str(error),
        hint="its folder must be yours to write; without the hook every envctl command still looks after what is left",
        code="hook_unwritable",
    )


def _changed(path: Path) -> EnvctlError:
    return EnvctlError(
        f"somebody else has just written {path}",
        cause="it is not what it was a moment ago",
        hint="nothing was done: try again",
        code="hook_changed",
    )
