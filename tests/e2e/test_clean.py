"""`envctl clean` and `restore` on real servers and real repositories: orphans go, and nothing else is ever touched."""

from __future__ import annotations

import io
import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from checkouts import BIN, Envctl, git, opened
from clean_ground import POSTGRES, Ground, connect, environment, gone, ground

from envctl import owners
from envctl.model import Owner

DYING = """
import os, signal, sys
from envctl import services
from envctl.cli import main
left = int(sys.argv.pop(1))
def mortal(method):
    def call(*given, **named):
        global left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
        return method(*given, **named)
    return call
for name in services.REGISTRY:
    kind = type(services.get(name))
    kind.quarantine, kind.drop = mortal(kind.quarantine), mortal(kind.drop)
main()
"""
"""envctl, but for a kill by the kernel just before one of its effects on a server."""


TURNS = """
import sys
from envctl.clean import serverside
from envctl.cli import main
serverside.TURN, looks = float(sys.argv.pop(1)), 0
look = serverside._fresh
def counted(*given):
    print("a look", file=sys.stderr)
    return look(*given)
serverside._fresh = counted
main()
"""
"""envctl, but that each turn on a server lasts so many seconds, and its looks are told."""
LOADED = """
import os, sys
from envctl import cli
def told(code):
    sys.exit(str(sorted({"typer", "rich", "psutil", "minio"} & set(sys.modules)) or code))
cli._exit = told
cli.main()
"""
"""envctl, but that it tells which heavy modules it came to load, or its exit code."""


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """One set of servers for all tests of this module; each has checkouts of its own there."""
    root = tmp_path_factory.mktemp("clean")
    with opened(root / "state") as envctl:
        yield ground(envctl, root)


@pytest.fixture
def alone(envctl: Envctl, tmp_path: Path) -> Ground:
    """Servers that are one test's own."""
    return ground(envctl, tmp_path, config=POSTGRES)


def test_what_a_removed_worktree_had_goes_aside_and_comes_back_whole(stage: Ground) -> None:
    place = stage.worktree("feature/whole")
    database, variables = stage.database(place), stage.variables(place)
    with connect(variables["DATABASE_URL"]) as connection:
        connection.execute("INSERT INTO sales (cents) VALUES (4200)")
    _redis(variables).set("greeting", "hello")
    _s3(variables).put_object(variables["S3_BUCKET"], "one", *_body(b"42"))
    stage.remove(place)

    assert "quarantined database" in stage.clean("--branch", "feature/whole").out
    assert database not in stage.databases()
    with pytest.raises(psycopg.OperationalError):
        connect(variables["DATABASE_URL"])
    listed = stage.clean("--list-quarantine").out
    assert database in listed
    assert "git has no worktree" in listed

    stage.envctl("restore", "feature/whole", cwd=stage.clone)
    with connect(variables["DATABASE_URL"]) as connection:
        assert connection.execute("SELECT cents FROM sales").fetchall() == [(4200,)]
    assert _redis(variables).get("greeting") == b"hello"
    assert _s3(variables).get_object(variables["S3_BUCKET"], "one").data == b"42"

    stage.clean()
    assert database in stage.databases(), "what somebody has just restored is not taken away again"


def test_a_deleted_branch_is_gone_and_one_of_a_remote_is_not(stage: Ground) -> None:
    place = stage.worktree("feature/stays")
    git(place, "switch", "-q", "-c", "feature/deleted")
    stage.up(place)
    database = stage.database(place)
    git(place, "switch", "-q", "feature/stays")
    assert stage.plan()[f"database {database}"] == "keep"
    git(stage.clone, "update-ref", "refs/remotes/origin/feature/deleted", "HEAD")
    git(stage.clone, "branch", "-q", "-D", "feature/deleted")
    assert stage.plan()[f"database {database}"] == "keep"
    git(stage.clone, "update-ref", "-d", "refs/remotes/origin/feature/deleted")
    assert stage.plan()[f"database {database}"] == "quarantine"


