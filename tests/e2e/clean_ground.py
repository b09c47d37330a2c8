"""Checkouts that come and go on one set of real servers, and what is on these servers by their own word."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from checkouts import Envctl, Result, git, worktree
from till import till

from envctl import libpq
from envctl.model import Address

CONFIG = """
project = "till"
engine = "embedded"

[services.postgres]
migrate = { sql = ["db/*.sql"] }

[services.s3]
buckets = ["receipts"]

[services.redis]

[dev.processes.api]
command = "true {port}"

[test]
command = "python -m pytest -q"
server = "shared"
"""
POSTGRES = CONFIG.replace('[services.s3]\nbuckets = ["receipts"]\n', "").replace("[services.redis]\n", "")
DATABASES = "SELECT datname FROM pg_database WHERE datname NOT IN ('postgres', 'template0', 'template1')"


@dataclass
class Ground:
    """One clone of the project, with its servers up."""

    envctl: Envctl
    root: Path
    clone: Path

    @property
    def home(self) -> Path:
        """The project's state folder."""
        return self.envctl.state / "projects" / "till"

    def clean(self, *words: str, code: int | None = 0) -> Result:
        return self.envctl("clean", *words, cwd=self.clone, code=code)

    def plan(self, *words: str) -> dict[str, str]:
        """What `--dry-run` says would be done with each thing."""
        actions = self.clean("--dry-run", "--json", *words).data["actions"]
        return {f"{one['kind']} {one['name']}": one["do"] for one in actions}

    def worktree(self, branch: str, name: str = "") -> Path:
        """A worktree with everything of its own on the servers, which it has given up again."""
        place = worktree(self.clone, branch, self.root / (name or branch.replace("/", "-")))
        self.up(place)
        return place

    def up(self, place: Path) -> None:
        """Make its resources, and give the servers up again; the clone's own pin keeps them running."""
        self.envctl("dev", "up", cwd=place)
        self.envctl("dev", "down", cwd=place)

    def remove(self, place: Path) -> None:
        """As people do: git's own way."""
        git(self.clone, "worktree", "remove", "--force", str(place))

    def names(self, place: Path) -> dict[str, Any]:
        found: dict[str, Any] = self.envctl("ns", "--json", cwd=place).data
        return found

    def database(self, place: Path) -> str:
        return str(self.names(place)["names"]["dev_database"])

    def variables(self, place: Path) -> dict[str, str]:
        """How a program of that checkout comes to its own."""
        self.envctl("dev", "up", cwd=place)
        found: dict[str, str] = self.envctl("env", "--json", cwd=place).data["variables"]
        self.envctl("dev", "down", cwd=place)
        return found

    def address(self, service: str) -> Address:
        """How the administrator comes in."""
        record = json.loads((self.home / "dev-embedded" / "servers.json").read_text())
        return Address(**record["servers"][service]["address"])

    def sql(self, statement: str) -> list[Any]:
        """What the server itself says, asked as its administrator."""
        address = self.address("postgres")
        place: dict[str, Any] = {"host": address.host, "port": address.port, "dbname": "postgres"}
        with libpq.connect(**place, user=address.user, password=address.password) as connection:
            cursor = connection.execute(statement)
            return [row[0] for row in cursor.fetchall()] if cursor.description else []

    def databases(self) -> set[str]:
        return set(self.sql(DATABASES))


def ground(envctl: Envctl, root: Path, *, config: str = CONFIG, **files: str) -> Ground:
    """The project, with the dev environment of its clone up."""
    clone = till(root / "clone", config=config, **files)
    envctl("dev", "up", cwd=clone)
    return Ground(envctl, root, clone)


def connect(url: str) -> psycopg.Connection[Any]:
    """A program that uses what it was given."""
    return psycopg.connect(url, autocommit=True)


def gone(place: Path) -> None:
    """As a script does that knows nothing of git."""
    shutil.rmtree(place)


def environment(envctl: Envctl) -> dict[str, str]:
    """For a process that is envctl itself."""
    return {**envctl.environment, "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
