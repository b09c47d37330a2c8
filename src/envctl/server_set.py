"""A set of servers, as values: what a service needs of whoever runs its server, and what is known of one that runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Any, Literal, Protocol

from envctl.model import Address, Command, EngineName
from envctl.values import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """What an engine gives a service that it runs as a local process."""

    data: Path
    address: Address
    ports: tuple[int, ...]
    durable: bool


@dataclass(frozen=True, slots=True)
class Program:
    """What an engine must know about a server before it runs it as a local process."""

    name: str
    """Names the data folder; another major version is another name: `postgres-18`."""
    ports: int = 1
    user: str = ""
    unprivileged: bool = False
    files: tuple[Path, ...] = ()
    """Folders that the unprivileged user must be able to read."""
    stop_signal: int = 15
    litter: str = ""
    """Sockets that it may leave outside of its data folder: a pattern, with `{port}` for each of its ports."""


@dataclass(frozen=True, slots=True)
class Container:
    """What a service needs as a container, for envctl's own compose file."""

    image: str
    port: int
    environment: Mapping[str, str]
    command: tuple[str, ...]
    volume: str
    hasty: tuple[str, ...] = ()
    """Flags for its command where its data may be lost: nothing is done for the case of a crash."""


@dataclass(frozen=True, slots=True)
class Observed:
    """A running container as its engine describes it."""

    name: str
    image: str
    environment: Mapping[str, str] = field(repr=False)
    command: tuple[str, ...] = field(repr=False)
    ports: Mapping[int, tuple[str, int]] = field(default_factory=dict)
    """Container port → published (host, port)."""


class ServerKind(Protocol):
    """The half of a service that engines see: which server it needs and when that is ready."""

    name: str

    def program(self, settings: Any) -> Program:
        """The server as a local process; raises with a remedy when this machine cannot run it."""
        ...

    def init(self, settings: Any, place: Place) -> tuple[Command, ...]:
        """Commands that fill `place.data` before the first start; published by a rename afterwards."""
        ...

    def serve(self, settings: Any, place: Place) -> Command:
        """The command that serves, in the foreground, on `place.ports`, loopback only, with a password."""
        ...

    def container(self, settings: Any) -> Container:
        """The server as a container. `${ENVCTL_PASSWORD}` stands for the administrator's password."""
        ...

    def adopt(self, seen: Observed) -> Address | None:
        """The administrator's address of a running container, or None if it is not one of ours to use."""
        ...

    def external(self, url: str) -> Address:
        """Parse the URL of a server that somebody else runs."""
        ...

    def check(self, address: Address) -> str:
        """The server's version, from one real round trip; raises UnavailableError while it is not ready."""
        ...


@dataclass(frozen=True, slots=True)
class Need:
    """One server that a set must have: its kind, this project's settings for it, and its port where that is fixed."""

    kind: ServerKind
    settings: Any
    port: int = 0


@dataclass(frozen=True, slots=True)
class ServerSet:
    """The servers that all checkouts share for one purpose, or one run's own. `home` is the set's state folder."""

    project: str
    name: Literal["dev", "test", "run"]
    engine: EngineName
    home: Path
    needs: Mapping[str, Need]
    checkout: Path
    idle: float
    options: Any = None
    """The engine's own settings, as the configuration gives them."""
    exported: tuple[str, ...] = ()
    """What sandboxes of the project export: a shell that has one of them says nothing of the servers by it."""

    @property
    def durable(self) -> bool:
        """Whether what is stored must outlive the servers."""
        return self.name == "dev"


@dataclass(frozen=True, slots=True)
class Server:
    """One server as the record knows it; `detail` is the engine's own memory (pid, data folder, container)."""

    address: Address
    detail: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Running:
    """The record of a server set: written before anything starts, `ready` last."""

    engine: EngineName
    servers: Mapping[str, Server]
    ready: bool = False
    detail: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sighting:
    """What an engine sees of one server now."""

    service: str
    state: Literal["running", "starting", "unhealthy", "stopped"]
    detail: str = ""
    pid: int = 0
