"""What every test of the plugin starts from."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import ground
import pytest
from ground import Desk, Project


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """ENVCTL_TEST_PYTHONS lists more interpreters, which have a pytest and xdist of their own."""
    if "python" in metafunc.fixturenames:
        more = os.environ.get("ENVCTL_TEST_PYTHONS", "").split(os.pathsep)
        metafunc.parametrize("python", [sys.executable, *filter(None, more)])


@pytest.fixture
def project(tmp_path: Path) -> Project:
    root = tmp_path / "checkout"
    root.mkdir()
    (root / "envctl.toml").write_text('project = "shop"\n')
    return Project(root)


@pytest.fixture
def desk(tmp_path: Path, project: Project) -> Iterator[Desk]:
    folder = tmp_path / "run"
    folder.mkdir()
    with ground.opened(folder, project) as ready:
        yield ready


@pytest.fixture
def installed(tmp_path: Path) -> str:
    """A folder for PYTHONPATH by which envctl is installed, as far as pytest can tell."""
    folder = tmp_path / "installed"
    described = folder / "envctl-0.dist-info"
    described.mkdir(parents=True)
    (folder / "envctl").symlink_to(ground.SOURCE / "envctl")
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: envctl-entry\nVersion: 0\n")
    (described / "entry_points.txt").write_text("[pytest11]\nenvctl = envctl.pytest_plugin\n")
    return str(folder)
