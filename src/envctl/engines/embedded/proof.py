"""Which processes are a daemon's: proven, since a pid by itself may be anybody's by now."""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from envctl import locks

if TYPE_CHECKING:
    import psutil

    from envctl.engines.embedded.daemon import Daemon


def pid(daemon: Daemon) -> int:
    """The pid of its first process, 0 where that cannot be proven: a pid by itself may be anybody's by now."""
    with suppress(OSError, ValueError, IndexError):
        number, birth = _written(daemon)
        try:
            return number if _has(number, daemon) else 0
        except PermissionError:  # It gave up root, and a container's root may not look into it.
            born = Path(f"/proc/{number}/stat").read_text()
            return number if locks.held(daemon.alive) and _birth(born) == _birth(birth) else 0
    return 0


def leader(daemon: Daemon) -> psutil.Process | None:
    """The first process, if it is proven to be it; should another one get its pid later, psutil sees that."""
    import psutil

    with suppress(OSError, ValueError, psutil.NoSuchProcess):
        process = psutil.Process(_written(daemon)[0])
        return process if pid(daemon) == process.pid else None
    return None


def members(daemon: Daemon) -> list[psutil.Process]:
    """Every process that has the lock file open, which no stranger has, and the proven first one."""
    import psutil

    found = {one.pid: one for one in [leader(daemon)] if one}
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and _has(process.pid, daemon):
                found[process.pid] = process
    return list(found.values())


def until_forgotten(daemon: Daemon) -> None:
    """Wait until a server that just died is no longer listed: its successor would take its pid for a living one."""
    with suppress(OSError, ValueError, IndexError):
        number, birth = _written(daemon)
        end = time.monotonic() + 5
        while time.monotonic() < end and _birth(Path(f"/proc/{number}/stat").read_text()) == _birth(birth):
            time.sleep(0.002)


def _written(daemon: Daemon) -> tuple[int, str]:
    """The pid that the server wrote, and the line in which the kernel said when it was born."""
    number, _, birth = daemon.pid_file.read_text().partition("\n")
    return int(number), birth


def _has(number: int, daemon: Daemon) -> bool:
    """Whether that process has the lock file open. Linux says it in a folder, for which psutil is not loaded."""
    path = str(daemon.alive.resolve())
    if sys.platform != "linux":
        return path in _open_files(number)
    with os.scandir(f"/proc/{number}/fd") as files:
        return any(_leads_to(one.path) == path for one in files)


def _leads_to(link: str) -> str:
    """Where it does; nowhere if the file has been closed meanwhile."""
    with suppress(FileNotFoundError):
        return str(Path(link).readlink())
    return ""


def _open_files(number: int) -> frozenset[str]:
    import psutil

    try:
        return frozenset(one.path for one in psutil.Process(number).open_files())
    except psutil.AccessDenied as error:
        raise PermissionError(str(error)) from error
    except psutil.Error as error:
        raise ProcessLookupError(str(error)) from error


def _birth(line: str) -> str:
    """The start time in a line of /proc/PID/stat; the name before it may hold anything but a last bracket."""
    return line.rpartition(")")[2].split()[19]
