"""The sandbox of a run and those of its workers: each made once, when it is first asked for; all dropped together."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from envctl import sandbox, services, templates
from envctl.errors import UsageError
from envctl.model import Access, Address, Resource, Running
from envctl.project import Project
from envctl.sandbox import Sandbox
from envctl.templates import Template

TOGETHER = 8
"""How many sandboxes are made at the same time; more would only wait for the same disk and processors."""


@dataclass(frozen=True, slots=True)
class Fresh:
    """A database or bucket that one test has for itself."""

    service: str
    worker: str
    access: Access = field(repr=False)


class Sandboxes:
    """All that one run makes. Its methods may be called from any thread."""

    def __init__(
        self, project: Project, running: Running, made_from: Mapping[str, Template], *, lease: str, memory: Path
    ) -> None:
        self.project = project
        self.running = running
        self.made_from = made_from
        self.lease = lease
        self.memory = memory
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(TOGETHER, thread_name_prefix="sandbox")
        self._made: dict[str, Future[Sandbox]] = {}
        self._fresh: dict[str, Fresh] = {}
        self._marks = 0

    def of(self, worker: str = "") -> Sandbox:
        """The sandbox of a worker, or the run's own; made now if nobody has asked before."""
        return self._begun(worker).result()

    def expect(self, workers: Iterable[str]) -> None:
        """Begin to make what will be asked for soon."""
        for worker in workers:
            self._begun(worker)

    @property
    def workers(self) -> tuple[str, ...]:
        """Who has a sandbox, or is about to."""
        with self._lock:
            return tuple(sorted(self._made))

    def fresh_database(self, worker: str) -> Access:
        """One more migrated database for a worker's login, for one test."""
        for name, template in self.made_from.items():
            claim = self._claim(name, worker)
            called = claim.names["database"] + self._mark()
            access = templates.fresh(self.project, self._address(name), name, template, claim, called)
            return self._lent(name, worker, access, called)
        raise UsageError(
            "this run has no database that a test could have a copy of", hint="give it [services.postgres] with `migrate`"
        )

    def fresh_bucket(self, worker: str, logical: str = "") -> Access:
        """One more bucket, empty, with a key of its own."""
        for name, settings in self.project.config.services.items():
            buckets = [one for kind, one in services.get(name).logical_names(settings) if kind == "bucket"]
            chosen = logical or next(iter(buckets), "")
            if chosen not in buckets:
                continue
            claim, mark = self._claim(name, worker), self._mark()
            called = claim.names[chosen] + mark.replace("_", "-")
            own = replace(claim, identity=claim.identity + mark, names={chosen: called})
            return self._lent(name, worker, services.get(name).create(self._address(name), settings, own), called)
        raise UsageError(f"this run has no bucket {logical!r}" if logical else "this run has no buckets")

    def give_back(self, name: str) -> None:
        """A test is done with its own database or bucket; it goes in the background."""
        with self._lock:
            known = self._fresh.pop(name, None)
        if known is not None:
            self._pool.submit(self._discard, known)

    def drop(self, keep: Collection[str] = ()) -> tuple[Resource, ...]:
        """Drop all that this run made and all that its tests made with its logins, but what `keep` names by worker.

        Returns what was kept.
        """
        self._pool.shutdown(wait=True, cancel_futures=True)
        kept: list[Resource] = []

        def one(service: str) -> None:
            for resource in services.get(service).list(self._address(service), self.project.config.project):
                if resource.owner is None or resource.owner.lease != self.lease:
                    continue
                if resource.owner.worker in keep:
                    kept.append(resource)
                    continue
                services.get(service).drop(self._address(service), resource, sessions="end")

        sandbox.each(self.project.config.services, one)
        return tuple(kept)

    def _begun(self, worker: str) -> Future[Sandbox]:
        with self._lock:
            if worker not in self._made or self._made[worker].cancelled():
                self._made[worker] = self._pool.submit(self._make, worker)
            return self._made[worker]

    def _make(self, worker: str) -> Sandbox:
        project = self.project
        access = sandbox.each(project.config.services, lambda name: self._access(name, worker))
        return Sandbox(project, self.running, access, sandbox.export(project, access))

    def _access(self, name: str, worker: str) -> Access:
        claim, address = self._claim(name, worker), self._address(name)
        if name in self.made_from:
            return templates.clone(self.project, address, name, self.made_from[name], claim)
        service, settings = services.get(name), self.project.config.services[name]
        access = service.create(address, settings, claim)
        left = [one for one in access.resources if one.owner is not None and one.owner.lease != self.lease]
        for resource in left:
            # Of a run before this one, with what its tests put into it: nobody may find that.
            service.drop(address, resource)
        return service.create(address, settings, claim) if left else access

    def _claim(self, name: str, worker: str) -> sandbox.Claim:
        return sandbox.claim(self.project, name, worker, lease=self.lease, memory=self.memory)

    def _address(self, name: str) -> Address:
        return self.running.servers[name].address

    def _mark(self) -> str:
        """What tells a test's own thing from its worker's: short, for names have little room."""
        with self._lock:
            self._marks += 1
            return f"__f{self._marks:x}"

    def _lent(self, service: str, worker: str, access: Access, name: str) -> Access:
        with self._lock:
            self._fresh[name] = Fresh(service, worker, access)
        return access

    def _discard(self, known: Fresh) -> None:
        for resource in known.access.resources:
            if resource.kind != "role":
                services.get(known.service).drop(self._address(known.service), resource, sessions="end")
