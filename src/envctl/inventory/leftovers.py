"""What engines keep of a project: data folders, containers, volumes, networks; by the marks they bear."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from envctl import compose_file, engines, leases
from envctl.errors import EnvctlError
from envctl.inventory.places import told
from envctl.inventory.verdicts import CLEAN, Judged
from envctl.model import Finding, Owner, Resource, Unseen
from envctl.project import Project

PLACE = "engine "
"""Before the engine's name, in the place where such a thing was seen."""


def findings(project: Project, *, sizes: bool = True) -> Iterator[Finding | Unseen]:
    """Those of every engine that this project uses, or has used, here."""
    stack = _stack(project)
    for name in _engines(project):
        try:
            for one in engines.get(name).leftovers(project.config.project, stack=stack, sizes=sizes):
                yield _finding(one, f"{PLACE}{name}")
        except EnvctlError as error:
            yield Unseen(f"{PLACE}{name}", told(error))


def _engines(project: Project) -> list[str]:
    """To ask docker costs a process, so it is asked where there is a reason to."""
    used = {"embedded", project.config.engine, *(home.name.rpartition("-")[2] for home in project.home.glob("*-*"))}
    return [name for name in engines.REGISTRY if name in used]


def _stack(project: Project) -> str:
    """The compose project of a file of the project's own; empty where it has none."""
    options = project.config.compose
    try:
        file = compose_file.project_file(options, project.root)
    except EnvctlError:  # It is named, and not there now.
        return ""
    return (options.project or project.names.compose_project) if file else ""


def _finding(one: Resource, place: str) -> Finding:
    judged = (
        _judged(one.owner)
        if one.owner
        else ("unexplained", "it bears no mark of ours, or is of another state folder", "")
    )
    return Finding(one, place, one.owner.environment if one.owner else None, *judged)


def _judged(owner: Owner) -> Judged:
    """Data of `dev` are somebody's even where the state folder that knew of them is gone."""
    state, home = owner.notes.get("state", ""), owner.notes.get("home", "")
    if stack := owner.notes.get("stack", ""):
        return _judged_own(stack, state)
    if state == "running":
        return "live", f"the servers of {home} run", ""
    if home and leases.holders(Path(home)):
        return "live", f"somebody has pinned the servers of {home}, which are stopped", ""
    if state != "gone":
        return "idle", f"of the servers in {home}, which are stopped", f"{CLEAN} --all"
    if owner.environment == "dev":
        return "unexplained", f"the state folder {home} that it belonged to is gone", f"{CLEAN} --all"
    return "orphan", f"throw-away, and the state folder {home} that it belonged to is gone", CLEAN


def _judged_own(stack: str, state: str) -> Judged:
    """What a compose file of the project's own has made is for whoever wrote that."""
    if state == "running":
        return "live", f"of the project's own compose project {stack}, which runs", ""
    return "idle", f"of the project's own compose project {stack}, where nothing uses it now", ""