def test_what_only_looks_gone_is_not_touched(stage: Ground, tmp_path: Path) -> None:
    moved, prunable, rebasing = (stage.worktree(f"feature/{name}") for name in ("moved", "prunable", "rebasing"))
    other = stage.root / "other"
    git(stage.root, "clone", "-q", str(stage.clone), str(other))
    git(other, "switch", "-q", "-c", "feature/other")
    stage.up(other)
    kept = [stage.database(place) for place in (moved, prunable, rebasing, other)]

    git(stage.clone, "worktree", "move", str(moved), str(tmp_path / "moved"))
    gone(prunable)
    (rebasing / "file").write_text("x")
    git(rebasing, "add", ".")
    git(rebasing, "commit", "-qm", "one")
    git(rebasing, "-c", "sequence.editor=sed -i s/pick/edit/", "rebase", "-q", "-i", "HEAD~1")
    gone(other)
    stage.clean()
    assert set(kept) <= stage.databases()
    told = {one["name"]: one for one in stage.clean("--dry-run", "--json").data["actions"]}
    assert [told[one]["verdict"] for one in kept] == ["unexplained", "unexplained", "idle", "unexplained"]
    assert told[kept[3]]["remedy"].startswith("envctl clean --all --branch feature_other_")

    assert stage.clean("--all", "--branch", "feature/other", "--yes").code == 0
    assert kept[3] not in stage.databases()
    assert set(kept[:3]) <= stage.databases()


def test_strangers_with_names_like_ours_are_never_touched(alone: Ground) -> None:
    """Made by hand, by another project, by a newer envctl; names that a careless pattern would take for ours."""
    ours = Owner("till", "dev", "made_up", "/x", "x", "laptop", "2026-01-01T00:00:00+00:00")
    theirs = Owner("till_test", "dev", "a", "/x", "x", "laptop", "2026-01-01T00:00:00+00:00")
    newer = owners.to_text(ours).replace('"envctl":1', '"envctl":2')
    comments = {
        "till_dev_made_up": None,
        "till_test_made_up_gw0": "by hand",
        "till_test_dev_a": owners.to_text(theirs),
        "till_dev_a_gw1": newer,
        "till_dev_b": owners.to_text(ours)[:-9],
        "till_dev_c": owners.to_text(ours),
        "till%dev_a": owners.to_text(ours),
        "till_dev_a\"'; DROP": owners.to_text(ours),
        "till_dev_grün": owners.to_text(ours),
        "till_dev_" + "x" * 54: owners.to_text(ours),
        "tillXdev_a": None,
    }
    for name, comment in comments.items():
        quoted = '"' + name.replace('"', '""') + '"'
        alone.sql(f"CREATE DATABASE {quoted} TEMPLATE template0 STRATEGY file_copy")
        if comment is not None:
            text = comment.replace("'", "''")
            alone.sql(f"COMMENT ON DATABASE {quoted} IS '{text}'")
    alone.clean()
    alone.clean("--all", "--yes", code=1)
    assert set(comments) <= alone.databases()


def test_what_somebody_is_connected_to_stays_until_he_goes(stage: Ground) -> None:
    place = stage.worktree("feature/busy")
    database = stage.database(place)
    with connect(stage.variables(place)["DATABASE_URL"]):
        stage.remove(place)
        assert stage.plan()[f"database {database}"] == "keep"
        stage.clean()
        assert database in stage.databases()
    assert stage.plan()[f"database {database}"] == "quarantine"


def test_what_a_killed_run_left_goes_at_once_and_a_run_at_work_is_let_be(stage: Ground) -> None:
    with _sleeping(stage, "dead") as dead, _sleeping(stage, "live") as live:
        before = {name for name in stage.databases() if name.startswith("till_test_")}
        dead.kill()
        dead.wait()
        assert "dropped" in stage.clean().out
        left = {name for name in stage.databases() if name.startswith("till_test_")}
        assert len(left) == 1
        assert left < before
        assert live.poll() is None
        assert stage.plan()[f"database {left.pop()}"] == "keep"


@pytest.mark.parametrize(("seconds", "looks"), [(0, 2), (3600, 1)])
def test_a_turn_takes_what_its_time_allows_and_the_next_one_looks_again(
    stage: Ground, seconds: float, looks: int
) -> None:
    names = [f"till_test_turns_gw{number}" for number in range(6)]
    for number, name in enumerate(names):
        stage.sql(f"CREATE ROLE {name} LOGIN")
        stage.sql(f"CREATE DATABASE {name} OWNER {name}")
        made = Owner("till", "test", "turns", "/gone", "", socket.gethostname(), "", f"gw{number}", lease="ended")
        for kind in ("ROLE", "DATABASE"):
            stage.sql(f"COMMENT ON {kind} {name} IS '{owners.to_text(made)}'")
    answer = _as(stage, TURNS, str(seconds), "clean", "--branch", "turns")
    assert answer.returncode == 0, answer.stderr
    assert answer.stderr.count("a look") == looks
    assert "failed" not in answer.stdout
    assert not stage.databases() & set(names)
    assert not stage.sql("SELECT rolname FROM pg_roles WHERE rolname LIKE 'till_test_turns%'")


