"""Bringing local servers up: data folder, process, ready; whatever dies on the way, the next caller goes on."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import field
from pathlib import Path
from signal import SIGKILL

from envctl import locks, ports, unprivileged
from envctl.engines.base import Record
from envctl.engines.embedded import daemon, folders, jobs
from envctl.engines.embedded.daemon import Daemon
from envctl.engines.embedded.jobs import Job
from envctl.errors import EnvctlError, PortTakenError, UnavailableError
from envctl.model import Talk
from envctl.server_set import Running, Server
from envctl.values import dataclass

READY_WITHIN = 60.0
ADOPT_WITHIN = 10.0
ATTEMPTS = 4


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


def bring_up(wanted: list[Job], book: Book, talk: Talk) -> None:
    """All at once. If one fails, or we are interrupted, what this call started is stopped again."""
    started: list[str] = []
    with ThreadPoolExecutor(max_workers=max(len(wanted), 1)) as pool:
        futures = [pool.submit(_keep_or_start, job, book, started, talk) for job in wanted]
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


def _keep_or_start(job: Job, book: Book, started: list[str], talk: Talk) -> None:
    if daemon.runs(job.daemon):
        if _answers(job, book):
            return
        if daemon.listens(job.daemon, job.server.address.port):
            raise _refuses(job)
        talk(f"{job.service} never got as far as listening: starting it again")
        daemon.stop(job.daemon, signal=int(job.server.detail["signal"]))
        job = jobs.anew(job)
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
                raise jobs.taken(job.service, job.need.port) from None
            job = _moved(job, book, talk)


def _moved(job: Job, book: Book, talk: Talk) -> Job:
    elsewhere = jobs.moved(job)
    before, now = job.server.address.port, elsewhere.server.address.port
    if before != now:
        talk(f"{job.service}: port {before} is taken, using {now}")
    book.change(job.service, elsewhere.server)
    return elsewhere


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
