"""The user's state folder: private; its files are replaced and never edited."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from envctl.errors import EnvctlError, UsageError

VERSION = 1


def root() -> Path:
    """The state folder: `ENVCTL_STATE_DIR`, or the platform's place for user state."""
    chosen = os.environ.get("ENVCTL_STATE_DIR")
    if chosen:
        return Path(chosen).absolute()
    if sys.platform != "linux":
        import platformdirs

        return Path(platformdirs.user_state_dir("envctl"))
    # What platformdirs says, without the modules that it brings along.
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "envctl"


def folder(path: Path) -> Path:
    """Make a private folder (0700), and its parents; one that others could change is refused."""
    if root() in path.parents:
        refuse_unfit()
    try:
        if not path.is_dir():
            for one in (*reversed(path.parents), path):
                if not one.exists():
                    one.mkdir(mode=0o700, exist_ok=True)
                    one.chmod(0o700)  # whatever the umask is
            if not path.is_dir():
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        _refuse_shared(path, path.stat())
    except OSError as error:
        raise unwritable(path, error) from error
    return path


def refuse_unfit() -> None:
    """Refuse a state folder that is none, or that others could change, before anything in it is believed.

    It need not be there yet.
    """
    chosen = os.environ.get("ENVCTL_STATE_DIR", "")
    if chosen and not os.path.isabs(chosen):  # noqa: PTH117  (a Path costs more than all else here)
        cause = f"{chosen} would be another folder wherever a command is called"
        raise UsageError("ENVCTL_STATE_DIR is no absolute path", cause=cause, hint="write it from / on")
    with suppress(OSError):  # It is not there yet, or whoever needs it will say what is wrong.
        found = root().stat()
        if not stat.S_ISDIR(found.st_mode):
            raise UsageError(f"the state folder {root()} is no folder", hint="set ENVCTL_STATE_DIR to another path")
        _refuse_shared(root(), found)


def _refuse_shared(path: Path, found: os.stat_result) -> None:
    if found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise EnvctlError(
            f"the state folder is not private: {path}",
            cause="others may write to it" if found.st_uid == os.geteuid() else "it belongs to another user",
            hint=f"chmod 700 {path}, or set ENVCTL_STATE_DIR to a folder of your own",
            code="state_not_private",
        )


def read(path: Path, *, hint: str = "") -> dict[str, Any] | None:
    """A state file's content; None if there is none. A truncated or newer one is an error that says so."""
    try:
        content = json.loads(text(path))
    except FileNotFoundError:
        return None
    except (ValueError, OSError, RecursionError) as error:
        raise EnvctlError(
            f"the state file {path} cannot be read",
            cause=str(error),
            hint=hint or f"remove it if nothing of yours runs: rm {path}",
            code="state_broken",
        ) from error
    if not isinstance(content, dict) or content.get("version") != VERSION:
        found = content.get("version") if isinstance(content, dict) else None
        raise EnvctlError(
            f"the state file {path} has version {found!r}, this envctl knows {VERSION}",
            hint="use the envctl that wrote it, or upgrade this one",
            code="state_version",
        )
    return content


def text(path: Path) -> str:
    """What a file of ours says."""
    with os.fdopen(opened(path, os.O_RDONLY)) as file:
        return file.read()


def opened(path: Path, flags: int) -> int:
    """The descriptor of a regular file; an error for all else, as nobody may ever come to the other end of a pipe."""
    descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC, 0o600)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise OSError(errno.EINVAL, "it is no regular file", str(path))


@contextmanager
def understood(path: Path, *, what: str) -> Iterator[None]:
    """What the block misses in a state file's content is an error that says what the file is not."""
    try:
        yield
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise EnvctlError(
            f"the state file {path} is not {what}",
            cause=f"{type(error).__name__}: {error}",
            hint=f"remove it if nothing of yours runs: rm {path}",
            code="state_broken",
        ) from error


def write(path: Path, content: dict[str, Any]) -> None:
    """Replace a state file in one step, readable by its owner alone."""
    folder(path.parent)
    try:
        with fresh(path) as (file, name):
            json.dump({"version": VERSION, **content}, file, indent=1, sort_keys=True)
            file.flush()
            os.fsync(file.fileno())  # a file of no length after a power cut would be nobody's record
            name.replace(path)
    except OSError as error:
        raise unwritable(path, error) from error


@contextmanager
def fresh(path: Path, *, sweep: bool = True) -> Iterator[tuple[IO[str], Path]]:
    """A private file beside `path`, to be given that name when it is written; those that dead writers left go.

    Outside of the state folder others' files lie beside it: nothing is swept there.
    """
    for left in os.listdir(path.parent) if sweep else ():  # noqa: PTH208  (half the time of a Path for each)
        if _aside(left, path.name):
            discard(path.with_name(left))
    while True:
        name = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
        descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if not os.fstat(descriptor).st_nlink:
                continue  # Somebody took it for a dead writer's before it was locked.
            try:
                yield file, name
            except BaseException:
                name.unlink(missing_ok=True)
                raise
            return


def _aside(name: str, of: str) -> bool:
    """Whether it is exactly what `fresh` calls a file: other programs put names in the same place before theirs."""
    pid, _, rest = name.removeprefix(f".{of}.").partition(".")
    return name == f".{of}.{pid}.{rest}" and pid.isdecimal() and len(rest) == 8 and set(rest) <= set("0123456789abcdef")


def discard(path: Path) -> None:
    """Remove a file that was made aside, unless its writer has it locked; the lock is ours while we do so."""
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
        finally:
            os.close(descriptor)


def remove(path: Path, *, last: str) -> None:
    """Remove a folder of ours with all that is in it; one name goes last, which others may be waiting for."""
    for one in path.iterdir():
        if one.name == last:
            continue
        if one.is_dir() and not one.is_symlink():
            shutil.rmtree(one)
        else:
            one.unlink(missing_ok=True)
    (path / last).unlink(missing_ok=True)
    with suppress(OSError):  # Somebody has come in meanwhile, to begin anew.
        path.rmdir()


def unwritable(path: Path, error: OSError) -> EnvctlError:
    """The one error for a state folder that is full, read-only or somebody else's."""
    return EnvctlError(
        f"the state folder cannot be written: {path}",
        cause=error.strerror or str(error),
        hint="free some space or set ENVCTL_STATE_DIR to a folder that you own",
        code="state_unwritable",
    )
