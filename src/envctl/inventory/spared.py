"""What a person has restored is not put away again at once, though its owner is as gone as before."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from envctl import state
from envctl.errors import EnvctlError
from envctl.inventory.verdicts import moment


def spare(project_home: Path, name: str, until: datetime, now: datetime) -> None:
    """Leave what has that name alone until then. Those whose time is over are forgotten. Under the checkouts' lock."""
    known = {one: end.isoformat() for one, end in read(project_home).items() if end > now}
    state.write(_file(project_home), {"until": {**known, name: until.isoformat()}})


def read(project_home: Path) -> Mapping[str, datetime]:
    """Until when what is left alone. What cannot be read spares nothing: it would only go into quarantine again."""
    try:
        content = state.read(_file(project_home)) or {}
        ends = {str(name): moment(str(text)) for name, text in dict(content.get("until", {})).items()}
    except (EnvctlError, TypeError, ValueError):
        return {}
    return {name: end for name, end in ends.items() if end is not None}


def _file(project_home: Path) -> Path:
    return project_home / "restored.json"
