"""Bringing local servers up: data folder, ports, process, ready; whatever dies on the way, the next caller goes on."""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import field, replace
from pathlib import Path
from signal import SIGKILL

from envctl import locks, ports, state, unprivileged
from envctl.engines.base import Record
from envctl.engines.embedded import daemon, folders
from envctl.engines.embedded.daemon import Daemon
from envctl.errors import EnvctlError, PortTakenError, UnavailableError
from envctl.model import Address, Need, Place, Program, Running, Server, ServerSet, Talk
from envctl.unprivileged import Way
from envctl.values import dataclass

HOST = "127.0.0.1"
READY_WITHIN = 60.0
ADOPT_WITHIN = 10.0
ATTEMPTS = 4


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


@dataclass
class Book:
    """The record while servers come up, which several threads write."""

    record: Record
    home: Path
    servers: dict[str, Server]
    lock: threading.Lock = field(default_factory=threading.Lock)
    given_up: threading.Event = field(default_factory=threading.Event)

    def write(self, *, ready: bool) -> Running:
        """Put the servers on record."""
        running = Running("embedded", dict(self.servers), ready=ready, detail={"home": str(self.home)})
        self.record(running)
        return running

    def change(self, name: str, server: Server) -> None:
        """Put a changed server on record, before it is started."""
        with self.lock:
            self.servers[name] = server
            self.write(ready=False)


def plan(servers: ServerSet, name: str, need: Need, kept: Server | None) -> Job:
    """Everything about a server that is decided before it starts, so that it can be put on record first."""
    program = need.kind.program(need.settings)
    way = unprivileged.way(program)
    return Job(name, need, servers, program, way, kept or _server(servers, name, program, way, need.port))


def bring_up(jobs: list[Job], book: Book, talk: Talk) -> None:
    """All at once. If one fails, or we are interrupted, what this call started is stopped again."""
    started: list[str] = []
    with ThreadPoolExecutor(max_workers=max(len(jobs), 1)) as pool:
        futures = [pool.submit(_keep_or_start, job, book, started, talk) for job in jobs]
        try:
            for future in futures:
                future.result()
        except BaseException:
            book.given_up.set()
            for future in futures:
                with suppress(Exception):
                    future.result()
            stop_all({name: book.servers[name] for name in started})
            raise


def stop_all(servers: Mapping[str, Server]) -> None:
    """End them side by side; the first failure is raised once all have been tried."""
    _each([(daemon.of(name, one), int(one.detail["signal"])) for name, one in servers.items()])
    sweep(servers)


def stop_unrecorded(home: Path) -> None:
    """End whatever holds a server's lock in this state folder; its data are not wanted any more."""
    found = (daemon.at(home, path.stem) for path in (home / "run").glob("*.alive"))
    _each([(one, SIGKILL) for one in found if daemon.runs(one)])


def sweep(servers: Mapping[str, Server]) -> None:
    """Remove what stopped servers left outside of their data folders, unless a stranger listens there now."""
    for one in servers.values():
        unused = [port for port in one.detail["ports"].split() if ports.is_free(int(port))]
        folders.forget_litter(one.detail.get("litter", ""), unused)


def _each(ending: Iterable[tuple[Daemon, int]]) -> None:
    with ThreadPoolExecutor() as pool:
        futures = [pool.submit(daemon.stop, one, signal=signal) for one, signal in ending]
    for future in futures:
        future.result()


def _server(servers: ServerSet, name: str, program: Program, way: Way, fixed: int) -> Server:
    found = daemon.at(servers.home, name)
    runs = daemon.runs(found)
    if fixed and not runs and not ports.is_free(fixed):
        raise _taken(name, fixed)
    book = ports.lookup if runs else ports.take  # A server whose record was lost is on its port.
    numbers = [book(_key(servers.home, name, index)) for index in range(program.ports)]
    numbers[0] = fixed or numbers[0]
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


def _taken(service: str, port: int) -> PortTakenError:
    return PortTakenError(
        f"port {port} of {service} is taken",
        cause="the configuration gives the server this port and no other, and something else listens there",
        hint=f"see who: ss -ltnp 'sport = :{port}'; end it, or give {service} another port",
    )


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


