"""The containers of a compose project as the engine describes them: labels and states, no book of our own."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import Any

from envctl import containers, runtimes, shell
from envctl.errors import UnavailableError
from envctl.runtimes import Runtime
from envctl.server_set import Observed
from envctl.values import dataclass

LABEL = "com.docker.compose."
LOOPBACK = ("127.", "::1")
EVERYWHERE = {"", "0.0.0.0", "::"}  # noqa: S104
CRASH_LOOP = 3
"""So many restarts by the engine are not a slow start any more."""
NEVER = "0001-01-01"
"""When a container was started that never was."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One container, now."""

    id: str
    name: str
    service: str
    image: str
    status: str
    health: str
    exit_code: int
    restarts: int
    pid: int
    started: str
    error: str
    environment: Mapping[str, str] = field(repr=False)
    command: tuple[str, ...] = field(repr=False)
    published: tuple[tuple[int, str, int], ...] = ()
    """(port in the container, host address, port there), IPv4 first."""
    hash: str = ""
    directory: str = ""

    @property
    def running(self) -> bool:
        return self.status in {"running", "restarting", "paused"}

    @property
    def never_ran(self) -> bool:
        """Whether it was made and could not be started: it has no data and nobody has used it."""
        return self.status in {"created", "initialized", "configured"} and self.started.startswith(NEVER)

    @property
    def failed(self) -> bool:
        """Whether waiting for it makes no sense any more."""
        ended = self.status in {"exited", "dead", "stopped"}
        return ended or self.unhealthy or self.restarts >= CRASH_LOOP

    @property
    def unhealthy(self) -> bool:
        """Whether its own check gave up on it; a stopped container keeps its last verdict, which says nothing."""
        return self.running and self.health == "unhealthy"

    @property
    def state(self) -> str:
        """The state in the words of `docker ps`."""
        if not self.running:
            return f"{self.status} ({self.exit_code})"
        return "unhealthy" if self.unhealthy else self.status

    @property
    def open_ports(self) -> tuple[str, ...]:
        """The published addresses that other machines can reach."""
        return tuple(
            f"{host or '0.0.0.0'}:{port}"  # noqa: S104
            for _, host, port in self.published
            if not host.startswith(LOOPBACK)
        )

    def observed(self, host: str) -> Observed:
        """What a service kind needs to recognise it; ports are published on `host` as seen from here."""
        ports = {
            inside: (host if address in EVERYWHERE else address, port)
            for inside, address, port in reversed(self.published)
        }
        return Observed(self.name, self.image, self.environment, self.command, ports)


def containers_of(runtime: Runtime, project: str) -> dict[str, Seen]:
    """Compose service → its container; of several, the first one. A daemon that is down is its own error."""
    done = shell.run(containers.ps(runtime, project), check=False, seconds=60)
    if done.code != 0:
        raise runtimes.daemon_error(runtime, done.err) or UnavailableError(
            f"{runtime.cli} cannot list its containers", cause=shell.tail(done.err), code="daemon_down"
        )
    found = sorted(inspect(runtime, done.out.split()), key=lambda one: one.name, reverse=True)
    return {one.service: one for one in found if one.service}


def inspect(runtime: Runtime, ids: Iterable[str]) -> list[Seen]:
    """What the engine says of these containers; one that has gone meanwhile is left out."""
    wanted = tuple(ids)
    if not wanted:
        return []
    done = shell.run(containers.inspect(runtime, wanted), check=False, seconds=60)
    parsed = json.loads(done.out or "[]")
    return [_seen(one) for one in parsed if _labels(one).get(LABEL + "oneoff", "False") != "True"]


def last_lines(runtime: Runtime, container: str, lines: int = 12) -> str:
    """The end of a container's log, for an error."""
    done = shell.run(containers.logs(runtime, container, last=lines), check=False, seconds=30)
    return shell.tail(done.out + done.err, lines)


def _seen(one: Mapping[str, Any]) -> Seen:
    state, config, labels = one.get("State") or {}, one.get("Config") or {}, _labels(one)
    health = state.get("Health") or state.get("Healthcheck") or {}
    pairs = (entry.partition("=") for entry in config.get("Env") or ())
    return Seen(
        id=one["Id"],
        name=one["Name"].lstrip("/"),
        service=labels.get(LABEL + "service", ""),
        image=config.get("Image") or "",
        status=state.get("Status", ""),
        health=health.get("Status", ""),
        exit_code=state.get("ExitCode", 0),
        restarts=one.get("RestartCount", 0),
        pid=state.get("Pid", 0),
        started=state.get("StartedAt", ""),
        error=state.get("Error", ""),
        environment={key: value for key, _, value in pairs},
        command=(one.get("Path", ""), *(one.get("Args") or ())),
        published=_published((one.get("NetworkSettings") or {}).get("Ports") or {}),
        hash=labels.get(LABEL + "config-hash", ""),
        directory=labels.get(LABEL + "project.working_dir", ""),
    )


def _labels(one: Mapping[str, Any]) -> Mapping[str, str]:
    return (one.get("Config") or {}).get("Labels") or {}


def _published(ports: Mapping[str, Any]) -> tuple[tuple[int, str, int], ...]:
    found = [
        (int(inside.partition("/")[0]), binding.get("HostIp", ""), int(binding["HostPort"]))
        for inside, bindings in ports.items()
        for binding in bindings or ()
        if not inside.endswith("/udp")
    ]
    return tuple(sorted(found, key=lambda one: (one[0], ":" in one[1])))
