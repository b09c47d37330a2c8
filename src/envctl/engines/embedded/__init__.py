"""Servers as local processes: no containers, no root, nothing but the binaries."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING

from envctl.engines.base import Record
from envctl.engines.embedded import daemon, proof
from envctl.model import Resource, Talk
from envctl.server_set import Running, Server, ServerSet, Sighting

if TYPE_CHECKING:
    from envctl.engines.embedded.launch import Book


class Embedded:
    """The engine that runs services as processes of this machine; what starts and stops them is imported for that."""

    name = "embedded"

    def start(self, servers: ServerSet, before: Running | None, record: Record, talk: Talk) -> Running:
        """Keep what runs and answers, start the rest side by side, all or nothing of what this call starts."""
        from envctl.engines.embedded import folders, jobs, launch

        kept = _living(before)
        if not kept:
            folders.forget_old_scratch(servers.home)
        wanted = [jobs.plan(servers, name, need, kept.get(name)) for name, need in servers.needs.items()]
        book = launch.Book(record, servers.home, {**kept, **{job.service: job.server for job in wanted}})
        book.write(ready=False)
        try:
            launch.bring_up(wanted, book, talk)
        except BaseException:
            _give_up(servers, before, kept, book)
            raise
        return book.write(ready=True)

    def recreate(self, servers: ServerSet, before: Running | None, record: Record, talk: Talk) -> Running:
        """A server's settings are given to it at its start."""
        if before is not None:
            record(replace(before, ready=False))
            self.stop(before, talk)
        return self.start(servers, before, record, talk)

    def alive(self, running: Running) -> bool:
        """Whether every recorded server's lock is held and its first process is there."""
        return all(daemon.leads(daemon.of(name, server)) for name, server in running.servers.items())

    def stop(self, running: Running, talk: Talk) -> None:
        """End all recorded servers side by side; throw-away data go with them."""
        from envctl.engines.embedded import folders, launch

        up = _living(running)
        if up:
            talk(f"stopping {', '.join(up)}")
        launch.stop_all(up)
        launch.sweep(running.servers)
        if home := running.detail.get("home"):
            folders.forget_scratch(Path(home))

    def forget(self, home: Path, running: Running | None, talk: Talk) -> None:
        """End also what no record tells of: every server's lock lies in the state folder."""
        from envctl.engines.embedded import folders, launch

        if running is not None:
            self.stop(running, talk)
        launch.stop_unrecorded(home)
        folders.forget_scratch(home)

    def look(self, running: Running) -> tuple[Sighting, ...]:
        """What the kernel says of each recorded server, and whether its port answers."""
        return tuple(_sighting(name, server, running.ready) for name, server in running.servers.items())

    def logs(self, running: Running, service: str, *, follow: bool) -> Iterator[str]:
        """The lines that the server wrote, and with `follow` those it will write."""
        return _lines(daemon.of(service, running.servers[service]).log, follow)

    def leftovers(self, project: str, *, stack: str = "", sizes: bool = True) -> tuple[Resource, ...]:
        """Everything of the project, marked as its own."""
        from envctl.engines.embedded import leftovers

        return leftovers.of(project, sizes=sizes)

    def discard(self, resource: Resource) -> None:
        """Remove one of them."""
        from envctl.engines.embedded import leftovers

        leftovers.discard(resource)

    def differences(self, servers: ServerSet, running: Running) -> tuple[str, ...]:
        """Where another version runs than this checkout asks for. A service that is missing is none: it is added."""
        found = {name: server.detail["program"] for name, server in running.servers.items()}
        wanted = {name: need.kind.program(need.settings).name for name, need in servers.needs.items()}
        other = (
            f"{name}: {found[name]} is running, this checkout asks for {program}"
            for name, program in wanted.items()
            if found.get(name, program) != program
        )
        moved = (
            f"{name} listens on port {running.servers[name].address.port}, this checkout asks for {need.port}"
            for name, need in servers.needs.items()
            if name in running.servers and need.port not in (0, running.servers[name].address.port)
        )
        return (
            *other,
            *moved,
            *(_uprooted(name, server) for name, server in running.servers.items() if _missing(server)),
        )


ENGINE = Embedded()


def _missing(server: Server) -> list[str]:
    """The folders a running server was started from and that are gone: somebody removed that environment."""
    return [path for path in server.detail.get("files", "").split(os.pathsep) if path and not Path(path).exists()]


def _uprooted(name: str, server: Server) -> str:
    return f"{name} runs from files that are gone ({', '.join(_missing(server))}): parts of it will fail"


def _living(running: Running | None) -> dict[str, Server]:
    """The recorded servers of which any process lives; also those that only another checkout needs."""
    recorded = running.servers if running else {}
    return {name: server for name, server in recorded.items() if daemon.runs(daemon.of(name, server))}


def _give_up(servers: ServerSet, before: Running | None, kept: dict[str, Server], book: Book) -> None:
    """After a failed start the record says what it said before, as far as that is still there."""
    from envctl.engines.embedded import folders

    left = _living(Running("embedded", book.servers))
    book.servers = left
    whole = before is not None and before.ready and set(before.servers) <= set(left) & set(kept)
    with suppress(Exception):  # The failure that brought us here is the one to tell.
        book.write(ready=whole)
        if not left and not servers.durable:
            folders.forget_scratch(servers.home)


def _sighting(name: str, server: Server, ready: bool) -> Sighting:
    found = daemon.of(name, server)
    where = server.detail["program"]
    if not daemon.runs(found):
        return Sighting(name, "stopped", where)
    pid = proof.pid(found)
    if not ready:
        return Sighting(name, "starting", where, pid)
    try:
        with socket.create_connection((server.address.host, server.address.port), timeout=1):
            return Sighting(name, "running", where, pid)
    except OSError as error:
        return Sighting(name, "unhealthy", f"{where}; port {server.address.port}: {error.strerror or error}", pid)


def _replaced(path: Path, log: IO[str]) -> bool:
    return path.exists() and path.stat().st_ino != os.fstat(log.fileno()).st_ino


def _lines(path: Path, follow: bool) -> Iterator[str]:
    """A log's lines; a log that was set aside and begun anew is followed into the new one."""
    if not path.exists() and not follow:
        return
    path.touch(mode=0o600)
    with path.open(errors="replace", buffering=1) as log:
        begun = ""
        while True:
            begun += log.readline()
            if begun.endswith("\n"):
                yield begun.rstrip("\n")
                begun = ""
            elif not follow or _replaced(path, log):
                break
            else:
                time.sleep(0.2)
    if begun:
        yield begun
    if follow:
        yield from _lines(path, follow)
