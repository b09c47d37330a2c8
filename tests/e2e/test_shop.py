"""The example under envctl, from a developer's seat: real servers, real processes, the real command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from checkouts import Envctl, copy, opened, repository, worktree

pytestmark = pytest.mark.embedded
ADA = "INSERT INTO customers (email, name) VALUES ('ada@example.org', 'Ada')"
COUNT = "SELECT count(*) FROM customers"


@dataclass(frozen=True)
class Team:
    """Two checkouts of one repository, up on the same servers."""

    envctl: Envctl
    one: Path
    two: Path
    mine: Mapping[str, str]
    theirs: Mapping[str, str]
    """The variables of the first and of the second checkout."""
    folder: Path


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    folder = tmp_path_factory.mktemp("team")
    one = repository(folder / "shop")
    two = worktree(one, "feature/wishlist", folder / "wishlist")
    with opened(folder / "state") as envctl:
        for checkout in (one, two):
            envctl("dev", "up", cwd=checkout)
        yield Team(envctl, one, two, variables(envctl, one), variables(envctl, two), folder)


def test_two_checkouts_share_the_servers_and_no_resource(team: Team) -> None:
    first, second = (team.envctl("dev", "up", "--json", cwd=checkout).data for checkout in (team.one, team.two))
    assert first["servers"] == second["servers"]
    assert set(first["servers"]) == {"postgres", "s3", "redis"}
    mine, theirs = ({(one["service"], one["name"]) for one in data["resources"]} for data in (first, second))
    assert mine
    assert not mine & theirs
    assert first["processes"]["api"] != second["processes"]["api"]


def test_rows_of_one_checkout_are_not_in_the_other(team: Team) -> None:
    sql(team.theirs, "DELETE FROM customers")
    sql(team.mine, ADA)
    assert sql(team.mine, COUNT) != "0"
    assert sql(team.theirs, COUNT) == "0"
    sql(team.mine, "DELETE FROM customers")


def test_the_database_of_one_checkout_refuses_the_login_of_the_other(team: Team) -> None:
    import psycopg

    mine, theirs = team.mine["DATABASE_URL"], team.theirs["DATABASE_URL"]
    foreign = theirs.replace("+asyncpg", "").rpartition("/")[0] + "/" + mine.rpartition("/")[2]
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(foreign)


def test_the_key_of_one_checkout_opens_no_bucket_of_the_other(team: Team) -> None:
    from minio.error import S3Error

    mine, theirs = team.mine, team.theirs
    assert mine["S3_BUCKET"] != theirs["S3_BUCKET"]
    assert list(storage(mine).list_objects(mine["S3_BUCKET"])) is not None
    with pytest.raises(S3Error, match=r"Access ?Denied"):
        list(storage(mine).list_objects(theirs["S3_BUCKET"]))


def test_keys_of_one_checkout_are_not_in_the_other(team: Team) -> None:
    import redis

    with redis.Redis.from_url(team.mine["REDIS_URL"]) as here, redis.Redis.from_url(team.theirs["REDIS_URL"]) as there:
        here.set("basket", "full")
        assert (here.get("basket"), there.get("basket")) == (b"full", None)
        here.delete("basket")


def test_up_again_changes_nothing(team: Team) -> None:
    sql(team.mine, ADA)
    again = team.envctl("dev", "up", "--json", cwd=team.one).data
    assert again["migrated"] == []
    assert sql(team.mine, COUNT) == "1"
    sql(team.mine, "DELETE FROM customers")


def test_the_shops_own_tests_pass_under_dev_run(team: Team) -> None:
    done = team.envctl("dev", "run", "--", sys.executable, "-m", "pytest", "-q", cwd=team.one)
    assert " passed" in done.out
    assert sql(team.mine, COUNT) == "0"


def test_the_exit_code_of_a_command_is_passed_on(team: Team) -> None:
    team.envctl("dev", "run", "--", "sh", "-c", "exit 37", cwd=team.one, code=37)


def test_ctrl_c_ends_the_application_with_its_children_and_leaves_the_servers(team: Team) -> None:
    url = f"http://127.0.0.1:{team.envctl('dev', 'up', '--json', cwd=team.one).data['processes']['api']}"
    with team.envctl.running("dev", "run", cwd=team.one, log=team.folder / "run.log") as running:
        assert healthy(url, running, team.folder / "run.log")["status"] == "ok"
        children = psutil.Process(running.pid).children(recursive=True)
        assert children
        running.send_signal(signal.SIGINT)
        assert running.wait() == 130
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
    status = team.envctl("dev", "status", "--json", cwd=team.one).data
    assert {server["service"]: server["state"] for server in status["servers"]} == {
        "postgres": "running",
        "s3": "running",
        "redis": "running",
    }


def test_reset_empties_this_checkout_and_no_other(team: Team) -> None:
    for given in (team.mine, team.theirs):
        sql(given, "DELETE FROM customers")
        sql(given, ADA)
        put(given, "statement.csv")
    team.envctl("dev", "reset", "--yes", cwd=team.one)
    assert (sql(team.mine, COUNT), sql(team.theirs, COUNT)) == ("0", "1")
    assert listed(team.mine) == []
    assert listed(team.theirs) == ["statement.csv"]
    team.envctl("dev", "reset", "--yes", cwd=team.two)


def test_reset_without_yes_and_without_a_terminal_deletes_nothing(team: Team) -> None:
    sql(team.theirs, ADA)
    refused = team.envctl("dev", "reset", cwd=team.two, code=2)
    assert "--yes" in refused.err
    assert sql(team.theirs, COUNT) == "1"
    sql(team.theirs, "DELETE FROM customers")


def test_env_prints_what_a_shell_can_eval(team: Team) -> None:
    script = 'eval "$(envctl env)" && printf %s "$DATABASE_URL"'
    shell = subprocess.run(
        ["sh", "-c", script], cwd=team.one, env=team.envctl.environment, capture_output=True, text=True, check=True
    )
    assert shell.stdout == team.mine["DATABASE_URL"]
    assert shell.stdout.startswith("postgresql+asyncpg://")


def test_a_new_migration_is_run_by_the_next_up(team: Team) -> None:
    checkout = worktree(team.one, "feature/vouchers", team.folder / "vouchers")
    assert team.envctl("dev", "up", "--json", cwd=checkout).data["migrated"] == ["postgres"]
    revision(checkout, 'op.execute("CREATE TABLE vouchers (code text PRIMARY KEY)")')
    assert team.envctl("dev", "up", "--json", cwd=checkout).data["migrated"] == ["postgres"]
    assert sql(variables(team.envctl, checkout), "SELECT count(*) FROM vouchers") == "0"


def test_a_failing_migration_shows_why_and_the_repaired_one_runs(team: Team) -> None:
    checkout = worktree(team.one, "feature/broken", team.folder / "broken")
    revision(checkout, 'op.execute("CREATE TABLE vouchers (code nonsense)")')
    failed = team.envctl("dev", "up", cwd=checkout, code=1)
    assert 'type "nonsense" does not exist' in failed.err
    again = team.envctl("dev", "up", "--json", cwd=checkout, code=1).document
    assert again["status"] == "error"
    revision(checkout, 'op.execute("CREATE TABLE vouchers (code text)")')
    assert team.envctl("dev", "up", "--json", cwd=checkout).data["migrated"] == ["postgres"]


@pytest.mark.parametrize("name", ["with spaces", 'it\'s "quoted"', "ünï-çødé 🛒", "$HOME;`true`", "x" * 200])
def test_any_path_may_hold_a_checkout(team: Team, name: str) -> None:
    checkout = repository(team.folder / name)
    ready = team.envctl("dev", "up", "--json", cwd=checkout).data
    assert ready["migrated"] == ["postgres"]
    done = team.envctl("dev", "run", "--", sys.executable, "-c", "import shop; print(shop.__file__)", cwd=checkout)
    assert Path(done.out.strip()) == checkout / "shop" / "__init__.py"


def test_a_folder_without_git_has_a_name_and_a_warning(team: Team) -> None:
    checkout = copy(team.folder / "unpacked")
    named = team.envctl("ns", cwd=checkout)
    assert named.out.startswith("default_")
    assert "warning" in named.err
    ready = team.envctl("dev", "up", "--json", cwd=checkout).data
    assert ready["namespace"] == named.out.strip()


def test_without_git_installed_a_checkout_keeps_its_name(team: Team, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    without = team.envctl("ns", cwd=team.one, PATH=str(tmp_path / "bin")).out
    assert without == team.envctl("ns", cwd=team.one).out


def test_a_subfolder_belongs_to_its_checkout(team: Team) -> None:
    below = team.envctl("ns", cwd=team.one / "shop" / "routes").out
    assert below == team.envctl("ns", cwd=team.one).out


def test_down_of_one_checkout_leaves_the_servers_to_the_other(team: Team) -> None:
    team.envctl("dev", "down", cwd=team.two)
    assert team.envctl("dev", "status", "--json", cwd=team.one).data["healthy"]
    team.envctl("dev", "up", cwd=team.two)


def test_down_all_leaves_no_process_and_the_data(envctl: Envctl, shop: Path) -> None:
    envctl("dev", "up", cwd=shop)
    given = variables(envctl, shop)
    sql(given, ADA)
    put(given, "statement.csv")
    envctl("dev", "down", "--all", "--yes", cwd=shop)
    assert envctl.processes() == []
    back = envctl("dev", "up", "--json", cwd=shop).data
    assert back["migrated"] == []
    given = variables(envctl, shop)
    assert sql(given, COUNT) == "1"
    assert listed(given) == ["statement.csv"]


def test_killed_servers_are_started_again_with_their_data(envctl: Envctl, shop: Path) -> None:
    envctl("dev", "up", cwd=shop)
    sql(variables(envctl, shop), ADA)
    status = envctl("dev", "status", "--json", cwd=shop).data
    for server in status["servers"]:
        os.kill(server["pid"], signal.SIGKILL)
    envctl("dev", "up", cwd=shop)
    assert sql(variables(envctl, shop), COUNT) == "1"


def test_nothing_is_written_into_the_checkout(envctl: Envctl, shop: Path) -> None:
    before = files(shop)
    envctl("dev", "up", cwd=shop, PYTHONDONTWRITEBYTECODE="1")
    assert files(shop) == before


def sql(given: Mapping[str, str], statement: str) -> str:
    """The first value that one statement gives, in the database of those variables."""
    import psycopg

    with psycopg.connect(given["DATABASE_URL"].replace("+asyncpg", "")) as connection:
        cursor = connection.execute(statement.encode())
        return str(cursor.fetchone()[0]) if cursor.description else ""  # type: ignore[index]


def variables(envctl: Envctl, checkout: Path) -> dict[str, str]:
    found: dict[str, str] = envctl("env", "--json", cwd=checkout).data["variables"]
    return found


def storage(given: Mapping[str, str]) -> Any:
    from minio import Minio

    return Minio(
        given["AWS_ENDPOINT_URL_S3"].removeprefix("http://"),
        access_key=given["AWS_ACCESS_KEY_ID"],
        secret_key=given["AWS_SECRET_ACCESS_KEY"],
        region="us-east-1",
        secure=False,
    )


def put(given: Mapping[str, str], key: str) -> None:
    import io

    storage(given).put_object(given["S3_BUCKET"], key, io.BytesIO(b"x"), 1)


def listed(given: Mapping[str, str]) -> list[str]:
    return [found.object_name for found in storage(given).list_objects(given["S3_BUCKET"], recursive=True)]


def revision(checkout: Path, body: str) -> None:
    """One more migration, as the newest."""
    newest = checkout / "migrations" / "versions" / "0020_vouchers.py"
    header = 'from alembic import op\n\nrevision = "0020"\ndown_revision = "0019"\n'
    newest.write_text(f"{header}\n\ndef upgrade() -> None:\n    {body}\n")


def healthy(url: str, running: subprocess.Popen[bytes], log: Path) -> Any:
    """The first healthy answer; fails with the application's words if it ends before that."""
    while running.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=10) as response:
                return json.load(response)
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.05)
    pytest.fail(f"the application ended with {running.returncode}\n{log.read_text()}")


def files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if ".git" not in path.parts}
