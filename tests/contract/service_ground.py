"""What the contract tests stand on: servers that an engine runs, and claims on them."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from docker import DockerClient
from envctl import containers, engines, runtimes, services, shell
from envctl.errors import EnvctlError
from envctl.model import Address, Claim, Environment, Owner
from envctl.server_set import Need, Running, ServerSet
from envctl.services.base import Service

EngineId = Literal["embedded", "compose"]


def engine_names() -> list[EngineId]:
    """The engines that can run servers on this machine; ENVCTL_REQUIRE_DOCKER=1 makes a missing Docker a failure."""
    return ["embedded", "compose"] if _docker() else ["embedded"]


def required() -> bool:
    """Whether a Docker that is missing is a failure."""
    return os.environ.get("ENVCTL_REQUIRE_DOCKER") == "1"


def has_image(name: str) -> bool:
    """Whether an image is here already."""
    return shell.run(containers.image(runtimes.detect(), name), check=False).code == 0


def _docker() -> bool:
    if required():
        return True
    try:
        runtimes.require_daemon(runtimes.detect())
    except EnvctlError:
        return False
    return True


class Servers:
    """The servers of one engine, each started when it is first asked for."""

    def __init__(self, engine: EngineId, home: Path, cleanup: ExitStack) -> None:
        self.engine = engine
        self._home = home
        self._cleanup = cleanup
        self._addresses: dict[str, Address] = {}

    def address(self, service: str) -> Address:
        """The administrator's address of that service."""
        if service not in self._addresses:
            asked = serving(self.engine, service, settings_for(service), self._home / service)
            self._addresses[service] = self._cleanup.enter_context(asked)
        return self._addresses[service]


@contextmanager
def serving(
    engine: EngineId, service: str, settings: Any, home: Path, *, name: Literal["dev", "test"] = "test"
) -> Iterator[Address]:
    """One server of this service by this engine, in a server set of its own; nothing of it stays."""
    checkout = home / "checkout"
    checkout.mkdir(parents=True, exist_ok=True)
    needs = {service: Need(services.get(service), settings)}
    asked = ServerSet(f"contract-{secrets.token_hex(4)}", name, engine, home / "set", needs, checkout, idle=0)
    book: list[Running] = []
    try:
        running = engines.get(engine).start(asked, None, book.append, _silent)
        yield running.servers[service].address
    finally:
        if book:
            engines.get(engine).stop(book[-1], _silent)
        if book and engine == "compose":
            _remove(asked.project)


def _remove(project: str) -> None:
    """The containers, volumes and networks of a compose project."""
    client = DockerClient(base_url=runtimes.endpoint(runtimes.detect()) or None, timeout=30)
    mine: dict[str, str | list[str] | bool] = {"label": f"com.docker.compose.project={project}"}
    for container in client.containers.list(all=True, filters=mine):
        container.remove(force=True, v=True)
    for volume in client.volumes.list(filters=mine):
        volume.remove()
    for network in client.networks.list(filters=mine):
        network.remove()
    client.close()


def _silent(_: str) -> None:
    """What engines say while they work is not under test here."""


@dataclass(frozen=True)
class Ground:
    """One service on one running server, and a project that nothing else on that server belongs to."""

    service: Service
    settings: Any
    address: Address
    project: str
    memory: Path

    def claim(self, namespace: str, worker: str = "", environment: Environment = "test") -> Claim:
        """What `namespace` (or one worker of it) asks of this service. The same arguments give the same claim."""
        tail = f"{namespace}_{worker}" if worker else namespace
        identity = f"{self.project}_{environment}_{tail}"
        owner = Owner(
            project=self.project,
            environment=environment,
            namespace=namespace,
            workspace=f"/home/dev/{namespace}",
            branch=f"feature/{namespace}",
            host="laptop",
            created="2026-01-02T03:04:05Z",
            worker=worker,
        )
        logical_names = self.service.logical_names(self.settings)
        names = {logical: _physical(pattern, logical, identity) for pattern, logical in logical_names}
        secret = f"secret-{identity}-0123456789abcdef"
        return Claim(owner, identity, names, secret, self.memory / identity)

    def stranger(self) -> Ground:
        """The same server, seen by another project."""
        return replace(self, project=f"{self.project}other")


def _physical(pattern: str, logical: str, identity: str) -> str:
    return f"{logical}-{identity}".replace("_", "-") if pattern == "bucket" else identity


def settings_for(service: str) -> Any:
    """The settings that the contract tests run a service with."""
    kind = services.get(service).settings
    return kind(buckets=("statements", "exports")) if service == "s3" else kind()
