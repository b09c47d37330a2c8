"""Which servers a project uses here: the engine, and why that one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from envctl import compose_file, containers, engines, leases, services
from envctl.engines.base import Engine
from envctl.errors import EnvctlError, UsageError
from envctl.model import EngineName, Need, ServerSet
from envctl.project import Project

Purpose = Literal["dev", "test"]


@dataclass(frozen=True, slots=True)
class Servers:
    """A server set with the engine that runs it, and the reason for that engine."""

    set: ServerSet
    engine: Engine
    reason: str


def choose(project: Project, purpose: Purpose = "dev") -> Servers:
    """The set that this checkout's configuration asks for. Only our own processes come in a throw-away set."""
    name, reason = _engine(project, purpose)
    purpose = purpose if name == "embedded" else "dev"
    needs = {one: Need(services.get(one), settings) for one, settings in project.config.services.items()}
    wanted = ServerSet(
        project=project.config.project,
        name=purpose,
        engine=name,
        home=_home(project, purpose, name),
        needs=needs,
        checkout=project.root,
        idle=project.config.idle,
        options=_options(project, name),
    )
    return Servers(wanted, engines.get(name), reason)


def existing(project: Project) -> list[tuple[Path, Engine]]:
    """The state folders of all sets of this project that have a record, with the engine that wrote it."""
    folders = sorted(project.home.glob("*/servers.json"))
    found = ((path.parent, leases.record(path.parent)) for path in folders)
    return [(home, engines.get(record.engine)) for home, record in found if record is not None]


def _engine(project: Project, purpose: Purpose) -> tuple[EngineName, str]:
    asked = project.config.engine
    if asked != "auto":
        return asked, f"{project.config.origins.get('engine', 'the configuration')} says so"
    for name in ("embedded", "compose"):
        record = leases.record(_home(project, purpose, name))
        if record is not None and record.ready and engines.get(name).alive(record):
            return name, "its servers are running"
    return _detected(project)


def _detected(project: Project) -> tuple[EngineName, str]:
    """Compose where the project has a compose file and a daemon answers, else embedded."""
    file = compose_file.project_file(project.config.compose, project.root)
    if file is None:
        return "embedded", "the project has no compose file"
    try:
        runtime = containers.detect(preferred=project.config.compose.runtime)
    except UsageError:
        raise
    except EnvctlError as error:
        return "embedded", f"there is {file.name}, but {error.message}"
    return "compose", f"there is {file.name}, and {runtime.name} answers"


def _home(project: Project, purpose: Purpose, engine: EngineName | str) -> Path:
    return project.home / f"{purpose}-{engine}"


def _options(project: Project, engine: EngineName) -> Any:
    return {"compose": project.config.compose, "external": project.config.external}.get(engine)
