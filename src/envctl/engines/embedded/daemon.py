"""A local server process that outlives whoever started it, known by a file that it keeps locked.

The file is locked before the process is started and the lock goes with it to all its children, so the kernel
says whether any of them lives: no pid is believed, and after a reboot nothing is held.
"""

from __future__ import annotations

import os
import signal as signals
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import IO, TYPE_CHECKING

from envctl import locks, shell, state
from envctl.engines.embedded import proof
from envctl.errors import EnvctlError
from envctl.model import Command
from envctl.server_set import Server
from envctl.values import dataclass

if TYPE_CHECKING:
    import psutil

LOG_LIMIT = 10 * 1024 * 1024
PATIENCE = 15.0
"""Seconds that a server has to stop by itself before it is killed."""


INHERITED = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
BECOME = """
import os, signal, sys
if os.fork():
    os._exit(0)
os.setsid()
path, *command = sys.argv[1:]
try:
    with open("/proc/self/stat") as file:
        born = file.read()
except OSError:
    born = ""
with open(path, "w") as file:
    file.write(f"{os.getpid()}\\n{born}")
for one in ("SIGPIPE", "SIGXFSZ"):
    signal.signal(getattr(signal, one), signal.SIG_DFL)
os.execvp(command[0], command)
"""
"""Leaves its parent, who would otherwise have to ask how it ended; writes who it is; then becomes the server."""


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


def of(service: str, server: Server) -> Daemon:
    """The daemon of a recorded server."""
    return Daemon(service, Path(server.detail["alive"]), Path(server.detail["log"]))


def runs(daemon: Daemon) -> bool:
    """Whether any process of it lives."""
    return locks.held(daemon.alive)


def leads(daemon: Daemon) -> bool:
    """Whether it runs and its first process is there, not only children that outlived it."""
    if not runs(daemon):
        return False
    with suppress(OSError, ValueError, IndexError):
        os.kill(int(daemon.pid_file.read_text().split()[0]), 0)
        return True
    return False


def claim(daemon: Daemon) -> int:
    """The locked descriptor that everything of this server is started with."""
    descriptor = locks.claim(daemon.alive)
    if descriptor is not None:
        proof.until_forgotten(daemon)
        daemon.pid_file.unlink(missing_ok=True)
        return descriptor
    pids = ", ".join(str(one.pid) for one in proof.members(daemon))
    raise EnvctlError(
        f"{daemon.service} has processes left that do not end",
        cause=f"they hold {daemon.alive}: {pids or 'not visible to us'}",
        hint="end them, then try again",
        code="server_stuck",
    )


def start(daemon: Daemon, command: Command, descriptor: int) -> None:
    """Start the server in a session of its own; it holds the lock from before its first instruction."""
    argv = (sys.executable, "-I", "-S", "-c", BECOME, str(daemon.pid_file), *command.argv)
    with _opened(daemon, command.stdin) as (stdin, log):
        shell.spawn(
            replace(command, argv=argv), log=log, keep=(descriptor,), stdin=stdin, inherit=_environment()
        ).wait()


def run(daemon: Daemon, command: Command, descriptor: int, given_up: Event) -> int:
    """Run a command that prepares the server, to its end; should we die, it counts as the server until it ends."""
    with _opened(daemon, command.stdin) as (stdin, log):
        process = shell.spawn(command, log=log, keep=(descriptor,), stdin=stdin, inherit=_environment())
    pause = 0.005
    while process.poll() is None:
        if given_up.wait(pause):
            os.killpg(process.pid, signals.SIGKILL)
            return process.wait()
        pause = min(pause * 1.3, 0.05)
    return process.returncode


def stop(daemon: Daemon, *, signal: int, patience: float = PATIENCE) -> None:
    """Ask it to end, and after a while kill what still holds its lock. Already gone is success."""
    leader = proof.leader(daemon)
    _send([leader] if leader else proof.members(daemon), signal)
    if _gone(daemon, patience):
        return
    _send(proof.members(daemon), signals.SIGKILL)
    if not _gone(daemon, 5):
        os.close(claim(daemon))


def listens(daemon: Daemon, port: int) -> bool:
    """Whether it is this server, and nobody else, that accepts connections there; yes where we may not look."""
    import psutil

    leader = proof.leader(daemon)
    if leader is None:
        return False
    try:
        open_ports = leader.net_connections(kind="tcp")
    except psutil.AccessDenied:
        return runs(daemon)
    except psutil.Error:
        return False
    return any(one.status == psutil.CONN_LISTEN and one.laddr.port == port for one in open_ports)


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


@contextmanager
def _opened(daemon: Daemon, text: str) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """What a program reads, in a file without a name since it may be a secret, and its log."""
    import tempfile

    state.folder(daemon.log.parent)
    with ExitStack() as stack:
        try:
            stdin = stack.enter_context(tempfile.TemporaryFile(dir=daemon.alive.parent))
            stdin.write(text.encode())
            stdin.seek(0)
            os.fchmod(stdin.fileno(), 0o644)  # A program that gave up root may open it again as /dev/stdin.
            log = os.open(daemon.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            opened = stdin, stack.enter_context(os.fdopen(log, "ab"))
        except OSError as error:
            raise state.unwritable(daemon.log, error) from error
        yield opened


def _environment() -> dict[str, str]:
    """What a server that many checkouts share may know of the shell that happened to start it."""
    return {name: value for name, value in os.environ.items() if name in INHERITED or name.startswith("LC_")}


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
