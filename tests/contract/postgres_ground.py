"""What the PostgreSQL tests share: questions to the server, and processes that die where they are told to."""

from __future__ import annotations

import base64
import pickle
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.abc import Query

from envctl.model import Address, Claim

CHILD = '''
import base64, os, pickle, signal, sys, traceback
import psycopg
from envctl import services

address, settings, claims = pickle.loads(base64.b64decode(sys.stdin.readline()))
service = services.get("postgres")
really_wait = psycopg.Connection.wait


def die_at(fatal, sent):
    """Die before the n-th exchange with the server, or with its question sent and no answer read."""
    step = 0

    def wait(self, generator, *args, **kwargs):
        nonlocal step
        step += 1
        if step == fatal:
            if sent:
                next(generator, None)
            os.kill(os.getpid(), signal.SIGKILL)
        return really_wait(self, generator, *args, **kwargs)

    psycopg.Connection.wait = wait


def forked(verb, claim, fatal, sent):
    child = os.fork()
    if child:
        return child
    try:
        die_at(fatal, sent)
        if verb == "create":
            service.create(address, settings, claim)
        else:
            for resource in service.list(address, claim.owner.project):
                service.drop(address, resource)
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


for line in sys.stdin:
    verb, fatal, sent = line.split()
    asked = claims if fatal == "0" else claims[:1]
    children = [forked(verb, claim, int(fatal), sent == "sent") for claim in asked]
    print(*(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children), flush=True)
'''


class Children:
    """Processes of their own that call the service; fatal 0 lets them live."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def codes(self, verb: str, fatal: int = 0, when: str = "before") -> list[int]:
        """Exit codes: of one child that dies at an exchange, or of one child for every claim at once."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{verb} {fatal} {when}\n")
        self._process.stdin.flush()
        return [int(code) for code in self._process.stdout.readline().split()]


@contextmanager
def children(address: Address, settings: Any, claims: Sequence[Claim]) -> Iterator[Children]:
    """A process that forks the children; it ends with the block."""
    job = base64.b64encode(pickle.dumps((address, settings, list(claims)))).decode()
    with subprocess.Popen(
        [sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        process.stdin.write(job + "\n")
        process.stdin.flush()
        try:
            yield Children(process)
        finally:
            process.stdin.close()


def connect(address: Address, database: str = "postgres", **other: Any) -> psycopg.Connection[tuple[Any, ...]]:
    """A session of the administrator, or of whoever `other` says."""
    account = {"host": address.host, "port": address.port, "user": address.user, "password": address.password}
    return psycopg.connect(**{**account, "dbname": database, "autocommit": True, **other})


def ask(address: Address, query: Query, database: str = "postgres", **other: Any) -> list[tuple[Any, ...]]:
    """The rows of one statement's answer, none if it has no rows."""
    with connect(address, database, **other) as session:
        cursor = session.execute(query)
        return cursor.fetchall() if cursor.description else []


def names(address: Address) -> set[tuple[str, str]]:
    """Every database and every role on the server."""
    query = "SELECT 'database', datname FROM pg_database UNION SELECT 'role', rolname FROM pg_roles"
    return {(kind, name) for kind, name in ask(address, query)}
