"""All that came of one program: starting it so that none of it is lost, and finding every descendant again."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from envctl.keeper import signals

if TYPE_CHECKING:
    import psutil

MARK = "ENVCTL_KEPT_BY"
"""Marks descendants where the system does not hand orphans to us (all but Linux)."""
WITNESSED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
"""What a terminal or a person sends to a whole group."""


class Family:
    """The descendants of this process. On Linux orphans come to us; elsewhere a mark in their environment tells."""

    def __init__(self, *, adopts: bool) -> None:
        self.adopts = adopts and _prctl(36)  # PR_SET_CHILD_SUBREAPER
        self.childless = False
        self.mark = {} if self.adopts else {MARK: f"{os.getpid()}-{time.time_ns()}"}

    def dead(self) -> Iterator[tuple[int, int]]:
        """The children that have ended, with their exit codes."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                self.childless = True
                return
            if not pid:
                self.childless = False
                return
            yield pid, os.waitstatus_to_exitcode(status)

    def gone(self) -> bool:
        """Whether nobody is left: one who adopts all orphans and has no child has no descendant."""
        return self.childless and (self.adopts or not self.members())

    def members(self) -> list[psutil.Process]:
        """All descendants alive now, each pinned to its time of birth, so that no reused pid is ever signalled."""
        import psutil

        found = psutil.Process().children(recursive=True)
        if not self.adopts:
            known = {one.pid for one in found} | {os.getpid()}
            found += [one for one in psutil.process_iter() if one.pid not in known and self._marked(one)]
        return [one for one in found if _lives(one)]

    def _marked(self, one: psutil.Process) -> bool:
        import psutil

        try:
            return bool(one.uids().real == os.getuid() and one.environ().get(MARK) == self.mark[MARK])
        except (psutil.Error, OSError):
            return False


def start(what: Mapping[str, Any], family: Family) -> tuple[int, dict[str, object] | None]:
    """Fork and exec; what went wrong comes back through a pipe that a successful exec closes."""
    reader, writer = os.pipe()
    parent = os.getpid()
    with signals.held(*WITNESSED):
        pid = os.fork()
        if not pid:
            _become(what, {**what["env"], **family.mark}, parent, writer)
    os.close(writer)
    with os.fdopen(reader, "rb") as failure:
        wrong = failure.read()
    return pid, json.loads(wrong) if wrong else None


def _become(what: Mapping[str, Any], env: Mapping[str, str], parent: int, failure: int) -> NoReturn:
    place = what["cwd"]
    try:
        signal.set_wakeup_fd(-1)
        for number in (*WITNESSED, signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        if not what["shared"]:
            os.setsid()
        _die_with_parent(parent)
        os.chdir(place)
        place = what["argv"][0]
        signal.pthread_sigmask(signal.SIG_UNBLOCK, WITNESSED)
        os.execvpe(place, what["argv"], env)  # noqa: S606
    except (OSError, ValueError) as error:
        cause = error.strerror if isinstance(error, OSError) else str(error)
        os.write(failure, json.dumps({"path": place, "cause": cause}).encode())
    finally:
        os._exit(127)


def _die_with_parent(parent: int) -> None:
    """On Linux the program is killed when the keeper is: the one death after which nobody else would do it."""
    _prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        os._exit(127)


def _prctl(option: int, value: int = 1) -> bool:
    if sys.platform != "linux":
        return False
    import ctypes

    return bool(ctypes.CDLL(None).prctl(option, value, 0, 0, 0) == 0)


def _lives(one: psutil.Process) -> bool:
    import psutil

    try:
        return bool(one.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def group_of(pid: int) -> int:
    """A process's group; 0 if it has gone."""
    try:
        return os.getpgid(pid)
    except OSError:
        return 0


def send(one: psutil.Process, number: int) -> None:
    """Signal a process, unless it has ended or is not ours to signal."""
    import psutil

    with contextlib.suppress(psutil.Error, OSError):
        one.send_signal(number)
