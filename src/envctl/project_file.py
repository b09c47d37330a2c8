"""Where a project is described: its `envctl.toml`, or a `pyproject.toml` with our table in it."""

from __future__ import annotations

from pathlib import Path

from envctl.errors import ConfigError
from envctl.toml.lines import mentions

FILE = "envctl.toml"


def find(start: Path) -> tuple[Path, Path]:
    """The project around a folder and the file that describes it; looks no further up than the checkout's root."""
    start = start.resolve()
    folder = start
    for folder in (start, *start.parents):
        for file in (folder / FILE, folder / "pyproject.toml"):
            if _is_file(file) and (file.name == FILE or mentions(file, "envctl")):
                return folder, file
        if _is_checkout(folder):
            break
    searched = str(start) if folder == start else f"{start} or above it, up to {folder}"
    raise ConfigError(f"no {FILE} in {searched}", hint="write one with `envctl init`", code="no_config")


def _is_checkout(folder: Path) -> bool:
    try:
        return (folder / ".git").exists()
    except OSError:
        return False


def _is_file(file: Path) -> bool:
    """Whether it is there; what stands in a folder that may not be searched is not."""
    try:
        return file.is_file()
    except OSError:
        return False
