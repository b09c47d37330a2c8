"""The same project, the same commands, on the project's own compose file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from docker_ground import Ground

pytestmark = pytest.mark.docker

COMPOSE = """
services:
  db:
    image: {image}
    environment: {{POSTGRES_PASSWORD: geheim, POSTGRES_DB: app}}
    ports: ["127.0.0.1::5432"]
  cache:
    image: valkey/valkey:9
    command: ["valkey-server", "--requirepass", "geheim", "--databases", "64"]
    ports: ["127.0.0.1::6379"]
"""
CONFIG = """
project = "{project}"
[compose]
project = "{project}"
[services.postgres]
sql = ["db/*.sql"]
[services.redis]
"""
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def project(ground: Ground) -> str:
    return ground.project.replace("-", "")[:16]


@pytest.fixture
def checkout(tmp_path: Path, project: str, ground: Ground) -> Callable[..., Path]:
    """A checkout of the project in a folder of that name."""
    ground.project = project  # what is removed afterwards

    def make(name: str, image: str = "postgres:16-alpine") -> Path:
        folder = tmp_path / name
        (folder / "db").mkdir(parents=True)
        (folder / "db" / "1.sql").write_text("CREATE TABLE note (text text);")
        (folder / "compose.yaml").write_text(COMPOSE.format(image=image))
        (folder / "envctl.toml").write_text(CONFIG.format(project=project))
        subprocess.run(["git", "init", "-qb", name.split()[0], folder], check=True)
        return folder

    return make


@pytest.fixture
def envctl(tmp_path: Path) -> Iterator[Run]:
    used: list[Path] = []

    def run(*words: str, cwd: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
        used.append(cwd)
        env = {**os.environ, "ENVCTL_STATE_DIR": str(tmp_path / "state")}
        argv = [str(Path(sys.executable).with_name("envctl")), *words]
        done = subprocess.run(argv, cwd=cwd, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        return done

    yield run
    if used:
        run("dev", "down", "--all", "--yes", cwd=used[0])


def data(done: subprocess.CompletedProcess[str]) -> Any:
    return json.loads(done.stdout)["data"]


def test_two_checkouts_share_the_containers_and_no_data(checkout: Callable[..., Path], envctl: Run) -> None:
    one, two = checkout("one"), checkout("two with spaces")
    first = data(envctl("dev", "up", "--json", cwd=one))
    second = data(envctl("dev", "up", "--json", cwd=two))
    assert first["engine"] == second["engine"] == "compose"
    assert first["servers"] == second["servers"]
    envctl("dev", "psql", "--", "-qc", "INSERT INTO note VALUES ('mine')", cwd=one)
    count = ["dev", "psql", "--", "-Atc", "SELECT count(*) FROM note"]
    assert envctl(*count, cwd=one).stdout == "1\n"
    assert envctl(*count, cwd=two).stdout == "0\n"
    status = data(envctl("dev", "status", "--json", cwd=two))
    assert {server["state"] for server in status["servers"]} == {"running"}
    assert "ready to accept connections" in envctl("dev", "logs", "postgres", cwd=two).stdout
    envctl("dev", "reset", "--yes", cwd=two)
    assert envctl(*count, cwd=one).stdout == "1\n"
    assert "stay" in envctl("dev", "down", cwd=one).stdout
    assert "stopped" in envctl("dev", "down", cwd=two).stdout
    envctl("dev", "up", cwd=one)
    assert envctl(*count, cwd=one).stdout == "1\n", "data outlive a stop"


def test_a_file_that_differs_is_told_and_followed_when_asked(checkout: Callable[..., Path], envctl: Run) -> None:
    one = checkout("one")
    envctl("dev", "up", cwd=one)
    envctl("dev", "psql", "--", "-qc", "INSERT INTO note VALUES ('mine')", cwd=one)
    two = checkout("two", image="postgres:16")
    said = envctl("dev", "up", cwd=two).stderr
    assert "postgres:16-alpine" in said
    assert "--recreate" in said
    assert "--recreate" not in envctl("dev", "up", "--recreate", cwd=two).stderr
    assert "postgres:16-alpine" in envctl("dev", "up", cwd=one).stderr, "now it is this one's file that differs"
    assert envctl("dev", "psql", "--", "-Atc", "SELECT text FROM note", cwd=one).stdout == "mine\n"


def test_a_start_that_failed_can_be_looked_at(checkout: Callable[..., Path], envctl: Run) -> None:
    one = checkout("one")
    file = one / "compose.yaml"
    file.write_text(file.read_text().replace('ports: ["127.0.0.1::6379"]', "expose: [6379]"))
    with (one / "envctl.toml").open("a") as config:
        config.write('[compose.services]\nredis = "cache"\n')
    assert "publishes no port" in envctl("dev", "up", cwd=one, code=2).stderr
    status = data(envctl("dev", "status", "--json", cwd=one, code=3))
    assert {server["service"]: server["address"] for server in status["servers"]} == {"postgres": "", "redis": ""}
    assert not status["healthy"]
    envctl("dev", "status", cwd=one, code=3)
    assert "ready to accept connections" in envctl("dev", "logs", "postgres", cwd=one).stdout
    file.write_text(file.read_text().replace("expose: [6379]", 'ports: ["127.0.0.1::6379"]'))
    envctl("dev", "up", "--recreate", cwd=one)
    assert data(envctl("dev", "status", "--json", cwd=one))["healthy"]


def test_what_a_file_of_ones_own_made_is_no_leak_and_stays(
    checkout: Callable[..., Path], envctl: Run, ground: Ground
) -> None:
    one = checkout("one")
    file = one / "compose.yaml"
    file.write_text(file.read_text().replace("    environment:", "    volumes: [data:/more]\n    environment:"))
    with file.open("a") as more:
        more.write("volumes: {data: {}}\n")
    mine = {f"{ground.project}_default", f"{ground.project}_data"}

    def verdicts(code: int) -> set[str]:
        rows = data(envctl("leaks", "--json", cwd=one, code=code))["rows"]
        assert mine <= {row["name"] for row in rows}
        return {row["verdict"] for row in rows if row["name"] in mine}

    envctl("dev", "up", cwd=one)
    assert verdicts(0) == {"live"}
    envctl("dev", "down", cwd=one)
    assert verdicts(4) == {"idle"}, "and what is in the stopped servers is not seen"
    envctl("clean", "--all", "--yes", cwd=one)
    ground.client.networks.get(f"{ground.project}_default")
    ground.client.volumes.get(f"{ground.project}_data")
