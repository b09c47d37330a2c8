"""Processes that hold what live ones hold: leases, runs, locks. They die by SIGKILL, as a crash would have it."""

from __future__ import annotations

import base64
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from envctl.model import Holder
from envctl.project import Project
from envctl.runs.folders import Record

CHILD = """
import base64, os, pickle, signal, sys
from contextlib import ExitStack
from envctl import locks, runs
from envctl.held import Lease

stack = ExitStack()


def lease(root, folder, holder):
    return str(Lease.taken(folder, holder).path)


def run(root, project, home, engine):
    one = stack.enter_context(runs.claimed(project, home=home, engine=engine, command="pytest", talk=lambda line: None))
    one.begun()
    return one.record


def lock(root, path):
    locks.claim(path)


def held(verb, arguments):
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.environ["ENVCTL_STATE_DIR"] = str(arguments[0])
        os.write(write, pickle.dumps(globals()[verb](*arguments)))
        os.close(write)
        while True:
            signal.pause()
    os.close(write)
    with os.fdopen(read, "rb") as stream:
        return child, pickle.loads(stream.read())


def end(pid):
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


for line in sys.stdin:
    verb, arguments = pickle.loads(base64.b64decode(line))
    answer = end(*arguments) if verb == "end" else held(verb, arguments)
    print(base64.b64encode(pickle.dumps(answer)).decode(), flush=True)
"""


@dataclass(frozen=True)
class Holders:
    """Asked for a process that holds something, the child forks one; its number tells it from the others."""

    process: subprocess.Popen[str]

    def lease(self, root: Path, folder: Path, holder: Holder) -> int:
        """One that uses a server set."""
        pid, _ = self._ask("lease", root, folder, holder)
        return int(pid)

    def run(self, root: Path, project: Project, home: Path, engine: str) -> tuple[int, Record]:
        """One that is a run."""
        pid, record = self._ask("run", root, project, home, engine)
        assert isinstance(record, Record)
        return int(pid), record

    def lock(self, root: Path, path: Path) -> int:
        """One that has just a file locked."""
        pid, _ = self._ask("lock", root, path)
        return int(pid)

    def end(self, pid: int) -> None:
        """It is dead and buried when this returns."""
        self._ask("end", pid)

    def _ask(self, verb: str, *arguments: Any) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(base64.b64encode(pickle.dumps((verb, arguments))).decode() + "\n")
        self.process.stdin.flush()
        return pickle.loads(base64.b64decode(self.process.stdout.readline()))


@contextmanager
def holders() -> Iterator[Holders]:
    """The process that forks the others; all of them end with the block."""
    with subprocess.Popen(
        [sys.executable, "-c", CHILD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield Holders(process)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
