"""The audit of a run: look before it, hear what its tests tell, look again once its command has ended, compare."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from envctl import state
from envctl.audit import grounds, host
from envctl.audit.comparison import FILES, MACHINE, compare, foreign, of_run
from envctl.audit.values import Facts, Ground, Inventory, Left, Lingering, Ran, Report, Wrote
from envctl.errors import EnvctlError
from envctl.model import Seen, Unseen
from envctl.project import Project
from envctl.runs import Run
from envctl.server_set import Running

SETTLE, SOON = 2.0, 0.2
"""Seconds that a server may take to see that the run's clients have gone; and those whose nobody knows."""
MOST = 10_000
"""How many paths are kept in mind."""

Whose = Callable[[str], str]
"""Which worker's sandbox a process has, by what it says of itself."""


class Audit:
    """The audit of one run. Its handlers are called from the desk's threads."""

    def __init__(self, project: Project, run: Run, home: Path, running: Running, whose: Whose, *, beside: bool) -> None:
        test = project.config.test
        self.project = project
        self.run = run
        self.home = home
        self.whose = whose
        self.beside = beside
        self.places = grounds.places(project, home, running)
        self.folders = host.watched(project.root, test.audit_paths)
        self.private = host.expanded(project.root, test.audit_paths)
        self.report = Report()
        self.seconds = 0.0
        self._lock = threading.Lock()
        self._ran: list[Ran] = []
        self._wrote: dict[str, Wrote] = {}
        self._went: set[tuple[str, str, int, str, str, str]] = set()
        """Who went where: worker, host, port, login, bucket, test."""
        self._own: set[str] = set()
        self._lingering: list[Lingering] = []
        self._before = Inventory()
        self._runs = 0

    def begin(self) -> None:
        """Look, before anything of the command is there."""
        begun = time.monotonic()
        self._runs = grounds.came_and_went(self.project)
        self._before = self._inventory()
        self.seconds += time.monotonic() - begun

    def end(self, pids: Iterable[int] = ()) -> None:
        """Look again, while the processes that are left still live, and compare."""
        begun = time.monotonic()
        left = host.left(pids)
        self.report = compare(self._before, self._settled(left), self._facts(left))
        if any(one.place not in (MACHINE, FILES) for one in self.report.escapes):
            # Who was about to put a record to what he makes has had the time to.
            time.sleep(SOON)
            self.report = compare(self._before, self._settled(left), self._facts(left))
        self.seconds += time.monotonic() - begun

    def handlers(self) -> dict[str, Callable[[Mapping[str, Any], Any], dict[str, Any]]]:
        """What the tests' processes tell at the desk."""
        return {"ran": self._told, "finished": self._finished}

    def fault(self) -> EnvctlError | None:
        """Why a green run is none."""
        count = len(self.report.escapes)
        if not count:
            return None
        error = EnvctlError(
            f"{count} thing{'s' * (count > 1)} escaped the sandbox",
            hint="what may be left stands in [test] audit_allow",
            code="escaped",
        )
        error.exit_code = 3
        return error

    def _told(self, question: Mapping[str, Any], caller: object) -> dict[str, Any]:
        worker = str(question.get("worker", ""))
        with self._lock:
            self._ran += [Ran(worker, test, begun, ended) for test, begun, ended in question["tests"]]
            self._went.update((worker, *one) for one in map(tuple, question["went"]))
            for path, test in question["made"]:
                if len(self._wrote) < MOST:
                    self._wrote.setdefault(path, Wrote(path, worker, test))
        return {}

    def _finished(self, question: Mapping[str, Any], caller: object) -> dict[str, Any]:
        """A test process has done its work and still lives: what it has open now, it forgot."""
        worker = str(question.get("worker", ""))
        found = [
            Lingering(place.name, worker, one)
            for place in self.places
            if place.home == self.home
            for one in self._sessions(place)
            if self._commands(one) and one.keeper and one.keeper.worker == self.whose(worker)
            if _forgotten(one, self.run.id)
        ]
        with self._lock:
            self._own.update(question["own"])
            self._lingering += found
        return {}

    def _commands(self, session: Seen) -> bool:
        return of_run(session, self.run.id, beside=self.beside)

    def _sessions(self, place: grounds.Place) -> list[Seen]:
        seen = grounds.look(place, self.run.id)
        return [] if isinstance(seen, Unseen) else [one for one in seen if one.kind == "session"]

    def _inventory(self) -> Inventory:
        found, unseen = grounds.survey(self.places, self.project, self.run.id, self.run.folder)
        return Inventory(found, host.entries(self.folders), unseen)

    def _settled(self, left: tuple[Left, ...]) -> Inventory:
        """The second look; sessions of processes that have just ended are given the time to end as well."""
        begun = time.monotonic()
        while time.monotonic() - begun < self._patience(found := self._inventory(), left):
            time.sleep(0.02)
        if grounds.came_and_went(self.project) != self._runs:
            found = replace(found, servers={name: _visited(one) for name, one in found.servers.items()})
        return found

    def _patience(self, found: Inventory, left: tuple[Left, ...]) -> float:
        """How long to wait for sessions that were not there before, and that no process explains."""
        known = {port for one in left for port in one.ports}
        known |= {one.port for one in _sessions_in(self._before)}
        new = [one for one in _sessions_in(found) if one.port not in known]
        return SETTLE if any(map(self._commands, new)) else SOON if new else 0.0

    def _facts(self, left: tuple[Left, ...]) -> Facts:
        project = self.project
        with self._lock:
            own = (str(project.root), str(state.root()), host.ours(), *sorted(self._own))
            wrote, ran, lingering = tuple(self._wrote.values()), tuple(self._ran), tuple(self._lingering)
            went = tuple(self._went)
        # A process that was left tells of its own sessions.
        ports = {port for one in left for port in one.ports}
        return Facts(
            lease=self.run.id,
            beside=self.beside,
            ran=ran,
            visits=tuple(grounds.visits(self.places, went)),
            wrote=host.still_there(wrote, own),
            left=left,
            lingering=tuple(one for one in lingering if one.session.port not in ports),
            private=self.private,
            own=own,
            allowed=tuple(str(Path(one).expanduser()) for one in project.config.test.audit_allow),
        )


def _forgotten(session: Seen, lease: str) -> bool:
    """Whether a session is more than a pool's idle one: in the middle of something, or where it has no business."""
    return session.state.partition(" (")[0] != "idle" or foreign(session, lease)


def _visited(ground: Ground) -> Ground:
    return replace(ground, others=(*ground.others, "a run that came or went meanwhile"))


def _sessions_in(inventory: Inventory) -> list[Seen]:
    return [one for ground in inventory.servers.values() for one in ground.seen if one.kind == "session"]
