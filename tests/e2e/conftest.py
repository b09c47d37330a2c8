"""What every end-to-end test starts from; `checkouts` has the rest."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from checkouts import Envctl, opened, repository


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