def test_what_goes_aside_in_two_turns_is_told_like_in_one(stage: Ground) -> None:
    stage.remove(stage.worktree("feature/slowly"))
    answer = _as(stage, TURNS, "0", "clean", "--json", "--branch", "feature/slowly")
    assert answer.stderr.count("a look") > 1
    done = json.loads(answer.stdout)["data"]["actions"]
    assert {one["result"] for one in done if one["do"] != "keep"} == {"done"}


def test_nothing_to_do_loads_no_parser_and_no_tables(stage: Ground) -> None:
    stage.clean()
    answer = _as(stage, LOADED, "clean")
    assert answer.stderr.strip() == "0"
    assert "kept" in answer.stdout


def test_looking_starts_no_cleaning_in_the_background(alone: Ground) -> None:
    with _sleeping(alone, "dead") as dead:
        dead.kill()
        dead.wait()
        planned, there = alone.plan(), alone.databases()
        assert "drop" in planned.values()
        alone.envctl("leaks", cwd=alone.clone, code=3)
        assert not (alone.home / "logs" / "recovery.log").exists()
        assert (alone.plan(), alone.databases()) == (planned, there)
        alone.envctl("dev", "status", cwd=alone.clone)
        assert (alone.home / "logs" / "recovery.log").exists(), "other commands start it"


def test_two_cleans_at_once_do_the_work_of_one(stage: Ground) -> None:
    places = [stage.worktree(f"twice/{number}") for number in range(3)]
    databases = {stage.database(place) for place in places}
    for place in places:
        stage.remove(place)
    both = [_beside(stage, "clean", "--json") for _ in range(2)]
    answers = [one.communicate() for one in both]
    assert [one.returncode for one in both] == [0, 0], answers
    assert not databases & stage.databases()


def test_a_clean_that_is_killed_anywhere_is_finished_by_the_next(stage: Ground) -> None:
    place = stage.worktree("feature/killed")
    database = stage.database(place)
    stage.remove(place)
    for number in range(100):
        code = _dying(stage, number)
        assert "failed" not in stage.clean("--branch", "feature/killed").out
        assert database not in stage.databases()
        assert set(stage.plan("--branch", "feature/killed").values()) == {"keep"}
        stage.envctl("restore", "feature/killed", cwd=stage.clone)
        assert database in stage.databases()
        (stage.home / "restored.json").unlink()
        if code == 0:
            break
    assert number > 1
    assert code == 0


def test_a_plan_is_what_is_done(stage: Ground) -> None:
    stage.remove(stage.worktree("feature/planned"))
    planned = stage.plan("--branch", "feature/planned")
    done = stage.clean("--json", "--branch", "feature/planned").data["actions"]
    assert {f"{one['kind']} {one['name']}": one["do"] for one in done} == planned
    assert {one["result"] for one in done if one["do"] != "keep"} == {"done"}


def test_filters_only_ever_make_a_plan_smaller(stage: Ground) -> None:
    stage.remove(stage.worktree("feature/young"))
    assert "quarantine" in stage.plan("--branch", "feature/young").values()
    assert "quarantine" not in stage.plan("--branch", "feature/young", "--older-than", "14d").values()
    assert stage.plan("--branch", "feature/you") == {}
    told = stage.clean("--older-than", "soon", code=2)
    assert "--older-than" in told.err


def test_quarantine_ends_in_its_time_and_not_when_the_clock_jumps(alone: Ground) -> None:
    (alone.clone / "envctl.toml").write_text(POSTGRES + '\n[clean]\nquarantine = "0"\n')
    place = alone.worktree("feature/expiring")
    database = alone.database(place)
    alone.remove(place)
    (alone.envctl.state / "clock.json").unlink(missing_ok=True)
    alone.clean()
    aside = [name for name in alone.databases() if "__q_" in name]
    assert aside
    assert database not in alone.databases()

    clock = alone.envctl.state / "clock.json"
    before = clock.read_text()
    anchor = json.loads(before)
    earlier = datetime.fromisoformat(anchor["wall"]) - timedelta(days=30)
    clock.write_text(json.dumps({**anchor, "wall": earlier.isoformat()}))  # As if the clock had jumped 30 days since.
    assert "expire" not in alone.plan().values()
    clock.write_text(before)
    assert alone.plan()[f"database {aside[0]}"] == "expire"
    assert "dropped" in alone.clean().out
    assert not [name for name in alone.databases() if "__q_" in name]


