"""What only the state folder and the engines have of somebody who is gone: registrations, pins, ports, data."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from envctl import engines, held, leases, namespace, ports, workspaces
from envctl.clean.outcomes import Outcome, Result, failed
from envctl.clean.plans import Action
from envctl.errors import EnvctlError
from envctl.inventory import books, evidence, leftovers
from envctl.model import Talk
from envctl.project import Project


def forgotten(project: Project, todo: Iterable[Action], *, wait: float, talk: Talk) -> list[Outcome]:
    """Each, if what was seen of it still holds."""
    outcomes = []
    for action in todo:
        try:
            outcomes.append(Outcome(action, *_one(project, action, wait, talk)))
        except EnvctlError as error:
            outcomes += failed([action], error)
    return outcomes


def _one(project: Project, action: Action, wait: float, talk: Talk) -> tuple[Result, str]:
    resource, place = action.finding.resource, action.finding.place
    if place.startswith(leftovers.PLACE):
        engines.get(place.removeprefix(leftovers.PLACE)).discard(resource)
        return "done", ""
    if resource.kind == "checkout":
        return _checkout(project, resource.name, wait, talk)
    if resource.kind == "pin":
        return _pin(project, resource.name, wait, talk)
    if resource.kind == "port":
        return _port(project, resource.name)
    return "kept", "nobody here knows how to remove it"


def _checkout(project: Project, name: str, wait: float, talk: Talk) -> tuple[Result, str]:
    """Its registration, last: what services remember of its claims, and the ports of its processes, go with it."""
    with workspaces.locked(project.config.project, wait=wait, talk=talk):
        facts = evidence.gather(project)
        where = facts.checkouts.get(name)
        if where is None:
            return "gone", ""
        if facts.user(name) or not (where.gone or where.doubt):
            return "kept", f"{where.workspace.path} is there again"
        identity = namespace.Names(project.config.project, name).identity("dev")
        shutil.rmtree(project.home / "claims" / identity, ignore_errors=True)
        ports.release(f"{project.config.project}/{name}/")
        workspaces.forget(project.config.project, name)
    return "done", ""


def _pin(project: Project, name: str, wait: float, talk: Talk) -> tuple[Result, str]:
    path = project.home / Path(name).parent / "pins" / Path(name).name
    with leases.locked(project.home / Path(name).parent, who="envctl clean", wait=wait, talk=talk):
        if Path(held.read(path, "pinned").workspace or ".").exists():
            return "kept", "its checkout is there again"
        path.unlink(missing_ok=True)
    return "done", ""


def _port(project: Project, key: str) -> tuple[Result, str]:
    """A server set has its folder before it books a port, and a checkout is registered before it does."""
    return ("done", "") if ports.forget(key, unless=lambda: _is_used(project, key)) else ("kept", "it is used again")


def _is_used(project: Project, key: str) -> bool:
    facts = evidence.gather(project)
    return any(one.resource.name == key and one.verdict != "orphan" for one in books.ports_of(project, facts))