def _keep_or_start(job: Job, book: Book, started: list[str], talk: Talk) -> None:
    if daemon.runs(job.daemon):
        if _answers(job, book):
            return
        if daemon.listens(job.daemon, job.server.address.port):
            raise _refuses(job)
        talk(f"{job.service} never got as far as listening: starting it again")
        daemon.stop(job.daemon, signal=int(job.server.detail["signal"]))
        job = replace(job, server=_server(job.servers, job.service, job.program, job.way, job.need.port))
        book.change(job.service, job.server)
    started.append(job.service)
    talk(f"starting {job.service}")
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _start(job, book)
            break
        except PortTakenError:
            if attempt == ATTEMPTS:
                raise
            if job.need.port and not ports.is_free(job.need.port):
                raise _taken(job.service, job.need.port) from None
            job = _moved(job, book, talk)


def _refuses(job: Job) -> EnvctlError:
    """It is up and may serve others: it is not for us to end it, whatever it has against us."""
    return UnavailableError(
        f"{job.service} runs but does not take us in",
        cause=_refusal(job),
        hint="if nobody needs it, stop it and start again: envctl dev down --all",
        code="server_refuses",
    )


def _start(job: Job, book: Book) -> None:
    """Fill the data folder if there is none, then serve. One lock covers both, and whatever they leave behind."""
    daemon.rotate(job.daemon)
    offset = daemon.size(job.daemon)
    descriptor = daemon.claim(job.daemon)
    try:
        if not job.data.exists():
            _init(job, book, descriptor, offset)
        command = job.need.kind.serve(job.need.settings, job.place(job.data))
        daemon.start(job.daemon, unprivileged.wrap(job.way, command), descriptor)
    finally:
        locks.free(descriptor)
    _until_ready(job, book, offset)


def _init(job: Job, book: Book, descriptor: int, offset: int) -> None:
    new = folders.fresh(job.data, job.way)
    for command in job.need.kind.init(job.need.settings, job.place(new)):
        code = daemon.run(job.daemon, unprivileged.wrap(job.way, command), descriptor, book.given_up)
        if code != 0:
            raise _failed(job, f"{job.service} could not make its data folder", offset)
    folders.publish(new, job.data)


def _answers(job: Job, book: Book) -> bool:
    """Whether a server that somebody else started is ready, or becomes it soon."""
    end = time.monotonic() + ADOPT_WITHIN
    while daemon.leads(job.daemon) and time.monotonic() < end and not book.given_up.wait(0.01):
        if not _refusal(job):
            return True
    return False


def _until_ready(job: Job, book: Book, offset: int) -> None:
    end = time.monotonic() + READY_WITHIN
    pause = 0.005
    while refusal := _refusal(job):
        if not daemon.runs(job.daemon):
            raise _failed(job, f"{job.service} ended while it started", offset)
        if time.monotonic() > end:
            raise _failed(job, f"{job.service} was not ready after {READY_WITHIN:g} s ({refusal})", offset)
        if book.given_up.wait(pause):
            raise UnavailableError(f"the start of {job.service} was given up")
        pause = min(pause * 1.3, 0.05)


def _refusal(job: Job) -> str:
    """Why the server is not ready yet; empty when it answers. Only our own process is asked, and shown a secret."""
    if not daemon.listens(job.daemon, job.server.address.port):
        return "it does not listen yet"
    try:
        job.need.kind.check(job.server.address)
    except UnavailableError as error:
        if error.code == "password":
            raise
        return " ".join((error.message, error.cause)).strip() or "no answer"
    return "" if daemon.runs(job.daemon) else "somebody else's server answered"


def _failed(job: Job, message: str, offset: int) -> EnvctlError:
    said = daemon.last_lines(job.daemon, offset)
    hint = f"the whole log is {job.daemon.log}"
    if "address already in use" in said.lower():
        return PortTakenError(message, cause=said, hint=hint)
    return UnavailableError(message, cause=said, hint=hint, code="server_failed")


def _moved(job: Job, book: Book, talk: Talk) -> Job:
    """The same server on other ports, for those that a stranger took between our look and its start."""
    old = [int(port) for port in job.server.detail["ports"].split()]
    new = [
        port if ports.is_free(port) else ports.again(_key(job.servers.home, job.service, index))
        for index, port in enumerate(old)
    ]
    if old[0] != new[0]:
        talk(f"{job.service}: port {old[0]} is taken, using {new[0]}")
    address = replace(job.server.address, port=new[0])
    server = Server(address, {**job.server.detail, "ports": " ".join(map(str, new))})
    book.change(job.service, server)
    return replace(job, server=server)
