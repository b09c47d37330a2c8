"""What of this machine a run can leave something in: folders, and processes with their ports."""

from __future__ import annotations

import os
import shlex
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from envctl import unprivileged
from envctl.audit.values import Left, Wrote
from envctl.masking import masked

if TYPE_CHECKING:
    import psutil

LONGEST = 120
"""Characters of a command line that are shown."""


def watched(root: Path, more: Iterable[str]) -> tuple[str, ...]:
    """The folders whose entries are compared: for temporary files, home, beside the checkout, and the configured."""
    usual = (tempfile.gettempdir(), str(Path.home()), str(root.parent))
    return tuple(dict.fromkeys(os.path.realpath(one) for one in (*usual, *expanded(root, more))))


def expanded(root: Path, folders: Iterable[str]) -> tuple[str, ...]:
    """Folders as the configuration has them: seen from the project's root, `~` is home."""
    return tuple(os.path.realpath(root / Path(one).expanduser()) for one in folders)


def entries(folders: Iterable[str]) -> frozenset[str]:
    """What is in these folders and belongs to this user."""
    found = set()
    for folder in folders:
        with suppress(OSError), os.scandir(folder) as inside:
            for one in inside:
                with suppress(OSError):
                    if one.stat(follow_symlinks=False).st_uid == os.geteuid():
                        found.add(one.path)
    return frozenset(found)


def ours() -> str:
    """Where envctl itself puts what another user's servers must be able to read."""
    return str(unprivileged.PUBLIC)


def still_there(wrote: Iterable[Wrote], own: tuple[str, ...]) -> tuple[Wrote, ...]:
    """Those that exist, outside of the folders that are the run's own, by their real paths; bytecode does not count."""
    found: dict[str, Wrote] = {}
    for one in wrote:
        path = str(Path(os.path.realpath(Path(one.path).parent), Path(one.path).name))
        inside = any(path == folder or path.startswith(folder.rstrip("/") + "/") for folder in own)
        if not inside and not _bytecode(path) and os.path.lexists(path):
            found.setdefault(path, Wrote(path, one.worker, one.test))
    return tuple(found.values())


def _bytecode(path: str) -> bool:
    """What importing writes: the interpreter's own cache, wherever the sources lie."""
    found = PurePath(path)
    return found.name == "__pycache__" or (found.parent.name == "__pycache__" and found.suffix == ".pyc")


def left(pids: Iterable[int]) -> tuple[Left, ...]:
    """Processes that live on, as far as they can still be asked."""
    import psutil

    found = []
    for pid in pids:
        with suppress(psutil.Error):
            found.append(_left(psutil.Process(pid)))
    return tuple(found)


def _left(one: psutil.Process) -> Left:
    import psutil

    connections, files, environ = [], [], {}
    with suppress(psutil.Error, OSError):
        connections = one.net_connections("inet")
    with suppress(psutil.Error, OSError):
        files = one.open_files()
    with suppress(psutil.Error, OSError):
        environ = one.environ()
    listens = [f"{at.laddr.ip}:{at.laddr.port}" for at in connections if at.status == psutil.CONN_LISTEN]
    return Left(
        pid=one.pid,
        parent=one.ppid(),
        command=masked(shlex.join(one.cmdline()))[:LONGEST] or one.name(),
        started=one.create_time(),
        # Whoever was started by a test inherited what pytest says of it.
        worker=environ.get("PYTEST_XDIST_WORKER", ""),
        test=environ.get("PYTEST_CURRENT_TEST", "").rpartition(" (")[0],
        listens=tuple(sorted(listens)),
        ports=frozenset(at.laddr.port for at in connections if at.raddr),
        files=frozenset(file.path for file in files),
    )
