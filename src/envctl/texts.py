"""The texts with holes that envctl fills: in the installed package, or beside the sources."""

from __future__ import annotations

from pathlib import Path


def read(kind: str, name: str) -> str:
    """One of the texts of that kind."""
    here = Path(__file__).parent
    packaged = here / "_templates" / kind / name
    found = packaged if packaged.is_file() else here.parents[1] / "templates" / kind / name
    return found.read_text()
