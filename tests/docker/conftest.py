"""A Docker engine that answers, or the reason why these tests are skipped; with ENVCTL_REQUIRE_DOCKER=1 a failure."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from docker_ground import Ground, daemon_missing, observer

from envctl import runtimes


@pytest.fixture(scope="session")
def client() -> Iterator[Any]:
    """The second observer: the engine as the Docker SDK sees it."""
    reason = daemon_missing()
    if reason and os.environ.get("ENVCTL_REQUIRE_DOCKER") == "1":
        pytest.fail(f"ENVCTL_REQUIRE_DOCKER is set, and there is no Docker to test with: {reason}")
    if reason:
        pytest.skip(f"no Docker to test with (scripts/docker-testbed up makes one): {reason}")
    found = observer(runtimes.named("docker compose"))
    yield found
    found.close()


@pytest.fixture
def ground(client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ground]:
    """A compose project of this test's own, and nothing left of it afterwards."""
    monkeypatch.setenv("ENVCTL_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.delenv("ENVCTL_COMPOSE", raising=False)
    made = Ground(client, f"envctl-test-{secrets.token_hex(4)}", tmp_path)
    yield made
    made.remove()
