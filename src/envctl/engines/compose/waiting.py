"""The wait for containers: until each has answered, or the first has failed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace

from envctl import compose_file
from envctl.compose_file import Declared
from envctl.containers import Stack
from envctl.engines.compose import errors as compose_errors
from envctl.engines.compose import seen as compose_seen
from envctl.engines.compose.seen import Seen
from envctl.errors import UnavailableError
from envctl.model import Address, Talk
from envctl.server_set import Server, ServerSet
from envctl.values import dataclass

PATIENCE = 120.0
"""How long a container may take from its start to its first answer."""
PAUSE = 0.1
QUIET = 5.0
"""After so long a person wants to know what is waited for."""


@dataclass(frozen=True, slots=True)
class Start:
    """One start: what it is for, and which compose service is which of ours."""

    servers: ServerSet
    stack: Stack
    chosen: Mapping[str, str]
    there: Mapping[str, Declared]
    host: str

    @property
    def with_others(self) -> tuple[str, ...]:
        """The compose services that will run: ours, and all that they depend on."""
        return compose_file.closure(tuple(self.chosen.values()), self.there)


def until_ready(job: Start, talk: Talk) -> dict[str, Server]:
    """Until every service has answered once; whoever fails first is reported with its log."""
    began, told = time.monotonic(), False
    ready: dict[str, Server] = {}
    while True:
        seen = compose_seen.containers_of(job.stack.runtime, job.stack.project)
        waiting = _others(job, seen)
        for service, name in sorted(job.chosen.items()):
            if name not in seen:
                raise compose_errors.gone(job.stack, service, name)
            if service in ready:
                continue
            try:
                ready[service] = _server(job, seen, service)
            except _NotYetError as error:
                waiting[name] = str(error)
        if not waiting:
            _warn(job, seen, talk)
            return ready
        waited = time.monotonic() - began
        if waited > QUIET and not told:
            talk(f"waiting for {', '.join(f'{name} ({why})' for name, why in sorted(waiting.items()))}")
            told = True
        if waited > PATIENCE:
            name, why = next(iter(waiting.items()))
            raise compose_errors.broken(
                job.stack.runtime, seen[name], name, cause=f"not ready after {PATIENCE:g} s: {why}"
            )
        time.sleep(PAUSE)


class _NotYetError(Exception):
    """It may still come up."""


def _server(job: Start, seen: Mapping[str, Seen], service: str) -> Server:
    """The server, once its container is healthy and it has answered us."""
    one = seen[job.chosen[service]]
    if one.failed:
        raise compose_errors.broken(job.stack.runtime, one, service)
    if one.status != "running" or (one.health == "starting" and not job.stack.runtime.podman):
        raise _NotYetError(one.health or one.status)
    kind = job.servers.needs[service].kind
    address = _address(job, one, service)
    try:
        version = kind.check(address)
    except UnavailableError as error:
        raise _NotYetError(error.cause or error.message) from error
    detail = {"container": one.name, "id": one.id, "image": one.image, "version": version}
    return Server(address, detail)


def _address(job: Start, one: Seen, service: str) -> Address:
    """How to get into the container: as its image says, or, where the configuration says what it is, as ours would."""
    need, observed = job.servers.needs[service], one.observed(job.host)
    if observed.ports and (address := need.kind.adopt(observed)):
        return address
    named = service in (getattr(job.servers.options, "services", None) or {})
    if observed.ports and named:
        usual = need.kind.container(need.settings).image
        if address := need.kind.adopt(replace(observed, image=usual)):
            return address
    raise compose_errors.unusable(one, observed, service, named=named)


def _others(job: Start, seen: Mapping[str, Seen]) -> dict[str, str]:
    """What ours depend on and is not done: healthy, simply running, or completed with 0."""
    waiting = {}
    for name in job.with_others:
        one = seen.get(name)
        if name in job.chosen.values() or one is None:
            continue
        if one.failed and not (one.status in {"exited", "stopped"} and one.exit_code == 0):
            raise compose_errors.broken(job.stack.runtime, one, name)
        if one.health == "starting" and not job.stack.runtime.podman:
            waiting[name] = one.health
    return waiting


def _warn(job: Start, seen: Mapping[str, Seen], talk: Talk) -> None:
    for service, name in sorted(job.chosen.items()):
        if seen[name].open_ports:
            ports = ", ".join(seen[name].open_ports)
            talk(
                f"warning: {service} is published on {ports}, where other machines reach it; "
                f"write 127.0.0.1 before the port in {job.stack.file}"
            )
