"""The texts with holes that this package fills."""

from __future__ import annotations

from pathlib import Path
from string import Template


def template(name: str) -> Template:
    """One of them, from the package or from a checkout of envctl."""
    here = Path(__file__).parents[1]
    packaged = here / "_templates" / "leaks" / name
    found = packaged if packaged.is_file() else here.parents[1] / "templates" / "leaks" / name
    return Template(found.read_text())
