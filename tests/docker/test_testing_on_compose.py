"""The example's suite under `envctl test` on the compose engine: servers shared with `dev`, or the tests' own."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from envctl import leases

pytestmark = pytest.mark.docker
EXAMPLE = Path(__file__).parents[2] / "examples" / "shop"
LEFT = r"""
    SELECT datname FROM pg_database WHERE datname !~ '__[tp]_' AND datname NOT IN ('postgres', 'template0', 'template1')
"""
Run = Callable[..., Any]


@pytest.fixture
def name() -> str:
    return f"shop{secrets.token_hex(3)}"


@pytest.fixture
def shop(tmp_path: Path, name: str, client: Any) -> Iterator[Path]:
    """The example, as a project of this test's own; of its containers, networks and volumes nothing stays."""
    target = tmp_path / "shop"
    shutil.copytree(EXAMPLE, target, ignore=shutil.ignore_patterns("__pycache__", ".*_cache"))
    config = target / "envctl.toml"
    config.write_text(config.read_text().replace('project = "shop"', f'project = "{name}"'))
    subprocess.run(["git", "init", "-qb", "main", target], check=True)
    yield target
    for container in client.containers.list(all=True):
        if name in container.name:
            container.remove(force=True, v=True)
    for kind in (client.networks, client.volumes):
        for one in kind.list():
            if name in one.name:
                one.remove()


@pytest.fixture
def envctl(tmp_path: Path, shop: Path) -> Iterator[Run]:
    """The console script on the compose engine; it prints one document."""

    def run(*words: str) -> Any:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("ENVCTL_", "PYTEST_", "AWS_"))}
        env = {**kept, "ENVCTL_STATE_DIR": str(tmp_path / "state"), "ENVCTL_ENGINE": "compose"}
        env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
        argv = [str(Path(sys.executable).with_name("envctl")), "--json", *words]
        done = subprocess.run(argv, cwd=shop, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)["data"] | {"said": done.stderr}

    yield run
    run("dev", "down", "--all", "--yes")


def home(tmp_path: Path, name: str, purpose: str) -> Path:
    return tmp_path / "state" / "projects" / name / f"{purpose}-compose"


def databases(place: Path) -> set[str]:
    """What the server itself has, but for templates and the copies that are ready for the next run."""
    running = leases.record(place)
    assert running is not None
    one = running.servers["postgres"].address
    with psycopg.connect(
        host=one.host, port=one.port, user=one.user, password=one.password, dbname="postgres"
    ) as connection:
        return {str(row[0]) for row in connection.execute(LEFT)}


def buckets(place: Path) -> set[str]:
    from envctl.services.s3.wire import connected

    running = leases.record(place)
    assert running is not None
    with connected(running.servers["s3"].address) as storage:
        return {one.name for one in storage.list_buckets()}


def numbers(place: Path) -> set[str]:
    from envctl.services.redis.wire import connected

    running = leases.record(place)
    assert running is not None
    with connected(running.servers["redis"].address) as cache:
        return {*cache.hkeys("envctl:registry"), *cache.acl_users()}


def test_on_the_servers_of_dev_its_data_stay_and_nothing_of_the_run_does(
    envctl: Run, tmp_path: Path, name: str
) -> None:
    envctl("dev", "up")
    place = home(tmp_path, name, "dev")
    before = databases(place), buckets(place), numbers(place)
    assert all(before)
    first = envctl("test", "--strict", "--", "-n", "2", "-q")
    assert first["workers"] == ["gw0", "gw1"]
    assert first["templates"]["postgres"]["how"] == "built"
    assert (databases(place), buckets(place), numbers(place)) == before
    again = envctl("test", "--strict", "--", "-n", "2", "-q")
    assert again["templates"]["postgres"]["how"] == "reused"
    assert (databases(place), buckets(place), numbers(place)) == before
    assert not list(place.parent.glob("runs/*_*"))


def test_servers_of_the_tests_own_are_a_second_set_and_gone_after_their_stop(
    envctl: Run, tmp_path: Path, name: str, shop: Path, client: Any
) -> None:
    with (shop / "envctl.toml").open("a") as file:
        file.write('\n[test]\nserver = "own"\n')
    envctl("dev", "up")
    dev, own = home(tmp_path, name, "dev"), home(tmp_path, name, "test")
    before = databases(dev), buckets(dev), numbers(dev)
    containers = {one.name for one in client.containers.list(all=True) if name in one.name}
    done = envctl("test", "--strict", "--", "-n", "2", "-q")
    assert done["templates"]["postgres"]["how"] == "built"
    assert (databases(dev), buckets(dev), numbers(dev)) == before
    assert (databases(own), buckets(own), numbers(own)) == (set(), set(), {"default"})
    added = {one.name for one in client.containers.list(all=True) if name in one.name} - containers
    assert added
    envctl("dev", "down", "--all", "--yes")
    left = {one.name for one in client.containers.list(all=True) if name in one.name}
    assert left <= containers, "throw-away servers leave no container"
