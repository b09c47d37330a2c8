"""Asking at the desk of the run that we are in: for workers of runners that know nothing of envctl."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from envctl.errors import UsageError
from envctl.project import Project
from envctl.testing import desk


def variables_of(project: Project, worker: str, environ: Mapping[str, str]) -> dict[str, str]:
    """The variables of one worker of the run around us; its sandbox is made when it is first asked for."""
    answer = desk.ask(_socket(project, environ), {"ask": "sandbox", "worker": worker})
    return dict(answer["variables"])


def _socket(project: Project, environ: Mapping[str, str]) -> Path:
    """The desk of the run whose sandbox the variable names; of this namespace's only run where there is none."""
    _, _, slot = environ.get("ENVCTL_SANDBOX", "").partition("__s")
    names = replace(project.names, slot=int(slot) if slot.isdigit() else 1)
    path = project.home / "runs" / names.identity(project.environment) / "socket"
    if not path.exists():
        raise UsageError(
            f"no run of {names.sandbox} is going on", hint="--worker is for what runs inside of `envctl run -- …`"
        )
    return path
