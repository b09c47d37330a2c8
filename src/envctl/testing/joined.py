"""A run seen from inside: what its command and workers ask it for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from envctl import state
from envctl.errors import UsageError
from envctl.model import Access, Environment
from envctl.project import Project
from envctl.runs import folders
from envctl.testing import desk

Opened = Callable[[Environment], Project]


def around(opened: Opened, environ: Mapping[str, str]) -> Project | None:
    """The project as the run around us has it; None outside of one, and in another checkout than the run's.

    Its variables tell, where it exports them; else the run is the one whose process we descend from.
    """
    said = environ.get("ENVCTL_ENVIRONMENT")
    if said not in ("test", "ci"):
        return _above(opened) if any(state.root().glob("projects/*/runs/*/socket")) else None
    project = opened("test" if said == "test" else "ci")
    namespace, _, slot = environ.get("ENVCTL_SANDBOX", "").partition("__s")
    run = _in_slot(project, int(slot) if slot.isdigit() else 1)
    return run if namespace == project.namespace.name and _socket(run).exists() else None


def access_of(run: Project, service: str) -> Access:
    """What the run around us has of one service."""
    told: dict[str, Any] = _ask(run, "")["sandbox"]["values"]
    return Access((), {key.partition(".")[2]: value for key, value in told.items() if key.startswith(f"{service}.")})


def variables_of(run: Project, worker: str) -> dict[str, str]:
    """The variables of one worker of the run around us; its sandbox is made when it is first asked for."""
    return dict(_ask(run, worker)["variables"])


def _above(opened: Opened) -> Project | None:
    import psutil

    project = opened("test")
    above = {one.pid for one in psutil.Process().parents()}
    for one in folders.live(project.home):
        run = _in_slot(project if one.environment == "test" else opened("ci"), one.slot)
        if one.namespace == project.namespace.name and desk.keeper(_socket(run)) in above:
            return run
    return None


def _ask(run: Project, worker: str) -> desk.Answer:
    if not _socket(run).exists():
        raise UsageError(
            f"no run of {run.namespace.name} is going on",
            hint="--worker is for what runs inside of `envctl run -- …`",
        )
    return desk.ask(_socket(run), {"ask": "sandbox", "worker": worker})


def _in_slot(project: Project, slot: int) -> Project:
    return replace(project, names=replace(project.names, slot=slot))


def _socket(run: Project) -> Path:
    """The desk of that run."""
    return run.home / "runs" / run.names.identity(run.environment) / "socket"
