"""Many at once, and servers that go away, on a project that is quick to bring up."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from checkouts import Envctl, git

pytestmark = pytest.mark.embedded
CONFIG = """
project = "crowd"
idle = "0"
[services.postgres]
sql = ["db/*.sql"]
[services.redis]
[dev.processes.clock]
command = "while :; do echo tick; sleep 0.1; done"
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Callable[[str], Path]:
    def make(name: str) -> Path:
        folder = tmp_path / name
        (folder / "db").mkdir(parents=True)
        (folder / "db" / "1.sql").write_text("CREATE TABLE note (text text);")
        (folder / "envctl.toml").write_text(CONFIG)
        git(folder, "init", "-qb", name)
        return folder

    return make


def test_twenty_checkouts_at_once_get_one_server_set_and_twenty_sandboxes(
    envctl: Envctl, checkout: Callable[[str], Path]
) -> None:
    folders = [checkout(f"feature-{number}") for number in range(20)]
    with ThreadPoolExecutor(20) as crowd:
        answers = list(crowd.map(lambda folder: envctl("dev", "up", "--json", cwd=folder).data, folders))
    assert len({str(answer["servers"]) for answer in answers}) == 1
    databases = [one["name"] for answer in answers for one in answer["resources"] if one["kind"] == "database"]
    assert len(set(databases)) == 20
    for folder in folders:
        found = envctl("dev", "psql", "--", "-Atc", "SELECT current_database(), count(*) FROM note", cwd=folder).out
        assert found.partition("|")[0] in databases
        assert found.endswith("|0\n")


def test_twenty_in_one_checkout_migrate_it_once(envctl: Envctl, checkout: Callable[[str], Path]) -> None:
    folder = checkout("feature")
    (folder / "db" / "2.sql").write_text("INSERT INTO note VALUES ('once');")
    with ThreadPoolExecutor(20) as crowd:
        answers = list(crowd.map(lambda _: envctl("dev", "up", "--json", cwd=folder).data, range(20)))
    assert [answer["migrated"] for answer in answers if answer["migrated"]] == [["postgres"]]
    assert envctl("dev", "psql", "--", "-Atc", "SELECT count(*) FROM note", cwd=folder).out == "1\n"


def test_a_server_that_dies_under_a_running_command_is_told_and_its_data_are_kept(
    envctl: Envctl, checkout: Callable[[str], Path], tmp_path: Path
) -> None:
    folder, log = checkout("feature"), tmp_path / "log"
    envctl("dev", "up", cwd=folder)
    envctl("dev", "psql", "--", "-qc", "INSERT INTO note VALUES ('kept')", cwd=folder)
    with envctl.running("dev", "run", cwd=folder, log=log) as running:
        wait_for(log, "tick", running)
        servers = envctl("dev", "status", "--json", cwd=folder).data["servers"]
        os.kill(next(one["pid"] for one in servers if one["service"] == "postgres"), signal.SIGKILL)
        wait_for(log, "postgres died", running)
        envctl("dev", "up", cwd=folder)
        assert running.poll() is None, "what the person runs goes on"
    assert envctl("dev", "psql", "--", "-Atc", "SELECT text FROM note", cwd=folder).out == "kept\n"


def test_other_variables_of_the_person_reach_no_server_of_ours(envctl: Envctl, checkout: Callable[[str], Path]) -> None:
    """PG*, AWS_* and the like may point to production: envctl must not follow them, nor pass them to its servers."""
    folder = checkout("feature")
    theirs = {"PGHOST": "203.0.113.1", "PGUSER": "prod", "PGPASSWORD": "p", "PGSERVICE": "prod", "PGOPTIONS": "-c x=y"}
    envctl("dev", "up", cwd=folder, code=0, **theirs)
    found = envctl("dev", "psql", "--", "-Atc", "SELECT inet_server_addr()", cwd=folder, code=0, **theirs).out
    assert found == "127.0.0.1\n"


def test_the_last_one_out_leaves_nothing_running_where_idle_is_zero(
    envctl: Envctl, checkout: Callable[[str], Path]
) -> None:
    folder = checkout("feature")
    assert "postgresql://" in envctl("dev", "run", "--", "printenv", "DATABASE_URL", cwd=folder).out
    assert {one["state"] for one in envctl("dev", "status", "--json", cwd=folder, code=3).data["servers"]} == {
        "stopped"
    }


def wait_for(log: Path, text: str, running: subprocess.Popen[bytes]) -> None:
    """Until the log has it; a process that ends first will never write it."""
    while text not in log.read_text():
        assert running.poll() is None, log.read_text()
        time.sleep(0.05)


def test_a_namespace_of_another_checkout_is_neither_read_nor_migrated_nor_given_up(
    envctl: Envctl, checkout: Callable[[str], Path]
) -> None:
    mine, theirs = checkout("mine"), checkout("theirs")
    (theirs / "db" / "1.sql").write_text("DROP TABLE IF EXISTS note; CREATE TABLE theirs ();")
    shared = {"BRANCH_NAME": "shared"}
    envctl("dev", "up", cwd=mine, code=0, **shared)
    for words in (("dev", "up"), ("env",), ("dev", "psql", "--", "-c", "SELECT 1"), ("dev", "reset", "--yes")):
        assert "belongs to another checkout" in envctl(*words, cwd=theirs, code=2, **shared).err
    envctl("dev", "down", cwd=theirs, code=0, **shared)
    assert envctl("dev", "status", "--json", cwd=mine, code=0, **shared).data["healthy"]
    assert envctl("dev", "psql", "--", "-Atc", "SELECT count(*) FROM note", cwd=mine, code=0, **shared).out == "0\n"


