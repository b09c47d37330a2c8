"""The command lines of docker, podman and their compose programs, as values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from pathlib import Path

from envctl.model import Command
from envctl.runtimes import Runtime
from envctl.values import dataclass


@dataclass(frozen=True, slots=True)
class Stack:
    """One compose project: who runs it, its name, its files and what they are read with."""

    runtime: Runtime
    project: str
    files: tuple[Path, ...]
    directory: Path
    profiles: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    content: str = field(default="", repr=False)
    """The file itself, where it is not to be read from `files`."""
    env_file: Path | None = None
    """The `.env` to use instead of the one in `directory`."""
    without: tuple[str, ...] = ()
    """Variables of the shell that it must not be read with."""

    @property
    def file(self) -> str:
        """What to call the file towards a person."""
        return "envctl's own compose file" if self.content else self.files[0].name


def config(stack: Stack) -> Command:
    """Prints the whole project, merged and interpolated, as JSON; it has every secret in it."""
    return _compose(stack, "config", "--format", "json")


def services(stack: Stack) -> Command:
    """Prints the names of the project's services."""
    return _compose(stack, "config", "--services")


def hashes(stack: Stack) -> Command:
    """Prints `service hash` for each service: what a container of it would be labelled with."""
    return _compose(stack, "config", "--hash", "*")


def up(stack: Stack, names: Iterable[str], *, recreate: bool = False) -> Command:
    """Create and start; a container that is there stays as it is unless it may be recreated."""
    keep = () if recreate else ("--no-recreate",)
    return _compose(stack, "up", "-d", *keep, *names)


def ps(runtime: Runtime, project: str) -> Command:
    """Prints the ids of all containers of a compose project, stopped ones too."""
    label = f"label=com.docker.compose.project={project}"
    return Command((runtime.cli, "ps", "--all", "--no-trunc", "--quiet", "--filter", label))


def labelled(runtime: Runtime, label: str, *, running: bool = False) -> Command:
    """Prints the ids of the containers with a label: of all, or of those that run."""
    which = () if running else ("--all",)
    return Command((runtime.cli, "ps", *which, "--no-trunc", "--quiet", "--filter", f"label={label}"))


def networks(runtime: Runtime, label: str) -> Command:
    """Prints the ids of all networks with a label."""
    return Command((runtime.cli, "network", "ls", "--quiet", "--filter", f"label={label}"))


def remove_networks(runtime: Runtime, ids: Iterable[str]) -> Command:
    """Remove networks; refuses one that is in use."""
    return Command((runtime.cli, "network", "rm", *ids))


def publisher(runtime: Runtime, port: int) -> Command:
    """Prints the names of the containers that publish a port."""
    return Command((runtime.cli, "ps", "--filter", f"publish={port}", "--format", "{{.Names}}"))


def inspect(runtime: Runtime, ids: Iterable[str]) -> Command:
    """Prints what the engine knows of these containers, as a JSON array."""
    return Command((runtime.cli, "inspect", "--type", "container", *ids))


def image(runtime: Runtime, name: str) -> Command:
    """Fails where the engine does not have the image."""
    return Command((runtime.cli, "image", "inspect", "--format", "{{.Id}}", name))


def stop(runtime: Runtime, ids: Iterable[str]) -> Command:
    """Stop containers and keep them, with their data."""
    return Command((runtime.cli, "stop", *ids))


def remove(runtime: Runtime, ids: Iterable[str]) -> Command:
    """Remove stopped containers; refuses a running one and leaves every volume."""
    return Command((runtime.cli, "rm", *ids))


def wipe(runtime: Runtime, ids: Iterable[str]) -> Command:
    """End containers at once and remove them, with the volumes that have no name."""
    return Command((runtime.cli, "rm", "--force", "--volumes", *ids))


def logs(runtime: Runtime, container: str, *, follow: bool = False, last: int | None = None) -> Command:
    """Prints a container's log, oldest line first."""
    options = (("--follow",) if follow else ()) + (("--tail", str(last)) if last is not None else ())
    return Command((runtime.cli, "logs", *options, container))


def _compose(stack: Stack, *arguments: str) -> Command:
    files = ["-f", "-"] if stack.content else [word for file in stack.files for word in ("-f", str(file))]
    profiles = [word for profile in stack.profiles for word in ("--profile", profile)]
    place = ("--project-directory", str(stack.directory)) if stack.runtime.modern else ()
    variables = ("--env-file", str(stack.env_file)) if stack.env_file else ()
    argv = (*stack.runtime.compose, "-p", stack.project, *files, *place, *variables, *profiles, *arguments)
    environment = {"COMPOSE_IGNORE_ORPHANS": "1", **stack.environment}
    return Command(argv, env=environment, cwd=stack.directory, stdin=stack.content, without=stack.without)
