"""Where a local server keeps its data, and the only code that deletes any."""

from __future__ import annotations

import os
import shutil
import stat
from contextlib import suppress
from pathlib import Path

from envctl import state, unprivileged
from envctl.unprivileged import Way

MEMORY = Path("/dev/shm")  # noqa: S108
ROOM = 1 << 30
"""Free bytes that must be there before data are put into memory."""


def data(home: Path, name: str, way: Way, *, durable: bool) -> Path:
    """The data folder of a program, which need not be there yet; its parent is."""
    if not durable:
        return _scratch(home, way) / name
    if way.shared:
        return unprivileged.open_folder(unprivileged.public(home) / "data") / name
    return state.folder(home / "data") / name


def fresh(path: Path, way: Way) -> Path:
    """An empty folder beside a data folder, to be filled and then renamed to it."""
    new = path.with_name(f"{path.name}.new")
    try:
        if new.exists():
            shutil.rmtree(new)
        new.mkdir(mode=0o700)
        unprivileged.give(way, new)
    except OSError as error:
        raise state.unwritable(new, error) from error
    return new


def publish(new: Path, path: Path) -> None:
    """From here on the data count as complete."""
    try:
        new.rename(path)
    except OSError as error:
        raise state.unwritable(path, error) from error


def forget_scratch(home: Path) -> None:
    """Delete the throw-away data of a set that does not run; nothing but what is marked as that set's."""
    for path in scratches(home):
        if is_ours(path) and is_ours(path.parent) and text(path / "home") == str(home):
            shutil.rmtree(path)
            _forget_parent(path)


def forget_old_scratch(home: Path) -> None:
    """Delete throw-away data from before the last boot: they were written without care for a crash."""
    if any(path.exists() and text(path / "boot") != _boot() for path in scratches(home)):
        forget_scratch(home)


def scratches(home: Path) -> tuple[Path, ...]:
    """Every place where throw-away data of this set may be."""
    return (_in_memory(home), unprivileged.PUBLIC / unprivileged.digest(home) / "scratch", home / "scratch")


def _scratch(home: Path, way: Way) -> Path:
    """The set's throw-away folder, in memory where there is room; it is marked before anything is put into it."""
    path = _in_memory(home)
    if not (is_ours(path) or _room()) or not _made_in_memory(path):
        path = (unprivileged.public(home) if way.shared else home) / "scratch"
        state.folder(path)
    try:
        if way.shared:
            path.chmod(0o711)
            path.parent.chmod(0o711)
        (path / "home").write_text(str(home))
        (path / "boot").write_text(_boot())
    except OSError as error:
        raise state.unwritable(path, error) from error
    return path


def memory() -> Path:
    """The folder in memory in which every throw-away set of this user has its own."""
    return MEMORY / f"envctl-{os.geteuid()}"


def _in_memory(home: Path) -> Path:
    return memory() / unprivileged.digest(home)


def _made_in_memory(path: Path) -> bool:
    """Make the folder and its parent ours and private; not where somebody else was there first."""
    for _ in range(10):  # Another set that ends may remove the parent between the two steps.
        with suppress(FileNotFoundError):
            for one in (path.parent, path):
                with suppress(FileExistsError):
                    one.mkdir(mode=0o700)
                if not is_ours(one):
                    return False
            return True
    return False


def is_ours(path: Path) -> bool:
    """Whether it is a real folder of this user that nobody else may write to."""
    try:
        found = path.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022


def _forget_parent(path: Path) -> None:
    if path.parent.parent == MEMORY:
        with suppress(OSError):
            path.parent.rmdir()


def _room() -> bool:
    try:
        found = os.statvfs(MEMORY)
    except OSError:
        return False
    return os.access(MEMORY, os.W_OK) and found.f_bavail * found.f_frsize >= ROOM


def _boot() -> str:
    """What tells this boot of the machine from all others."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    import psutil

    return str(int(psutil.boot_time()))


def text(path: Path) -> str:
    """What a file says; nothing where it cannot be read."""
    try:
        return path.read_text()
    except OSError:
        return ""


def forget_litter(pattern: str, ports: list[str]) -> None:
    """Remove the sockets of our own that a pattern names for these ports; never a file, never another user's."""
    for port in ports if pattern else []:
        path = Path(pattern.format(port=port))
        for found in path.parent.glob(path.name):
            with suppress(OSError):
                seen = found.lstat()
                if stat.S_ISSOCK(seen.st_mode) and seen.st_uid == os.geteuid():
                    found.unlink()
