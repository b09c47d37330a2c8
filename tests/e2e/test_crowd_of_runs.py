"""Many runs at once on the same servers: all green, each on what is its own, and nothing of them left."""

from __future__ import annotations

import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
from checkouts import Envctl, git
from inside import addresses, everything, files, sql, started
from leavings import settled
from till import till

pytestmark = pytest.mark.embedded
CHECKOUTS, WORKERS = 8, 4
CONFIG = """
project = "till"
engine = "embedded"
{idle}
[services.postgres]
migrate = {{ sql = ["db/*.sql"] }}
{settings}
[services.s3]
buckets = ["receipts"]
[services.redis]

[test]
command = "python -m pytest -q"
strict = true
"""
TESTS = """
    import io
    import os

    import psycopg
    import pytest
    import redis

    CHECKOUT = os.environ["TEST_CHECKOUT"]
    ME = f"{CHECKOUT} {os.environ['PYTEST_XDIST_WORKER']}"


    @pytest.mark.parametrize("number", range(16))
    def test_nobody_else_is_here(number):
        with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
            connection.execute("INSERT INTO sales (cents, who) VALUES (%s, %s)", (number, ME))
            assert connection.execute("SELECT DISTINCT who FROM sales").fetchall() == [(ME,)]
        with redis.Redis.from_url(os.environ["REDIS_URL"], decode_responses=True) as client:
            client.rpush("who", ME)
            assert set(client.lrange("who", 0, -1)) == {ME}


    def test_the_bucket_is_ones_own():
        from minio import Minio

        bucket = os.environ["S3_BUCKET"]
        client = Minio(
            os.environ["AWS_ENDPOINT_URL_S3"].removeprefix("http://"),
            os.environ["AWS_ACCESS_KEY_ID"],
            os.environ["AWS_SECRET_ACCESS_KEY"],
            secure=False,
            region="us-east-1",
        )
        assert list(client.list_objects(bucket)) == []
        client.put_object(bucket, ME.replace(" ", "/"), io.BytesIO(b"paid"), 4)
"""
TABLE = "CREATE TABLE sales (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, cents int NOT NULL, who text);"
GREEDY = """
    import os, time
    from contextlib import ExitStack

    import psycopg
    import pytest


    @pytest.mark.parametrize("number", range(24))
    def test_as_many_connections_as_a_worker_may_have(number):
        with ExitStack() as stack:
            for _ in range(5):
                stack.enter_context(psycopg.connect(os.environ["DATABASE_URL"])).execute("SELECT * FROM sales")
"""
FEW = '[services.postgres.settings]\nmax_connections = "60"'


def checkouts(folder: Path, count: int, *, tests: str, idle: str = "", settings: str = "") -> list[Path]:
    """So many worktrees of one repository."""
    config = CONFIG.format(idle=idle, settings=settings)
    first = till(folder / "till", config=config, tests=tests, **{"db/1_sales.sql": TABLE})
    others = [folder / f"till {number}" for number in range(2, count + 1)]
    for place in others:
        git(first, "worktree", "add", "-q", "-b", f"feature/{place.name[-1]}", str(place))
    return [first, *others]


def finished(runs: list[subprocess.Popen[str]]) -> list[tuple[int, str, str]]:
    """Wait for all of them: exit code, stdout and stderr."""
    with ExitStack() as stack:
        for run in runs:
            stack.callback(run.kill)
        with ThreadPoolExecutor(len(runs)) as crowd:
            said = list(crowd.map(lambda run: run.communicate(), runs))
    return [(run.returncode, *texts) for run, texts in zip(runs, said, strict=True)]


def test_eight_checkouts_with_four_workers_each_at_once_are_green_and_leave_nothing(
    envctl: Envctl, tmp_path: Path
) -> None:
    """From no server at all, on a server with the connections that it has by default."""
    places = checkouts(tmp_path, CHECKOUTS, tests=TESTS)
    words = ("--wait", "600", "test", "--json", "--", "-n", str(WORKERS))
    runs = [started(envctl, *words, cwd=place, TEST_CHECKOUT=place.name) for place in places]
    for code, out, err in finished(runs):
        assert code == 0, err
        assert "17 passed" in err
        assert len(json.loads(out)["data"]["workers"]) <= WORKERS
    settled(envctl, places[0])
    assert len(list(addresses(envctl, "postgres"))) == 1
    assert everything(envctl) == set()
    assert not [one for one in files(envctl) if "/runs/" in one and not one.endswith(".making")]
    assert not [one for one in files(envctl) if "/leases/" in one or "/bookings/" in one]
    envctl("dev", "down", "--all", "--yes", cwd=places[0])
    _, alive = psutil.wait_procs(envctl.processes(), timeout=30)  # The watcher sees for itself that it is over.
    assert not alive


def test_suites_for_more_connections_than_there_are_take_their_turns(envctl: Envctl, tmp_path: Path) -> None:
    """Each asks for eight workers with five connections, and has them all open at once."""
    places = checkouts(tmp_path, 3, tests=GREEDY, settings=FEW)
    runs = [started(envctl, "--wait", "600", "test", "--json", "--", "-n", "8", cwd=place) for place in places]
    found = finished(runs)
    for code, _, err in found:
        assert code == 0, err
        assert "24 passed" in err
    workers = [len(json.loads(out)["data"]["workers"]) for _, out, _ in found]
    assert max(workers) == 8, "whoever comes first gets all that he asks for"
    assert [sql(one, "SHOW max_connections") for one in addresses(envctl, "postgres")] == [[("60",)]]
    settled(envctl, places[0])
    assert everything(envctl) == set()


def test_where_idle_is_zero_the_last_run_of_a_crowd_takes_the_servers_with_it(envctl: Envctl, tmp_path: Path) -> None:
    places = checkouts(tmp_path, 3, tests=TESTS, idle='idle = "0"')
    runs = [started(envctl, "test", "--", "-n", "2", cwd=place, TEST_CHECKOUT=place.name) for place in places]
    for code, _, err in finished(runs):
        assert code == 0, err
    settled(envctl, places[0])
    assert not list(addresses(envctl, "postgres"))
