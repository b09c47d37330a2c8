"""Which servers a project uses here: the engine, and why that one; whose they are; and the end of a run's own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

from envctl import compose_file, engines, idle, leases, ports, runtimes, services, state, variables, workspaces
from envctl.engines.base import Engine
from envctl.errors import ConfigError, EnvctlError, UsageError
from envctl.model import EngineName, Talk, silent
from envctl.project import Project
from envctl.server_set import Need, Running, ServerSet
from envctl.values import dataclass

Purpose = Literal["dev", "test"]


@dataclass(frozen=True, slots=True)
class Servers:
    """A server set with the engine that runs it, and the reason for that engine."""

    set: ServerSet
    engine: Engine
    reason: str


def choose(project: Project, purpose: Purpose = "dev", *, alone: str = "") -> Servers:
    """The set that this checkout's configuration asks for. `alone` names a run that is to have one of its own."""
    engine, reason = _engine(project, purpose)
    name = _name(project, purpose, engine, alone)
    wanted = ServerSet(
        project=project.config.project,
        name=name,
        engine=engine,
        home=project.home / f"{f'run-{alone}' if name == 'run' else name}-{engine}",
        needs=_needs(project, name),
        checkout=project.root,
        idle=0 if name == "run" else project.config.idle,
        options=_options(project, engine),
        exported=_exported(project) if engine == "compose" else (),
    )
    return Servers(wanted, engines.get(engine), reason)


def forget(home: Path, *, wait: float = leases.WAIT, talk: Talk = silent) -> bool:
    """Stop a run's own servers and remove all that is left of them. False where somebody uses them, or none are there.

    The caller holds the run's lock, so that no other run comes into this folder meanwhile.
    """
    if not home.is_dir():
        return False
    engine = engines.get(_engine_of_a_run(home))
    with leases.locked(home, who="the end of a run", wait=wait, talk=talk):
        if leases.holders(home):
            return False
        engine.forget(home, _readable(home), talk)
        (home / "servers.json").unlink(missing_ok=True)
        idle.wake(home)
    if not idle.ended(home, wait):
        return False
    with leases.locked(home, who="the end of a run", wait=wait, talk=talk):
        if leases.holders(home) or leases.record(home) is not None:
            return False
        ports.release(f"{home}:")
        state.remove(home, last="lock")
    return True


def existing(project: Project) -> list[tuple[Path, Engine]]:
    """The state folders of all sets of this project that have a record, with the engine that wrote it."""
    folders = sorted(project.home.glob("*/servers.json"))
    found = ((path.parent, leases.record(path.parent)) for path in folders)
    return [(home, engines.get(record.engine)) for home, record in found if record is not None]


def _engine(project: Project, purpose: Purpose) -> tuple[EngineName, str]:
    """What an application is tested on is what it is developed on: tests follow `dev`, never the other way."""
    asked = project.config.engine
    if asked != "auto":
        return asked, f"{project.config.origins.get('engine', 'the configuration')} says so"
    names: tuple[EngineName, ...] = ("embedded", "compose")
    dev = {name: project.home / f"dev-{name}" for name in names}
    found = next((name for name in names if _runs(dev[name], name)), None)
    if found is None and (used := next((name for name in names if leases.holders(dev[name])), None)):
        return used, "its servers are down, and checkouts have their data there"
    if found is None and purpose == "test":
        found = next((name for name in names if _runs(project.home / f"test-{name}", name)), None)
    return (found, "its servers are running") if found else _detected(project)


def _engine_of_a_run(home: Path) -> str:
    """The engine in the name of a folder that a run's own servers were kept in; any other folder is refused."""
    found = re.fullmatch(r"run-.+-([a-z]+)", home.name)
    if found is None or found[1] not in engines.REGISTRY or home != workspaces.home(home.parent.name) / home.name:
        raise EnvctlError(f"{home} was left alone", cause="it is no folder of one run's servers", code="not_ours")
    return found[1]


def _readable(home: Path) -> Running | None:
    """The record, if there is one that can be read: without it everything is found by its marks."""
    try:
        return leases.record(home)
    except EnvctlError:
        return None


def _runs(home: Path, engine: EngineName) -> bool:
    record = leases.record(home)
    return record is not None and record.ready and engines.get(engine).alive(record)


def _detected(project: Project) -> tuple[EngineName, str]:
    """Compose where the project has a compose file and a daemon answers, else embedded."""
    file = compose_file.project_file(project.config.compose, project.root)
    if file is None:
        return "embedded", "the project has no compose file"
    try:
        runtime = runtimes.detect(preferred=project.config.compose.runtime)
    except UsageError:
        raise
    except EnvctlError as error:
        return "embedded", f"there is {file.name}, and no engine for it: {error.message}"
    return "compose", f"there is {file.name}, and {runtime.name} answers"


def _name(project: Project, purpose: Purpose, engine: EngineName, alone: str) -> Literal["dev", "test", "run"]:
    """Whose servers they are: everybody's, the tests', or this run's."""
    asked = project.config.test.server
    own = asked == "own" or (asked == "auto" and engine == "embedded")
    if purpose == "dev" or not (own or alone):
        return "dev" if purpose == "dev" else _shared(project)
    if engine == "external":
        raise ConfigError(
            "servers of somebody else cannot be made anew for tests: the engine is external",
            cause='[test] isolation = "server" asks for it' if alone else '[test] server = "own" asks for it',
            hint='use --engine embedded or compose; or set isolation = "database" and server = "shared"',
            code="no_own_server",
        )
    return "run" if alone else "test"


def _shared(project: Project) -> Literal["dev"]:
    """The tests use the servers of `dev`, so ports of their own would be an idle wish."""
    if project.config.test.ports:
        raise ConfigError(
            "[test] ports is for servers that are the tests' own, and they use those of dev",
            hint='set `port` in the services\' own tables, or [test] server = "own"',
        )
    return "dev"


def _needs(project: Project, name: str) -> dict[str, Need]:
    wanted = project.config.services
    common = {one: getattr(settings, "port", 0) for one, settings in wanted.items()}
    fixed = common if name == "dev" else project.config.test.ports
    for service, port in fixed.items():
        if name != "dev" and port and port == common.get(service):
            raise ConfigError(
                f"port {port} of {service} cannot be that of dev and of the tests' own server at once",
                hint='give them different ones in [services] and [test] ports, or set [test] server = "shared"',
            )
    return {one: Need(services.get(one), settings, fixed.get(one, 0)) for one, settings in wanted.items()}


def _exported(project: Project) -> tuple[str, ...]:
    """What a sandbox gives: one checkout's passwords and addresses, with which no server of all must be made."""
    return tuple(name for name, text in project.config.exported(services.get).items() if variables.asked(text))


def _options(project: Project, engine: EngineName) -> Any:
    return {"compose": project.config.compose, "external": project.config.external}.get(engine)
