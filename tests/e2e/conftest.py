"""What every end-to-end test starts from; `checkouts` has the rest."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from checkouts import Envctl, opened, repository
from world_servers import Ground, serving


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def envctl(state: Path) -> Iterator[Envctl]:
    with opened(state) as ready:
        yield ready


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    return repository(tmp_path / "shop")


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """One PostgreSQL and one S3 for all worlds."""
    with serving(tmp_path_factory.mktemp("worlds")) as ready:
        yield ready
