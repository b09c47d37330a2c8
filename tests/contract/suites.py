"""Test suites as separate processes: each books, starts as many workers as it was granted, and uses all it booked."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import psycopg
from service_ground import Ground

from envctl import admission
from envctl.errors import EnvctlError
from envctl.model import Address
from envctl.room import Demand
from envctl.services.postgres import SERVICE, Settings

CONNECTIONS = 5
TASKS = 24
"""How many tests a suite has; its workers share them."""


@contextmanager
def suite(ground: Ground, home: Path, run: str, *, idle: bool = False) -> Iterator[subprocess.Popen[str]]:
    """A suite's process; it ends with the block."""
    argv = [sys.executable, __file__, "suite", str(home), run, "idle" if idle else ""]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        process.stdin.write(pickle.dumps(ground).hex() + "\n")
        process.stdin.flush()
        try:
            yield process
        finally:
            process.kill()


def answering(address: Address) -> None:
    """Wait until the server takes sessions again."""
    end = time.monotonic() + 60
    while True:
        try:
            SERVICE.check(address)
        except EnvctlError:
            assert time.monotonic() < end, "the server did not come back"
            time.sleep(0.01)
        else:
            return


def act_suite(ground: Ground, home: Path, run: str, idle: bool) -> None:
    """Book, work with that many workers in a database of this run, and say how it went."""
    claim = ground.claim(run)
    access = SERVICE.create(ground.address, Settings(), replace(claim, owner=replace(claim.owner, lease=run)))
    demand = Demand(run, run, "/w", f"suite {run}", workers=8, connections=CONNECTIONS)
    with admission.book(home, demand, capacity=lambda: SERVICE.capacity(ground.address), wait=240, talk=print) as one:
        print(json.dumps({"granted": one.granted}), flush=True)
        if idle:
            sys.stdin.readline()
        share = [len(range(number, TASKS, one.granted)) for number in range(one.granted)]
        workers = [_worker(access.values["url"], tasks) for tasks in share]
        said = [json.loads(worker.communicate()[0]) for worker in workers]
    outcome = {"granted": one.granted, "reason": one.reason, "queries": sum(each["queries"] for each in said)}
    print(json.dumps({**outcome, "errors": [error for each in said for error in each["errors"]]}), flush=True)


def _worker(url: str, tasks: int) -> subprocess.Popen[str]:
    argv = [sys.executable, __file__, "worker", str(tasks)]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    process.stdin.write(url + "\n")
    process.stdin.flush()
    return process


def act_worker(url: str, tasks: int) -> None:
    """Open all the sessions that a worker may have at the same time, and query through all of them for each test."""
    queries, errors = 0, []
    with ExitStack() as stack:
        try:
            sessions = [stack.enter_context(psycopg.connect(url, autocommit=True)) for _ in range(CONNECTIONS)]
            for session in sessions * tasks:
                session.execute("SELECT count(*) FROM pg_class")
                queries += 1
        except psycopg.Error as error:
            errors.append(str(error))
    print(json.dumps({"queries": queries, "errors": errors}))


def main(role: str, *words: str) -> None:
    """Act as what argv says."""
    told = sys.stdin.readline().strip()
    if role == "worker":
        act_worker(told, int(words[0]))
    else:
        home, run, idle = words
        act_suite(pickle.loads(bytes.fromhex(told)), Path(home), run, bool(idle))


if __name__ == "__main__":
    main(*sys.argv[1:])
