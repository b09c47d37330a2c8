"""A start that is killed at some step is finished, and can be stopped, by whoever comes next."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
from multiprocessing.connection import Connection

import pytest
from docker_ground import WEB, Ground

from envctl.engines.compose import ENGINE
from envctl.server_set import Running, ServerSet

pytestmark = pytest.mark.docker

FILE = f"services:\n  web:{WEB}"


def start_and_tell(servers: ServerSet, out: Connection) -> None:
    """In a process of its own: start, and say each step before it is done."""
    ENGINE.start(servers, None, lambda running: out.send_bytes(pickle.dumps(running)), lambda line: out.send(line))
    out.send("done")


@pytest.mark.parametrize("step", ["recorded", "starting", "waiting"])
def test_killed_start_is_finished_by_the_next_and_stopped_by_its_record(ground: Ground, step: str) -> None:
    content = FILE.replace("echo served", "sleep 7; echo served") if step == "waiting" else FILE
    servers = ground.servers(ground.checkout(content))
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=start_and_tell, args=(servers, theirs))
    process.start()
    record: Running = pickle.loads(ours.recv_bytes())
    if step != "recorded":
        while not str(ours.recv()).startswith(step):
            pass
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert not ENGINE.alive(record)
    running = ground.start(servers, record)
    assert ENGINE.alive(running)
    ground.stop(running)
    assert {one.status for one in ground.containers().values()} == {"exited"}
