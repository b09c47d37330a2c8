"""A local server process that outlives whoever started it, known by a file that it keeps locked.

The file is locked before the process is started and the lock goes with it to all its children, so the kernel
says whether any of them lives: no pid is believed, and after a reboot nothing is held.
"""

from __future__ import annotations

import os
import signal as signals
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import IO, TYPE_CHECKING

from envctl import shell, state
from envctl.errors import EnvctlError
from envctl.model import Command

if TYPE_CHECKING:
    import psutil

LOG_LIMIT = 10 * 1024 * 1024
PATIENCE = 15.0
"""Seconds that a server has to stop by itself before it is killed."""


@dataclass(frozen=True, slots=True)
class Daemon:
    """Where one server's lock, pid and log are."""

    service: str
    alive: Path
    log: Path

    @property
    def pid_file(self) -> Path:
        """The server writes its own pid here, just before it becomes the server."""
        return self.alive.with_suffix(".pid")


def at(home: Path, service: str) -> Daemon:
    """The daemon that runs a service of the set in that state folder."""
    return Daemon(service, home / "run" / f"{service}.alive", home / "logs" / f"{service}.log")


def runs(daemon: Daemon) -> bool:
    """Whether any process of it lives."""
    return state.held(daemon.alive)


def leads(daemon: Daemon) -> bool:
    """Whether it runs and its first process is there, not only children that outlived it."""
    if not runs(daemon):
        return False
    with suppress(OSError, ValueError):
        os.kill(int(daemon.pid_file.read_text()), 0)
        return True
    return False


def claim(daemon: Daemon) -> int:
    """The locked descriptor that everything of this server is started with."""
    descriptor = state.claim(daemon.alive)
    if descriptor is None:
        pids = ", ".join(str(one.pid) for one in members(daemon))
        raise EnvctlError(
            f"{daemon.service} has processes left that do not end",
            cause=f"they hold {daemon.alive}: {pids or 'not visible to us'}",
            hint="end them, then try again",
            code="server_stuck",
        )
    return descriptor


def start(daemon: Daemon, command: Command, descriptor: int) -> int:
    """Start the server in a session of its own; it holds the lock from before its first instruction."""
    state.folder(daemon.log.parent)
    with suppress(FileNotFoundError):
        daemon.pid_file.unlink()
    script = 'echo $$ >"$1" && shift && exec "$@"'
    argv = ("sh", "-c", script, "sh", str(daemon.pid_file), *command.argv)
    with _stdin(command, daemon) as stdin, _log(daemon) as log:
        return shell.detach(replace(command, argv=argv), log=log, keep=(descriptor,), stdin=stdin)


def run(daemon: Daemon, command: Command, descriptor: int, given_up: Event) -> int:
    """Run a command that prepares the server, to its end; should we die, it counts as the server until it ends."""
    state.folder(daemon.log.parent)
    with _stdin(command, daemon) as stdin, _log(daemon) as log:
        process = shell.spawn(command, log=log, keep=(descriptor,), stdin=stdin)
    pause = 0.005
    while process.poll() is None:
        if given_up.wait(pause):
            os.killpg(process.pid, signals.SIGKILL)
        pause = min(pause * 1.3, 0.05)
    return process.returncode


def stop(daemon: Daemon, *, signal: int, patience: float = PATIENCE) -> None:
    """Ask it to end, and after a while kill what still holds its lock. Already gone is success."""
    leader = _leader(daemon)
    _send([leader] if leader else members(daemon), signal)
    if _gone(daemon, patience):
        return
    _send(members(daemon), signals.SIGKILL)
    if not _gone(daemon, 5):
        os.close(claim(daemon))


def pid(daemon: Daemon) -> int:
    """The pid of its first process, 0 where that cannot be proven."""
    leader = _leader(daemon)
    return leader.pid if leader else 0


def members(daemon: Daemon) -> list[psutil.Process]:
    """Every process that has the lock file open, which no stranger has."""
    import psutil

    return [one for one in psutil.process_iter() if one.pid != os.getpid() and _has(one, daemon)]


def last_lines(daemon: Daemon, offset: int = 0) -> str:
    """The end of what it logged since `offset`."""
    with suppress(OSError), daemon.log.open("rb") as log:
        log.seek(max(offset, size(daemon) - 16_000))
        return shell.tail(log.read().decode(errors="replace"))
    return ""


def size(daemon: Daemon) -> int:
    """How long its log is."""
    with suppress(OSError):
        return daemon.log.stat().st_size
    return 0


def rotate(daemon: Daemon) -> None:
    """Set a long log aside, while nothing writes to it."""
    if size(daemon) > LOG_LIMIT:
        daemon.log.replace(daemon.log.with_suffix(".log.1"))


def _stdin(command: Command, daemon: Daemon) -> IO[bytes]:
    """What the command reads, from a file without a name: it may be a secret."""
    file = tempfile.TemporaryFile(dir=daemon.alive.parent)  # noqa: SIM115
    file.write(command.stdin.encode())
    file.seek(0)
    return file


def _log(daemon: Daemon) -> IO[bytes]:
    return os.fdopen(os.open(daemon.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")


def _leader(daemon: Daemon) -> psutil.Process | None:
    import psutil

    with suppress(OSError, ValueError, psutil.Error):
        process = psutil.Process(int(daemon.pid_file.read_text()))
        return process if _has(process, daemon) else None
    return None


def _has(process: psutil.Process, daemon: Daemon) -> bool:
    import psutil

    path = str(daemon.alive.resolve())
    with suppress(psutil.Error, OSError):
        return any(file.path == path for file in process.open_files())
    return False


def _send(processes: list[psutil.Process], signal: int) -> None:
    """psutil looks once more whether a pid is still the process that we looked at."""
    import psutil

    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal)


def _gone(daemon: Daemon, seconds: float) -> bool:
    end = time.monotonic() + seconds
    pause = 0.005
    while runs(daemon):
        if time.monotonic() > end:
            return False
        time.sleep(pause)
        pause = min(pause * 1.3, 0.02)
    return True