def test_reset_touches_nothing_of_a_checkout_that_is_not_there(
    envctl: Envctl, checkout: Callable[[str], Path], tmp_path: Path
) -> None:
    mine, theirs, moved = checkout("mine"), checkout("theirs"), tmp_path / "moved"
    envctl("dev", "up", cwd=mine)
    envctl("dev", "up", cwd=theirs)
    name = ("--namespace", envctl("ns", "--json", cwd=mine).data["namespace"])
    envctl("dev", "psql", *name, "--", "-c", "INSERT INTO note VALUES ('precious')", cwd=mine)
    mine.rename(moved)
    for place in (theirs, theirs, moved):
        refused = envctl("dev", "reset", "--yes", *name, cwd=place, code=2).err
        assert "of another checkout" in refused
        assert "envctl dev up" in refused
    envctl("dev", "up", *name, cwd=moved)
    count = ("dev", "psql", *name, "--", "-Atc", "SELECT count(*) FROM note")
    assert envctl(*count, cwd=moved).out == "1\n"
    envctl("dev", "reset", "--yes", *name, cwd=moved)
    assert envctl(*count, cwd=moved).out == "0\n"


def test_reset_leaves_databases_that_the_application_made_for_itself(
    envctl: Envctl, checkout: Callable[[str], Path]
) -> None:
    folder = checkout("feature")
    envctl("dev", "up", cwd=folder)
    envctl("dev", "psql", "--", "-qc", "CREATE DATABASE analytics", cwd=folder)
    envctl("dev", "psql", "--", "-qc", "INSERT INTO note VALUES ('gone')", cwd=folder)
    envctl("dev", "reset", "--yes", cwd=folder)
    found = "SELECT (SELECT count(*) FROM note), count(*) FROM pg_database WHERE datname = 'analytics'"
    assert envctl("dev", "psql", "--", "-Atc", found, cwd=folder).out == "0|1\n"


def test_many_resets_and_ups_at_once_end_in_a_migrated_database(
    envctl: Envctl, checkout: Callable[[str], Path]
) -> None:
    folder = checkout("feature")
    envctl("dev", "up", cwd=folder)
    orders = [("dev", "reset", "--yes"), ("dev", "up")] * 4
    with ThreadPoolExecutor(len(orders)) as crowd:
        list(crowd.map(lambda words: envctl(*words, cwd=folder, code=None), orders))
    envctl("dev", "up", cwd=folder)
    assert envctl("dev", "psql", "--", "-Atc", "SELECT count(*) FROM note", cwd=folder).out == "0\n"


def test_sql_files_run_once_each_and_again_when_they_change(envctl: Envctl, checkout: Callable[[str], Path]) -> None:
    folder = checkout("feature")
    envctl("dev", "up", cwd=folder)
    (folder / "db" / "2.sql").write_text("CREATE OR REPLACE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1';")
    said = envctl("dev", "up", cwd=folder).err
    assert "2.sql" in said
    assert "1.sql" not in said
    (folder / "db" / "2.sql").write_text("CREATE OR REPLACE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 11';")
    envctl("dev", "up", cwd=folder)
    assert envctl("dev", "psql", "--", "-Atc", "SELECT one()", cwd=folder).out == "11\n"


def test_a_failing_migration_keeps_nobody_out_of_the_database(envctl: Envctl, checkout: Callable[[str], Path]) -> None:
    folder = checkout("feature")
    envctl("dev", "up", cwd=folder)
    (folder / "db" / "2.sql").write_text("SELECT nonsense;")
    assert "2.sql" in envctl("dev", "up", cwd=folder, code=1).err
    assert "DATABASE_URL" in envctl("env", cwd=folder).out
    assert envctl("dev", "psql", "--", "-Atc", "SELECT count(*) FROM note", cwd=folder).out == "0\n"


def test_a_command_beside_a_process_waits_until_that_is_ready(envctl: Envctl, checkout: Callable[[str], Path]) -> None:
    folder = checkout("feature")
    with (folder / "envctl.toml").open("a") as file:
        file.write("[dev.processes.web]\nhealth = '/'\n")
        file.write("command = 'sleep 1; exec python3 -m http.server --bind 127.0.0.1 {port}'\n")
    port = envctl("dev", "up", "--json", cwd=folder).data["processes"]["web"]
    ask = f"import urllib.request; urllib.request.urlopen('http://127.0.0.1:{port}/'); raise SystemExit(7)"
    envctl("dev", "run", "web", "--", "python3", "-c", ask, cwd=folder, code=7)
    envctl("dev", "run", "web", "--", "false", cwd=folder, code=1)


def test_a_pin_does_not_outlive_its_branch_or_its_checkout(envctl: Envctl, checkout: Callable[[str], Path]) -> None:
    one, two = checkout("one"), checkout("two")
    envctl("dev", "up", cwd=one)
    envctl("dev", "up", cwd=two)
    git(one, "checkout", "-q", "-b", "renamed")
    assert "stay for" in envctl("dev", "down", cwd=one).out
    two.rename(two.with_name("elsewhere"))
    assert "stopped" in envctl("dev", "down", cwd=one).out