def test_all_asks_first_and_leaves_what_is_in_use(alone: Ground) -> None:
    idle = alone.database(alone.worktree("feature/idle"))
    assert "--yes" in alone.clean("--all", code=2).err
    told = alone.clean("--all", "--yes", code=1)
    assert "in use      database till " in told.out
    assert "dev down" in told.err
    assert idle not in alone.databases()
    assert "till" in alone.databases()


def test_all_of_servers_that_are_down_is_everything_in_them(alone: Ground) -> None:
    alone.up(alone.clone)
    assert "dev data of every checkout" in alone.clean("--all", code=2).err
    assert "dropped     data " in alone.clean("--all", "--yes").out
    alone.envctl("dev", "up", cwd=alone.clone)
    assert "till" in alone.databases()


def test_a_checkout_that_comes_back_is_told_what_it_had(stage: Ground) -> None:
    place = stage.worktree("feature/back")
    database = stage.database(place)
    with connect(stage.variables(place)["DATABASE_URL"]) as connection:
        connection.execute("INSERT INTO sales (cents) VALUES (4200)")
    stage.remove(place)
    stage.clean("--branch", "feature/back")
    git(stage.clone, "worktree", "add", "-q", str(place), "feature/back")
    told = stage.envctl("dev", "up", cwd=place)
    assert f"the database {database} of before is in quarantine" in told.err
    assert database in stage.databases(), "it has a fresh one meanwhile"
    [restore] = re.findall("envctl restore (till__q_[0-9a-f]+)", told.err)
    stage.envctl("restore", restore, cwd=place)
    for name in ("feature/back", database):  # What made room for it is meant by no name but its own.
        assert "nothing in quarantine" in stage.envctl("restore", name, cwd=place, code=2).err
    with connect(stage.variables(place)["DATABASE_URL"]) as connection:
        assert connection.execute("SELECT cents FROM sales").fetchall() == [(4200,)]
    assert "quarantine" not in stage.envctl("dev", "up", cwd=stage.clone).err


def test_nothing_is_left_on_record_of_a_checkout_with_nothing_left(alone: Ground) -> None:
    (alone.clone / "envctl.toml").write_text(POSTGRES + '\n[clean]\nquarantine = "0"\n')
    place = alone.worktree("feature/forgotten")
    name = alone.names(place)["namespace"]
    alone.remove(place)
    ports = alone.envctl.state / "ports.json"
    registration = alone.home / "workspaces" / f"{name}.json"
    assert f"till/{name}/api" in ports.read_text()
    for _ in range(3):  # aside, gone, forgotten
        assert registration.exists()
        alone.clean()
    assert not registration.exists()
    assert f"till/{name}/api" not in ports.read_text()
    assert alone.clean("--dry-run", "--json").data["unseen"] == []


def test_servers_that_are_down_are_told_and_not_started(alone: Ground) -> None:
    alone.envctl("dev", "down", cwd=alone.clone)
    found = alone.clean("--json").data
    assert [one["place"] for one in found["unseen"]] == ["dev-embedded postgres"]
    assert "dev up" in found["unseen"][0]["why"]
    assert not alone.envctl("dev", "status", "--json", cwd=alone.clone, code=None).data["healthy"]


def test_what_is_in_quarantine_of_servers_that_are_down_cannot_be_told(alone: Ground) -> None:
    alone.remove(alone.worktree("feature/down"))
    alone.clean("--branch", "feature/down")
    alone.envctl("dev", "down", cwd=alone.clone)
    for words in (("clean", "--list-quarantine"), ("restore", "feature/down"), ("restore", "feature/never")):
        told = alone.envctl(*words, cwd=alone.clone, code=4)
        assert "cannot be told" in told.err
        assert "hint: envctl dev up" in told.err
        assert "nothing is" not in told.out + told.err
    assert "envctl dev up" in alone.envctl("dev", "psql", "till_dev_any", cwd=alone.clone, code=4).err
    alone.envctl("dev", "up", cwd=alone.clone)
    assert "feature_down" in alone.clean("--list-quarantine").out
    alone.envctl("restore", "feature/never", cwd=alone.clone, code=2)
    assert "restored    database" in alone.envctl("restore", "feature/down", cwd=alone.clone).out


