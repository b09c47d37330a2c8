"""One local server to bring up: what is decided before it starts, so that it can be put on record first."""

from __future__ import annotations

import os
import secrets
from dataclasses import replace
from pathlib import Path

from envctl import ports, state, unprivileged
from envctl.engines.embedded import daemon, folders
from envctl.engines.embedded.daemon import Daemon
from envctl.errors import PortTakenError
from envctl.model import Address
from envctl.server_set import Need, Place, Program, Server, ServerSet
from envctl.unprivileged import Way
from envctl.values import dataclass

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Job:
    """One server to bring up, or to keep if it answers."""

    service: str
    need: Need
    servers: ServerSet
    program: Program
    way: Way
    server: Server

    @property
    def daemon(self) -> Daemon:
        """Its process."""
        return daemon.of(self.service, self.server)

    @property
    def data(self) -> Path:
        """Its data folder."""
        return Path(self.server.detail["data"])

    def place(self, data: Path) -> Place:
        """What the service is told; while it is filled, the data folder has another name."""
        numbers = tuple(int(port) for port in self.server.detail["ports"].split())
        return Place(data, self.server.address, numbers, self.servers.durable)


def plan(servers: ServerSet, name: str, need: Need, kept: Server | None) -> Job:
    """The server that is there, or one that is to be made."""
    program = need.kind.program(need.settings)
    way = unprivileged.way(program)
    return Job(name, need, servers, program, way, kept or _server(servers, name, need, program, way))


def anew(job: Job) -> Job:
    """The same job with another server, where the one that there was never got as far as listening."""
    return replace(job, server=_server(job.servers, job.service, job.need, job.program, job.way))


def moved(job: Job) -> Job:
    """The same server on other ports, for those that a stranger took between our look and its start."""
    old = [int(port) for port in job.server.detail["ports"].split()]
    new = [
        port if ports.is_free(port) else ports.again(_key(job.servers.home, job.service, index))
        for index, port in enumerate(old)
    ]
    address = replace(job.server.address, port=new[0])
    return replace(job, server=Server(address, {**job.server.detail, "ports": " ".join(map(str, new))}))


def taken(service: str, port: int) -> PortTakenError:
    """The error for a fixed port that is somebody else's: no other port will do."""
    return PortTakenError(
        f"port {port} of {service} is taken",
        cause="the configuration gives the server this port and no other, and something else listens there",
        hint=f"see who: ss -ltnp 'sport = :{port}'; end it, or give {service} another port",
    )


def _server(servers: ServerSet, name: str, need: Need, program: Program, way: Way) -> Server:
    found = daemon.at(servers.home, name)
    runs = daemon.runs(found)
    if need.port and not runs and not ports.is_free(need.port):
        raise taken(name, need.port)
    book = ports.lookup if runs else ports.take  # A server whose record was lost is on its port.
    numbers = [book(_key(servers.home, name, index)) for index in range(program.ports)]
    numbers[0] = need.port or numbers[0]
    detail = {
        "program": program.name,
        "data": str(folders.data(servers.home, program.name, way, durable=servers.durable)),
        "ports": " ".join(map(str, numbers)),
        "signal": str(int(program.stop_signal)),
        "litter": program.litter,
        "files": os.pathsep.join(str(path) for path in program.files),
        "alive": str(found.alive),
        "log": str(found.log),
    }
    return Server(Address(HOST, numbers[0], program.user, _password(servers.home)), detail)


def _key(home: Path, name: str, index: int) -> str:
    return f"{home}:{name}:{index}"


def _password(home: Path) -> str:
    """The administrator's password of this set; kept apart from the record, for the data outlive every record."""
    path = home / "secret.json"
    known = state.read(path, hint=f"restore {path}: the servers' data cannot be opened without it")
    if known is None:
        known = {"password": secrets.token_hex(16)}
        state.write(path, known)
    return str(known["password"])
