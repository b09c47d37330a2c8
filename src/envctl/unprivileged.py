"""Running a server that refuses root, when we are root."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path

from envctl import shell, state
from envctl.errors import EnvctlError
from envctl.model import Command
from envctl.server_set import Program
from envctl.values import dataclass

PUBLIC = Path("/var/lib/envctl")
"""Where root keeps what `nobody` must reach, on machines without user namespaces."""
NAMESPACE = ("unshare", "--user", "--map-user=65534", "--map-group=65534")
DROP = """
import os, signal, sys
import warnings  # execvp may want it, and without root we may not be able to read it any more.
user, group, *command = sys.argv[1:]
os.setgroups([])
os.setgid(int(group))
os.setuid(int(user))
for one in ("SIGPIPE", "SIGXFSZ"):
    signal.signal(getattr(signal, one), signal.SIG_DFL)
os.execvp(command[0], command)
"""


@dataclass(frozen=True, slots=True)
class Way:
    """How a program is run: words before its own, who owns its data, and which folders were copied where."""

    prefix: tuple[str, ...] = ()
    user: int | None = None
    group: int | None = None
    moved: tuple[tuple[Path, Path], ...] = ()

    @property
    def shared(self) -> bool:
        """Whether the data must be where another user can reach them."""
        return self.user is not None


def way(program: Program) -> Way:
    """As ourselves; as root in a user namespace where we seem somebody else; else as `nobody`."""
    if os.geteuid() != 0 or not program.unprivileged:
        return Way()
    if namespaces():
        return Way(prefix=NAMESPACE)
    return as_nobody(program)


@cache
def namespaces() -> bool:
    """Whether this kernel and container let us make a user namespace."""
    if shell.which("unshare") is None:
        return False
    return shell.run(Command((*NAMESPACE, "true")), check=False).code == 0


def as_nobody(program: Program) -> Way:
    """Give up root for good before the program starts; it is copied to where `nobody` can read it, if need be."""
    import pwd

    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError as error:
        raise EnvctlError(
            f"{program.name} does not run as root, and there is no user `nobody` to run it as",
            hint="run envctl as a plain user",
            code="root",
        ) from error
    prefix = (sys.executable, "-I", "-S", "-c", DROP, str(nobody.pw_uid), str(nobody.pw_gid))
    return Way(prefix, nobody.pw_uid, nobody.pw_gid, _readable(program.files))


def wrap(way: Way, command: Command) -> Command:
    """The command as this way runs it."""
    argv = tuple(_relocated(word, way.moved) for word in command.argv)
    env = {name: _relocated(value, way.moved) for name, value in command.env.items()}
    # A server must not keep the folder that we happen to stand in, which may be gone tomorrow.
    return replace(command, argv=(*way.prefix, *argv), env=env, cwd=command.cwd or Path("/"))


def give(way: Way, path: Path) -> None:
    """Hand a fresh, empty folder to the user that will fill it."""
    if way.user is not None and way.group is not None:
        os.chown(path, way.user, way.group)


def public(home: Path) -> Path:
    """The folder outside of root's home that stands for a state folder; others may pass through it, no more."""
    return open_folder(open_folder(PUBLIC) / digest(home))


def digest(home: Path) -> str:
    """A short name for a state folder, to be used outside of it."""
    return hashlib.sha256(str(home).encode()).hexdigest()[:16]


def _relocated(word: str, moved: Iterable[tuple[Path, Path]]) -> str:
    for old, new in moved:
        word = word.replace(str(old), str(new))
    return word


def _readable(files: tuple[Path, ...]) -> tuple[tuple[Path, Path], ...]:
    """What not everybody may enter, and its copy; whole paths are kept, so neighbours find each other."""
    closed = [path for path in files if not _may_enter(path)]
    if not closed:
        return ()
    version = hashlib.sha256("\n".join(f"{path} {path.stat().st_mtime_ns}" for path in files).encode()).hexdigest()[:16]
    base = open_folder(open_folder(PUBLIC) / "programs") / version
    copies = tuple((path, base / path.relative_to(path.anchor)) for path in files)
    if not base.exists():
        _copy(base, files)
    return copies


def _copy(base: Path, files: tuple[Path, ...]) -> None:
    """Copy apart, publish by a rename; of two who do it at once the first one wins."""
    new = Path(tempfile.mkdtemp(dir=base.parent, prefix=f".{base.name}."))
    try:
        for path in files:
            copy = new / path.relative_to(path.anchor)
            shutil.copytree(path, copy, symlinks=True)
            for folder in (copy, *copy.parents):
                if folder == new or new in folder.parents:
                    folder.chmod(0o755)
        with suppress(FileExistsError):
            new.rename(base)
    except OSError as error:
        raise state.unwritable(base, error) from error
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _may_enter(path: Path) -> bool:
    return all(one.stat().st_mode & stat.S_IXOTH for one in (path, *path.parents))


def open_folder(path: Path) -> Path:
    """A folder of ours that others may pass through, but neither list nor write."""
    try:
        path.mkdir(mode=0o711, parents=True, exist_ok=True)
        found = path.lstat()
    except OSError as error:
        raise state.unwritable(path, error) from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise EnvctlError(
            f"{path} is not a folder of ours", hint="remove it or run envctl as a plain user", code="root"
        )
    path.chmod(0o711)
    return path
