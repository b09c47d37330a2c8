"""One checkout, opened: its configuration, its namespace and names, and where its state lives."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from envctl import config, git, project_file, services, workspaces
from envctl.config import Config
from envctl.environments import reserved
from envctl.model import Environment, Namespace
from envctl.namespace import Names, limit, resolve
from envctl.values import dataclass


@dataclass(frozen=True, slots=True)
class Project:
    """What every command works on."""

    root: Path
    config: Config
    environment: Environment
    namespace: Namespace
    names: Names
    default_branch: str

    @property
    def buckets(self) -> tuple[str, ...]:
        """The logical names of all buckets."""
        return _buckets(self.config)

    @property
    def home(self) -> Path:
        """The project's state folder."""
        return workspaces.home(self.config.project)


def open_project(
    directory: Path, environment: Environment, environ: Mapping[str, str], *, namespace_flag: str = "", engine: str = ""
) -> Project:
    """Read the configuration and name this checkout. No effects; nothing heavy is imported."""
    root, file = project_file.find(directory)
    loaded = config.load(
        file,
        services.KINDS,
        environ=environ,
        engine_flag=engine,
        placeholders=lambda name, one: services.get(name).placeholders(one),
        logical_names=lambda name, one: services.get(name).logical_names(one),
    )
    settings = loaded.for_environment(environment)
    checkout, buckets = git.checkout(root), _buckets(settings)
    name = resolve(
        path=root,
        flag=namespace_flag or None,
        environ=environ,
        checkout=checkout,
        limit=limit(settings.project, settings.names, buckets),
        reserved=reserved(settings.names, settings.project, buckets),
        reason="" if checkout else git.trouble(root),
    )
    branch = settings.default_branch or (git.default_branch(checkout) if checkout else "")
    primary = workspaces.primary(settings.project, name, branch, chosen=bool(settings.default_branch))
    names = Names(settings.project, name.name, settings.names, primary=primary)
    return Project(root, settings, environment, name, names, branch)


def _buckets(settings: Config) -> tuple[str, ...]:
    named = ((services.get(name), one) for name, one in settings.services.items())
    pairs = (pair for service, one in named for pair in service.logical_names(one))
    return tuple(logical for pattern, logical in pairs if pattern == "bucket")
