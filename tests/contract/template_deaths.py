"""Processes that work on templates and die where they are told to."""

from __future__ import annotations

import base64
import os
import pickle
import signal
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from templates_ground import Shop

from envctl import templates
from envctl.model import Address
from envctl.project import open_project
from envctl.services.postgres import sessions

LEASE = "dead"


class Children:
    """Each call is a process of its own; it dies at its n-th exchange with a server, 0 lets it live."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def code(self, verb: str, fatal: int = 0, when: str = "before") -> int:
        """Its exit code."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{verb} {fatal} {when}\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


@contextmanager
def children(checkout: Shop) -> Iterator[Children]:
    """A process that forks them; it ends with the block."""
    job = base64.b64encode(pickle.dumps((checkout.root, checkout.address))).decode()
    with subprocess.Popen(
        [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        process.stdin.write(job + "\n")
        process.stdin.flush()
        try:
            yield Children(process)
        finally:
            process.stdin.close()


def work(checkout: Shop, verb: str) -> None:
    """What a child does."""
    template = checkout.ready(LEASE, from_scratch=verb == "scratch").template
    if verb == "clone":
        checkout.clone(template, "gw0", lease=LEASE)
    elif verb == "fill":
        templates.refill(checkout.project, checkout.address, "postgres", template, 2)
    elif verb == "evict":
        sessions.close()  # what this process itself uses would stay
        templates.evict(checkout.project, checkout.address, "postgres", (), 0)


def die_at(fatal: int, *, sent: bool) -> None:
    """Before the n-th exchange, or with its question sent and no answer read."""
    really_wait: Any = psycopg.Connection.wait
    step = 0

    def wait(self: Any, generator: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal step
        step += 1
        if step == fatal:
            if sent:
                next(generator, None)
            os.kill(os.getpid(), signal.SIGKILL)
        return really_wait(self, generator, *args, **kwargs)

    psycopg.Connection.wait = wait  # type: ignore[method-assign, assignment]


def forked(root: Path, address: Address, verb: str, fatal: int, *, sent: bool) -> int:
    child = os.fork()
    if child:
        return child
    try:
        die_at(fatal, sent=sent)
        work(Shop(root, address, open_project(root, "test", {}), root / "count"), verb)
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


@contextmanager
def alone(checkout: Shop, verb: str) -> Iterator[subprocess.Popen[str]]:
    """One process that does the work itself; it is over with the block."""
    with subprocess.Popen([sys.executable, __file__, verb], stdin=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        process.stdin.write(base64.b64encode(pickle.dumps((checkout.root, checkout.address))).decode() + "\n")
        process.stdin.close()
        try:
            yield process
        finally:
            process.kill()


def main() -> None:
    root, address = pickle.loads(base64.b64decode(sys.stdin.readline()))
    if sys.argv[1:]:
        work(Shop(root, address, open_project(root, "test", {}), root / "count"), sys.argv[1])
        return
    for line in sys.stdin:
        verb, fatal, when = line.split()
        child = forked(root, address, verb, int(fatal), sent=when == "sent")
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
