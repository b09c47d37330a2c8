"""Real servers for the contract tests: every engine that works here, and each service in it."""

from __future__ import annotations

import os
import secrets
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest

from envctl import services, shell
from envctl.errors import UnavailableError
from envctl.model import Address, Claim, Command, Environment, Owner, Place
from envctl.services.base import Service

STARTUP = 60.0


class Servers(Protocol):
    """The running servers of one engine, each started when it is first asked for."""

    def address(self, service: str) -> Address: ...


def engine_names() -> list[str]:
    """The engines that can run servers on this machine."""
    return ["embedded"]


@pytest.fixture(scope="session", params=engine_names())
def servers(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """One engine's servers, shared by all contract tests and gone after them."""
    with ExitStack() as cleanup:
        yield Processes(tmp_path_factory.mktemp(request.param), cleanup)


@pytest.fixture(params=list(services.REGISTRY))
def service(request: pytest.FixtureRequest) -> str:
    """The service under test; a module about one service overrides this."""
    name: str = request.param
    return name


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
        names = {logical: _physical(pattern, logical, identity) for pattern, logical in self._logical()}
        secret = f"secret-{identity}-0123456789abcdef"
        return Claim(owner, identity, names, secret, self.memory / identity)

    def _logical(self) -> tuple[tuple[str, str], ...]:
        return self.service.logical_names(self.settings)


def _physical(pattern: str, logical: str, identity: str) -> str:
    return f"{logical}-{identity}".replace("_", "-") if pattern == "bucket" else identity


@pytest.fixture
def ground(servers: Servers, service: str, tmp_path: Path) -> Ground:
    """The service on a running server, with a project of this test's own."""
    subject = services.get(service)
    project = f"shop{secrets.token_hex(3)}"
    memory = tmp_path / "memory"
    memory.mkdir(mode=0o700)
    return Ground(subject, settings_for(service), servers.address(service), project, memory)


def settings_for(service: str) -> Any:
    """The settings that the contract tests run a service with."""
    kind = services.get(service).settings
    return kind(buckets=("statements", "exports")) if service == "s3" else kind()


class Processes:
    """Servers as plain child processes on free loopback ports."""

    def __init__(self, home: Path, cleanup: ExitStack) -> None:
        self._home = home
        self._cleanup = cleanup
        self._running: dict[str, Address] = {}

    def address(self, service: str) -> Address:
        if service not in self._running:
            started = serving(services.get(service), settings_for(service), self._home / service)
            self._running[service] = self._cleanup.enter_context(started)
        return self._running[service]


@contextmanager
def serving(
    service: Service, settings: Any, home: Path, *, place: Place | None = None, durable: bool = False
) -> Iterator[Address]:
    """A server of this service as a child process: made, started, ready; ended by its pid."""
    program = service.program(settings)
    place = place or new_place(service, settings, home, durable=durable)
    if not place.data.exists():
        place.data.mkdir(mode=0o700, parents=True)
        for command in service.init(settings, place):
            shell.run(wrapped(command, unprivileged=program.unprivileged))
    command = wrapped(service.serve(settings, place), unprivileged=program.unprivileged)
    with tempfile.TemporaryFile() as script, (home / "log").open("ab") as log:
        script.write(command.stdin.encode())
        script.seek(0)
        process = shell.spawn(command, log=log, stdin=script)
    try:
        ready(service, place.address, process, home / "log")
        yield place.address
    finally:
        process.send_signal(program.stop_signal)
        try:
            process.wait(15)
        except Exception:
            process.kill()
            process.wait()


def new_place(service: Service, settings: Any, home: Path, *, durable: bool = False) -> Place:
    """Free ports, a random password and a data folder below `home`."""
    program = service.program(settings)
    ports = free_ports(program.ports)
    address = Address("127.0.0.1", ports[0], program.user, secrets.token_hex(16))
    return Place(home / "data", address, ports, durable)


def wrapped(command: Command, *, unprivileged: bool) -> Command:
    """The command as another user in root's eyes, where the server refuses to run as root."""
    if not unprivileged or os.geteuid() != 0:
        return command
    prefix = ("unshare", "--user", "--map-user=65534", "--map-group=65534")
    return Command(prefix + command.argv, command.env, command.cwd, command.stdin)


def ready(service: Service, address: Address, process: Any, log: Path) -> None:
    """Return as soon as the server answers; fail with its log when it ends or never does."""
    deadline = time.monotonic() + STARTUP
    while True:
        try:
            service.check(address)
        except UnavailableError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"{error}\n{shell.tail(log.read_text(), 40)}") from error
            time.sleep(0.02)
        else:
            return


def free_ports(count: int) -> tuple[int, ...]:
    """Distinct loopback ports that nobody listens on."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return tuple(int(each.getsockname()[1]) for each in sockets)
