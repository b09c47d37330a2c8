"""Processes that put into quarantine, or take out of it, and die where they are told to."""

from __future__ import annotations

import base64
import pickle
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from service_ground import Ground

CHILD = '''
import base64, os, pickle, signal, socket, sys, traceback
import minio, minio.commonconfig, minio.deleteobjects, psycopg, redis, urllib3  # once, and not in every child
from envctl import services
from envctl.services.quarantine import inside

name, address, project = pickle.loads(base64.b64decode(sys.stdin.readline()))
service = services.get(name)
step = 0
QUESTIONS = (b"GET ", b"HEAD ")
"""What S3 is asked a hundred times, and which changes nothing."""


def reached(fatal):
    global step
    step += 1
    return step == fatal


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def die_at(fatal, sent):
    """Die before the n-th thing that is said to the server, or once it is said and before its answer is read."""
    really_wait, really_send = psycopg.Connection.wait, socket.socket.sendall

    def wait(self, generator, *args, **kwargs):
        if reached(fatal):
            if sent:
                next(generator, None)
            die()
        return really_wait(self, generator, *args, **kwargs)

    def sendall(self, data, *flags):
        if not bytes(data[:5]).startswith(QUESTIONS) and reached(fatal):
            if sent:
                really_send(self, data, *flags)
            die()
        return really_send(self, data, *flags)

    psycopg.Connection.wait, socket.socket.sendall = wait, sendall


def work(verb):
    for one in service.list(address, project):
        if verb == "quarantine" and not inside(one.owner):
            service.quarantine(address, one, notes={"since": "today"})
        if verb == "restore" and inside(one.owner):
            service.restore(address, one)


for line in sys.stdin:
    verb, fatal, sent = line.split()
    child = os.fork()
    if not child:
        try:
            die_at(int(fatal), sent == "sent")
            work(verb)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
'''


@dataclass(frozen=True)
class Mortals:
    """Each call is a process of its own."""

    process: subprocess.Popen[str]

    def survives(self, verb: str, fatal: int, when: str) -> bool:
        """Whether the work was done before the n-th thing that it would have said."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{verb} {fatal} {when}\n")
        self.process.stdin.flush()
        code = int(self.process.stdout.readline())
        assert code in (0, -9), f"{verb}, to die at {fatal}, failed"
        return code == 0


@contextmanager
def mortals(ground: Ground) -> Iterator[Mortals]:
    """A process that forks those who die; it ends with the block."""
    job = base64.b64encode(pickle.dumps((ground.service.name, ground.address, ground.project))).decode()
    with subprocess.Popen(
        [sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        process.stdin.write(job + "\n")
        process.stdin.flush()
        try:
            yield Mortals(process)
        finally:
            process.stdin.close()