def test_what_was_restored_of_a_gone_branch_can_be_looked_into(stage: Ground) -> None:
    place = stage.worktree("feature/star")
    database = stage.database(place)
    with connect(stage.variables(place)["DATABASE_URL"]) as connection:
        connection.execute("INSERT INTO sales (cents) VALUES (4200)")
    stage.remove(place)
    stage.clean("--branch", "feature/star")
    query = ("--", "-Atc", "SELECT cents, current_user FROM sales")
    refused = stage.envctl("dev", "psql", database, *query, cwd=stage.clone, code=2).err
    [restore] = re.findall("hint: envctl (restore till__q_[0-9a-f]+)", refused)

    told = stage.envctl(*restore.split(), cwd=stage.clone).err
    [step] = re.findall("envctl (dev psql .*)", told)
    seen = stage.envctl(*step.split(), *query, cwd=stage.clone).out
    assert seen == f"4200|{database}\n", "the login is its own, which enters nothing else"


def test_psql_enters_no_database_that_is_not_a_checkouts_of_this_project(stage: Ground) -> None:
    theirs = Owner("till_dev", "dev", "a", "/x", "x", "laptop", "2026-01-01T00:00:00+00:00")
    run = Owner("till", "test", "a", "/x", "x", "laptop", "2026-01-01T00:00:00+00:00", lease="run")
    comments = {"till_dev_by_hand": "", "till_dev_dev_a": owners.to_text(theirs), "till_test_a": owners.to_text(run)}
    for name, comment in comments.items():
        stage.sql(f"CREATE DATABASE {name} TEMPLATE template0 STRATEGY file_copy")
        stage.sql(f"COMMENT ON DATABASE {name} IS '{comment}'")
    try:
        for name in (*comments, "postgres", "till%"):
            told = stage.envctl("dev", "psql", name, "--", "-Atc", "SELECT 1", cwd=stage.clone, code=2)
            assert (told.out, "no checkout has one" in told.err) == ("", True)
    finally:
        for name in comments:
            stage.sql(f"DROP DATABASE {name}")


def test_what_is_not_in_quarantine_is_not_restored(stage: Ground) -> None:
    refused = stage.envctl("restore", "feature/never", cwd=stage.clone, code=2)
    assert "--list-quarantine" in refused.err


def test_cleaning_never_disturbs_runs_that_begin(stage: Ground) -> None:
    runs = [_beside(stage, "run", "--", "psql", "--version") for _ in range(4)]
    cleans = [_beside(stage, "clean") for _ in range(4)]
    for one in (*runs, *cleans):
        said = one.communicate()
        assert one.returncode == 0, said


def _dying(stage: Ground, at: int) -> int:
    """Clean until just before effect number `at`; how that ended."""
    done = _as(stage, DYING, str(at), "clean")
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode


def _as(stage: Ground, script: str, *words: str) -> subprocess.CompletedProcess[str]:
    """A command line of such an envctl."""
    argv, env = [sys.executable, "-c", script, *words], environment(stage.envctl)
    return subprocess.run(argv, cwd=stage.clone, env=env, capture_output=True, text=True, check=False)


def _beside(stage: Ground, *words: str) -> subprocess.Popen[bytes]:
    argv = [str(BIN / "envctl"), *words]
    pipe = subprocess.PIPE
    return subprocess.Popen(argv, cwd=stage.clone, env=stage.envctl.environment, stdout=pipe, stderr=pipe)


@contextmanager
def _sleeping(stage: Ground, name: str) -> Iterator[subprocess.Popen[bytes]]:
    """A run at work: its command has begun, and ends with the test."""
    ready, log = stage.root / f"{name}.ready", stage.root / f"{name}.log"
    command = ("run", "--", "sh", "-c", f"touch {ready}; exec sleep 600")
    with stage.envctl.running(*command, cwd=stage.clone, log=log) as process:
        while not ready.exists():
            assert process.poll() is None, log.read_text()
            time.sleep(0.02)
        yield process


def _redis(variables: Mapping[str, str]) -> Any:
    import redis

    return redis.Redis.from_url(variables["REDIS_URL"])


def _s3(variables: Mapping[str, str]) -> Any:
    from minio import Minio

    host = variables["AWS_ENDPOINT_URL_S3"].removeprefix("http://")
    key, secret = variables["AWS_ACCESS_KEY_ID"], variables["AWS_SECRET_ACCESS_KEY"]
    return Minio(host, access_key=key, secret_key=secret, secure=False, region=variables["AWS_REGION"])


def _body(content: bytes) -> tuple[io.BytesIO, int]:
    return io.BytesIO(content), len(content)
