"""docker, podman and the four compose programs: which of them is there, and whether its engine answers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Literal
from urllib.parse import urlsplit

from envctl import shell
from envctl.errors import EnvctlError, UnavailableError, UsageError
from envctl.model import Command
from envctl.values import dataclass

RuntimeName = Literal["docker compose", "podman compose", "podman-compose", "docker-compose"]

DAEMON_DOWN = (
    "cannot connect to the docker daemon",
    "failed to connect to the docker api",
    "is the docker daemon running",
    "error during connect",
    "cannot connect to podman",
    "unable to connect to podman",
)
DAEMON_DENIED = ("permission denied while trying to connect",)


@dataclass(frozen=True, slots=True)
class Runtime:
    """One way to run compose files: the compose program, and the engine's own command line beside it."""

    name: RuntimeName
    compose: tuple[str, ...]
    cli: str

    @property
    def podman(self) -> bool:
        """Podman runs health checks by systemd timers, which not every machine has."""
        return self.cli == "podman"

    @property
    def modern(self) -> bool:
        """Whether it is docker's compose (v2 or later), whichever engine is behind it."""
        return self.name != "podman-compose"


RUNTIMES = (
    Runtime("docker compose", ("docker", "compose"), "docker"),
    Runtime("podman compose", ("podman", "compose"), "podman"),
    Runtime("podman-compose", ("podman-compose",), "podman"),
    Runtime("docker-compose", ("docker-compose",), "docker"),
)
"""In the order in which they are looked for."""


def detect(environ: Mapping[str, str] | None = None, preferred: str = "") -> Runtime:
    """The runtime to use: the asked-for one, or the first that is there. Its engine has answered."""
    variables = os.environ if environ is None else environ
    asked = variables.get("ENVCTL_COMPOSE") or preferred
    found = _asked(asked) if asked else _first()
    require_daemon(found)
    return found


def named(name: str) -> Runtime:
    """The runtime of that name, as the configuration or a record has it."""
    for runtime in RUNTIMES:
        if runtime.name == name:
            return runtime
    known = ", ".join(f'"{runtime.name}"' for runtime in RUNTIMES)
    raise UsageError(
        f'there is no compose runtime "{name}"',
        hint=f"set [compose] runtime or ENVCTL_COMPOSE to one of {known}",
        code="no_compose",
    )


def require_daemon(runtime: Runtime) -> str:
    """The version of the engine that answers; an engine that does not is an error of its own."""
    done = shell.run(server_version(runtime), check=False, seconds=30)
    if done.code == 0 and done.out.strip():
        return done.out.strip()
    raise daemon_error(runtime, done.err or done.out) or UnavailableError(
        f"{runtime.cli} is there, but its engine does not answer", cause=shell.tail(done.err), code="daemon_down"
    )


def daemon_error(runtime: Runtime, said: str) -> UnavailableError | None:
    """The error for an engine that is down or closed to this user, if that is what `said` says."""
    lowered = said.lower()
    if any(words in lowered for words in DAEMON_DENIED):
        return UnavailableError(
            f"this user may not talk to the {runtime.cli} daemon",
            cause=shell.tail(said, 1),
            hint="add yourself to its group: sudo usermod -aG docker $USER, then log in again",
            code="daemon_denied",
        )
    if any(words in lowered for words in DAEMON_DOWN):
        start = "podman machine start" if runtime.podman else "sudo systemctl start docker, or start Docker Desktop"
        return UnavailableError(
            f"the {runtime.cli} client is there, but no daemon answers it",
            cause=shell.tail(said, 1),
            hint=f"{start}; or use --engine embedded, which needs none",
            code="daemon_down",
        )
    return None


def endpoint(runtime: Runtime) -> str:
    """Where the engine is reached, contexts included; empty for an engine without one."""
    if runtime.podman:
        return ""
    argv = ("docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}")
    return shell.run(Command(argv), check=False, seconds=30).out.strip()


def published_host(endpoint: str) -> str:
    """The host on which an engine's published ports are reached from here."""
    url = urlsplit(endpoint)
    return (url.hostname or "127.0.0.1") if url.scheme in {"tcp", "ssh", "http", "https"} else "127.0.0.1"


def server_version(runtime: Runtime) -> Command:
    """Prints the engine's version."""
    if runtime.podman:
        return Command(("podman", "info", "--format", "{{.Version.Version}}"))
    return Command(("docker", "version", "--format", "{{.Server.Version}}"))


def compose_version(runtime: Runtime) -> Command:
    """Prints the version; fails where the compose program or plugin is missing."""
    return Command((*runtime.compose, "version", "--short"))


def _asked(name: str) -> Runtime:
    runtime = named(name)
    if not _there(runtime):
        raise EnvctlError(
            f"{runtime.name} was asked for and is not installed",
            hint="install it, or leave [compose] runtime and ENVCTL_COMPOSE away to use what is there",
            code="no_compose",
        )
    return runtime


def _first() -> Runtime:
    for runtime in RUNTIMES:
        if _there(runtime):
            return runtime
    there = " and ".join(cli for cli in ("docker", "podman") if shell.which(cli))
    raise EnvctlError(
        "no compose program is installed",
        cause=f"{there} is there without its compose plugin" if there else "neither docker nor podman is on PATH",
        hint="install docker-compose-plugin or podman-compose; or use --engine embedded, which needs neither",
        code="no_compose",
    )


def _there(runtime: Runtime) -> bool:
    if shell.which(runtime.compose[0]) is None or shell.which(runtime.cli) is None:
        return False
    done = shell.run(compose_version(runtime), check=False, seconds=30)
    major = done.out.strip().lstrip("v").partition(".")[0]
    return done.code == 0 and (not runtime.modern or not major.isdigit() or int(major) >= 2)
