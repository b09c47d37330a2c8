"""`scripts/docker-testbed down` ends the dockerd that `up` started, and no other process."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
from testbed import daemon  # type: ignore[import-not-found]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the testbed is for Debian")


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "600"]) as made:
        yield made
        made.kill()


def test_what_up_started_is_ended(tmp_path: Path, process: subprocess.Popen[bytes]) -> None:
    (tmp_path / "started.json").write_text(json.dumps({"pid": process.pid, "birth": daemon.birth(process.pid)}))
    assert daemon.stop(tmp_path) == f"stopped (pid {process.pid})"
    assert process.wait() == -15
    assert not (tmp_path / "started.json").exists()


def test_another_process_with_the_same_pid_is_left_alone(tmp_path: Path, process: subprocess.Popen[bytes]) -> None:
    (tmp_path / "started.json").write_text(json.dumps({"pid": process.pid, "birth": "another boot/12345"}))
    daemon.stop(tmp_path)
    assert process.poll() is None


def test_nothing_is_stopped_where_nothing_was_started(tmp_path: Path) -> None:
    assert daemon.stop(tmp_path) == "not started by the testbed, left alone"
