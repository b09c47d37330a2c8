"""A clean dies while the server drops a database: no login has gone before what is its, and the next call ends it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from checkouts import BIN, Envctl
from psycopg import sql
from world_check import unlike
from world_making import Made
from world_parts import made
from world_servers import Ground
from worlds import Aside, Run, World

pytestmark = pytest.mark.embedded
WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted AND classid = 'pg_database'::regclass"


@pytest.mark.parametrize(
    "world",
    [
        World("shop", "shopx", runs=(Run("ended", workers=1),)),
        World("shop", "shopx", runs=(Run("dead", workers=1),)),
        World("shop", "shopx", asides=(Aside("past"),)),
    ],
    ids=["an ended run's", "a dead run's", "what was in quarantine"],
)
def test_whoever_dies_in_a_drop_has_taken_no_login_yet(shared: Ground, world: World) -> None:
    with made(world, shared) as there:
        before = there.listing()
        with undroppable(there), cleaning(there) as process:
            while shared.admin.execute(WAITING).fetchone() == (0,):
                assert process.poll() is None, process.communicate()
                os.sched_yield()
            assert there.listing() == before
            process.kill()
        there.apply(there.planned())
        unlike(there, before, there.listing(), done=True)


@contextmanager
def undroppable(there: Made) -> Iterator[None]:
    """Somebody is about to change what the server knows of each database that is to go: it waits with the drop."""
    server = there.ground.postgres
    login: dict[str, Any] = {"user": server.user, "password": server.password, "dbname": "postgres"}
    with psycopg.connect(host=server.host, port=server.port, **login) as connection:
        for kind, name in sorted(key for key, fate in there.fates.items() if fate == "goes"):
            if kind == "database":
                connection.execute(sql.SQL("COMMENT ON DATABASE {} IS NULL").format(sql.Identifier(name)))
        yield
        connection.rollback()


@contextmanager
def cleaning(there: Made) -> Iterator[subprocess.Popen[str]]:
    """The command."""
    state = Path(os.environ["ENVCTL_STATE_DIR"])
    with subprocess.Popen(
        [BIN / "envctl", "clean"],
        cwd=there.desk.root,
        env=Envctl(state).environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()
