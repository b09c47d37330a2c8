"""What a check of the doctor is given, and what it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import field
from pathlib import Path
from typing import Literal

from envctl.errors import EnvctlError
from envctl.project import Project
from envctl.values import dataclass

Level = Literal["ok", "warning", "problem"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: how it is, and what to do where it is not well."""

    check: str
    level: Level
    message: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Patient:
    """What is examined: a folder, the project in it if there is one, and the variables of this session."""

    directory: Path
    environ: Mapping[str, str] = field(repr=False)
    project: Project | None
    trouble: EnvctlError | None = None
    """Why there is no project, where there should be one or nobody looked further."""


Check = Callable[[Patient], Iterator[Finding]]


def from_error(check: str, error: EnvctlError, level: Level = "problem") -> Finding:
    """A finding out of an error: it has the cause and the remedy already."""
    message = ": ".join(part for part in (error.message, error.cause.strip()) if part)
    return Finding(check, level, message, error.hint)
