"""PostgreSQL tells what it can bear and who used it; suites that ask first never get `too many clients`."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import suites
from postgres_ground import ask, connect
from psycopg import sql
from service_ground import Ground, serving

from envctl.model import Access, Address
from envctl.services.postgres import SERVICE, Settings

LIMITS = {"max_connections": "60", "superuser_reserved_connections": "4", "max_locks_per_transaction": "100"}


@pytest.fixture
def service() -> str:
    return "postgres"


@pytest.fixture(scope="module")
def small(private_state: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    """A server with few connections."""
    asked = Settings(settings=LIMITS)
    with serving("embedded", "postgres", asked, tmp_path_factory.mktemp("small")) as address:
        yield address


def made(ground: Ground, name: str, lease: str = "", *, created: str = "") -> Access:
    """A database of now."""
    claim = ground.claim(name)
    owner = replace(claim.owner, lease=lease, created=created or datetime.now(UTC).isoformat())
    return ground.service.create(ground.address, ground.settings, replace(claim, owner=owner))


def entered(ground: Ground, access: Access, **other: Any) -> psycopg.Connection[tuple[Any, ...]]:
    """A session of the application."""
    login = {"user": access.values["user"], "password": access.values["password"]}
    return connect(ground.address, access.values["database"], **{**login, **other})


def seen(ground: Ground, access: Access) -> int | None:
    name = access.values["database"]
    return SERVICE.visits(ground.address, [name]).get(name)


# what it can bear


def test_the_limits_are_those_in_force(small: Address) -> None:
    found = SERVICE.capacity(small)
    assert (found.connections, found.reserved, found.locks) == (60, 4, 6000)


def test_sessions_are_counted_by_the_run_whose_database_or_login_they_use(ground: Ground) -> None:
    before = SERVICE.capacity(ground.address).sessions
    run, dev = made(ground, "one", "run1"), made(ground, "two")
    with ExitStack() as stack:
        for access in (run, run, dev):
            stack.enter_context(entered(ground, access))
        stack.enter_context(entered(ground, run, dbname="postgres"))
        stack.enter_context(connect(ground.address, run.values["database"]))
        stack.enter_context(connect(ground.address))
        found = SERVICE.capacity(ground.address).sessions
    assert found["run1"] - before.get("run1", 0) == 4
    assert found[""] - before.get("", 0) == 2


def test_an_administrator_who_is_no_superuser_counts_the_same(ground: Ground) -> None:
    ask(ground.address, "CREATE ROLE plain LOGIN CREATEDB CREATEROLE PASSWORD 'plain'")
    try:
        access = made(ground, "one", "run1")
        plain = replace(ground.address, user="plain", password="plain")
        with entered(ground, access), entered(ground, access), connect(ground.address):
            mine, theirs = SERVICE.capacity(ground.address), SERVICE.capacity(plain)
        assert mine.sessions["run1"] == theirs.sessions["run1"] == 2
        assert (mine.connections, mine.reserved, mine.locks) == (theirs.connections, theirs.reserved, theirs.locks)
    finally:
        ask(ground.address, "DROP ROLE plain")


# who used it


def test_a_database_that_nobody_used_has_no_visits_however_often_envctl_looked(ground: Ground) -> None:
    for _ in range(3):
        access = made(ground, "one")
        SERVICE.list(ground.address, ground.project)
        SERVICE.note(ground.address, access.resources[0], {"migrated": "x"})
    assert seen(ground, access) == 0


def test_every_session_that_connected_and_quit_at_once_is_a_visit(ground: Ground) -> None:
    access = made(ground, "one")
    for number in range(200):
        assert seen(ground, access) == number
        entered(ground, access).close()
    assert seen(ground, access) == 200


def test_a_killed_client_and_one_that_is_still_there_are_visits(ground: Ground) -> None:
    code = "import os, psycopg, sys; psycopg.connect(sys.argv[1]); os.kill(os.getpid(), 9)"
    killed, open_ = made(ground, "killed"), made(ground, "open")
    done = subprocess.run([sys.executable, "-c", code, killed.values["url"]], check=False)
    assert done.returncode == -signal.SIGKILL
    assert seen(ground, killed) == 1
    with entered(ground, open_), entered(ground, open_):
        assert (seen(ground, open_) or 0) >= 1
    assert seen(ground, open_) == 2


def test_a_login_that_was_refused_is_no_visit(ground: Ground) -> None:
    access, other = made(ground, "one"), made(ground, "two")
    with pytest.raises(psycopg.OperationalError, match="permission denied"):
        entered(ground, other, dbname=access.values["database"])
    with pytest.raises(psycopg.OperationalError, match="password"):
        entered(ground, access, password="wrong")
    assert seen(ground, access) == 0


def test_a_clone_starts_at_zero_and_a_new_name_keeps_its_count(ground: Ground) -> None:
    template = made(ground, "template")
    entered(ground, template).close()
    name = template.values["database"]
    clone, moved = f"{name}_c", f"{name}_m"
    ask(ground.address, sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(clone), sql.Identifier(name)))
    assert SERVICE.visits(ground.address, [name, clone]) == {name: 1, clone: 0}
    connect(ground.address, clone).close()
    ask(ground.address, sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(clone), sql.Identifier(moved)))
    assert SERVICE.visits(ground.address, [clone, moved]) == {moved: 1}
    ask(ground.address, sql.SQL("DROP DATABASE {}").format(sql.Identifier(moved)))


def test_what_a_crash_of_the_server_made_it_forget_is_not_told(tmp_path: Path, private_state: Path) -> None:
    with serving("embedded", "postgres", Settings(), tmp_path / "crash") as address:
        ground = Ground(SERVICE, Settings(), address, "shop", tmp_path)
        before = made(ground, "before")
        ask(address, "CREATE DATABASE plain")
        ask(address, "CHECKPOINT")  # without it the crash takes the record too
        with entered(ground, before) as session:
            row = session.execute("SELECT pg_backend_pid()").fetchone()
            assert row is not None
            assert SERVICE.visits(address, ["plain", before.values["database"]]) == {
                "plain": 0,
                before.values["database"]: 1,
            }
            os.kill(row[0], signal.SIGKILL)
            with pytest.raises(psycopg.OperationalError):
                session.execute("SELECT 1")
        suites.answering(address)
        assert SERVICE.visits(address, ["plain", before.values["database"]]) == {}
        later = datetime.now(UTC) + timedelta(hours=1)
        assert seen(ground, made(ground, "after", created=later.isoformat())) == 0
        entered(ground, before).close()
        assert seen(ground, before) == 1


def test_what_somebody_made_the_server_forget_is_never_told_as_nobody(ground: Ground) -> None:
    access = made(ground, "one")
    ask(ground.address, "SELECT pg_stat_reset()", access.values["database"])
    assert seen(ground, access) != 0  # not told; or 1, while the session that did it is still ending


# suites that ask first


@pytest.fixture
def crowded(small: Address, tmp_path: Path) -> Ground:
    """A project on the server with few connections."""
    return Ground(SERVICE, Settings(), small, f"shop{secrets.token_hex(3)}", tmp_path / "memory")


def last(process: subprocess.Popen[str]) -> dict[str, Any]:
    """What a suite said in the end."""
    found: dict[str, Any] = json.loads(process.communicate(timeout=300)[0].splitlines()[-1])
    return found


def test_three_suites_with_eight_workers_each_share_sixty_connections(crowded: Ground, tmp_path: Path) -> None:
    with ExitStack() as stack:
        home = tmp_path / "shop" / "test"
        running = [stack.enter_context(suites.suite(crowded, home, f"run{one}")) for one in range(3)]
        outcomes = [last(one) for one in running]
    assert [one["errors"] for one in outcomes] == [[], [], []]
    assert [one["queries"] for one in outcomes] == [suites.TASKS * suites.CONNECTIONS] * 3
    assert all(1 <= one["granted"] <= 8 for one in outcomes)
    assert all(one["reason"] for one in outcomes if one["granted"] < 8)


def test_a_killed_suite_gives_its_share_to_those_who_wait(crowded: Ground, tmp_path: Path) -> None:
    with ExitStack() as stack:
        home = tmp_path / "shop" / "test"
        first = stack.enter_context(suites.suite(crowded, home, "run0", idle=True))
        assert first.stdout is not None
        assert json.loads(first.stdout.readline())["granted"] == 8
        waiting = [stack.enter_context(suites.suite(crowded, home, f"run{one}")) for one in (1, 2)]
        first.kill()
        outcomes = [last(one) for one in waiting]
    assert [one["errors"] for one in outcomes] == [[], []]
