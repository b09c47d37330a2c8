"""Asking at the desk of the run that we are in: for workers of runners that know nothing of envctl."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from envctl.errors import UsageError
from envctl.model import Access, Environment
from envctl.project import Project
from envctl.testing import desk


def around(opened: Callable[[Environment], Project], environ: Mapping[str, str]) -> Project | None:
    """The project as the run around us has it; None outside of one, and in another checkout than the run's."""
    said = environ.get("ENVCTL_ENVIRONMENT")
    if said not in ("test", "ci"):
        return None
    project = opened("test" if said == "test" else "ci")
    namespace, _, _ = environ.get("ENVCTL_SANDBOX", "").partition("__s")
    return project if namespace == project.namespace.name and _path(project, environ).exists() else None


def access_of(project: Project, service: str, environ: Mapping[str, str]) -> Access:
    """What the run around us has of one service."""
    told: dict[str, Any] = desk.ask(_socket(project, environ), {"ask": "sandbox", "worker": ""})["sandbox"]["values"]
    return Access((), {key.partition(".")[2]: value for key, value in told.items() if key.startswith(f"{service}.")})


def variables_of(project: Project, worker: str, environ: Mapping[str, str]) -> dict[str, str]:
    """The variables of one worker of the run around us; its sandbox is made when it is first asked for."""
    answer = desk.ask(_socket(project, environ), {"ask": "sandbox", "worker": worker})
    return dict(answer["variables"])


def _socket(project: Project, environ: Mapping[str, str]) -> Path:
    path = _path(project, environ)
    if not path.exists():
        raise UsageError(
            f"no run of {project.namespace.name} is going on",
            hint="--worker is for what runs inside of `envctl run -- …`",
        )
    return path


def _path(project: Project, environ: Mapping[str, str]) -> Path:
    """The desk of the run whose sandbox the variable names; of this namespace's only run where there is none."""
    _, _, slot = environ.get("ENVCTL_SANDBOX", "").partition("__s")
    names = replace(project.names, slot=int(slot) if slot.isdigit() else 1)
    return project.home / "runs" / names.identity(project.environment) / "socket"
