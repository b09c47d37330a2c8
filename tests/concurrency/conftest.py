from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from crew import Crew


@pytest.fixture
def crew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Crew]:
    monkeypatch.setenv("ENVCTL_STATE_DIR", str(tmp_path))
    crew = Crew(tmp_path)
    yield crew
    crew.ended()
