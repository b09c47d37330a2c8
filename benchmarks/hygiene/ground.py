"""A project with its servers up, whose commands are measured; nothing of it stays."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from envctl.model import Address

ENVCTL = str(Path(sys.executable).with_name("envctl"))
CONFIG = """
project = "ledger"
engine = "embedded"

[services.postgres]

[services.s3]
buckets = ["files"]

[services.redis]
"""
POSTGRES = CONFIG.partition("[services.s3]")[0]
MINE = ("GIT_", "ENVCTL_", "PG", "AWS_", "PYTHONDONTWRITEBYTECODE")


@dataclass(frozen=True)
class Ground:
    """The main checkout, and the state folder."""

    place: Path
    state: Path
    environment: Mapping[str, str]

    def __call__(self, *words: str, codes: tuple[int, ...] = (0,), cwd: Path | None = None) -> str:
        """Run envctl to its end; a failure is the end of the benchmark."""
        done = subprocess.run(
            [ENVCTL, *words], cwd=cwd or self.place, env=self.environment, capture_output=True, text=True, check=False
        )
        if done.returncode not in codes:
            sys.exit(f"error: envctl {' '.join(words)} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def timed(self, *words: str, codes: tuple[int, ...] = (0,)) -> tuple[float, str]:
        """Its seconds, and what it said."""
        start = time.perf_counter()
        said = self(*words, codes=codes)
        return time.perf_counter() - start, said

    def git(self, *words: str) -> None:
        person = ("-c", "user.name=bench", "-c", "user.email=bench@example.org")
        subprocess.run(["git", *person, *words], cwd=self.place, env=self.environment, check=True, capture_output=True)

    @property
    def home(self) -> Path:
        """The project's state folder."""
        return self.state / "projects" / "ledger"

    @property
    def tests(self) -> Path:
        """The state folder of the servers that the tests use."""
        return next(iter(sorted(self.home.glob("test-*"))), self.home / "dev-embedded")

    @property
    def address(self) -> Address:
        """The administrator's address of their PostgreSQL."""
        content: Any = json.loads((self.tests / "servers.json").read_text())
        return Address(**content["servers"]["postgres"]["address"])


@contextmanager
def opened(folder: Path, config: str = CONFIG) -> Iterator[Ground]:
    """A fresh repository, up."""
    place, state = folder / "ledger", folder / "state"
    place.mkdir(parents=True)
    (place / "envctl.toml").write_text(config)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(MINE)}
    found = Ground(place, state, {**kept, "GIT_CONFIG_GLOBAL": os.devnull, "ENVCTL_STATE_DIR": str(state)})
    for words in ("init -q -b main", "add .", "commit -qm one"):
        found.git(*words.split())
    try:
        found("dev", "up")
        yield found
    finally:
        found("dev", "down", "--all", "--yes", codes=(0, 1))
        shutil.rmtree(folder, ignore_errors=True)
