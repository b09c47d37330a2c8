"""The sandbox of a run and those of its workers: each made once, when it is first asked for; all dropped together."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import field, replace
from pathlib import Path

from envctl import sandbox, services, templates, variables
from envctl.errors import UsageError
from envctl.model import Access, Address, Claim, Resource
from envctl.project import Project
from envctl.sandbox import Sandbox
from envctl.server_set import Running
from envctl.templates import Ready, Template
from envctl.values import dataclass

TOGETHER = 8
"""How many sandboxes are made at the same time; more would only wait for the same disk and processors."""
AHEAD = 4
"""How many databases are kept ready for single tests once the first has asked for one."""


@dataclass(frozen=True, slots=True)
class Fresh:
    """A database or bucket that one test has for itself."""

    service: str
    worker: str
    access: Access = field(repr=False)


class Sandboxes:
    """All that one run makes. Its methods may be called from any thread."""

    def __init__(
        self,
        project: Project,
        running: Running,
        templates: Callable[[Sandboxes], Mapping[str, Ready]],
        *,
        lease: str,
        memory: Path,
        env: Mapping[str, str],
    ) -> None:
        self.project = project
        self.running = running
        self.lease = lease
        self.memory = memory
        self.env = env
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(TOGETHER, thread_name_prefix="sandbox")
        self._templates = templates
        self._found: Mapping[str, Ready] | None = None
        self._trouble: BaseException | None = None
        self._finding = threading.Lock()
        self._made: dict[str, Future[Sandbox]] = {}
        self._claims: dict[tuple[str, str], Claim] = {}
        self._fresh: dict[str, Fresh] = {}
        self.copies = 0
        self.copying = 0.0
        """How long one took, at the best."""
        self._marks = 0

    @property
    def made_from(self) -> Mapping[str, Ready]:
        """Each service's template, as far as it has been found."""
        return self._found or {}

    def build(self) -> Mapping[str, Ready]:
        """Each service's template; looked for, and built if need be, by whoever asks first. It is tried only once."""
        with self._finding:
            if self._trouble is not None:
                raise self._trouble
            if self._found is None:
                try:
                    self._found = self._templates(self)
                except BaseException as error:
                    self._trouble = error
                    raise
            return self._found

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
            return tuple(sorted(name for name, made in self._made.items() if not made.cancelled()))

    def migrating(self, service: str, access: Access) -> dict[str, str]:
        """The variables that the migrations of one service run with: its draft's, and the run's own of all others."""
        others = [name for name in self.project.config.services if services.get(name).templates is None]
        made = sandbox.each(dict.fromkeys(others), lambda name: self._access(name, ""))
        return sandbox.export(self.project, {**made, service: access})

    def fresh_database(self, worker: str) -> Access:
        """One more migrated database for a worker's login, for one test."""
        for name, ready in self.build().items():
            claim = self._claim(name, worker)
            called = claim.names["database"] + self._mark()
            access = templates.fresh(self.project, self._address(name), name, ready.template, claim, called)
            return self._lent(name, worker, access, called)
        raise UsageError(
            "this run has no database that a test could have a copy of",
            hint="give it [services.postgres] with `migrate`",
        )

    def look_ahead(self) -> None:
        """The next test will want a database too: make it while this one runs."""
        for name, ready in self.build().items():
            self._pool.submit(templates.refill, self.project, self._address(name), name, ready.template, AHEAD)

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

    def visits(self) -> dict[str, dict[str, int]]:
        """How many sessions used each database of this run, by service; also those that its tests made."""
        if self._marks:
            return {}  # A test had one for itself, which is gone with all that was counted of it.
        found = {name: self._mine(name) for name in self.project.config.services}
        names = {name: [one.name for one in mine if one.kind == "database"] for name, mine in found.items()}
        return {name: services.get(name).visits(self._address(name), some) for name, some in names.items() if some}

    def close(self) -> None:
        """Make nothing any more; what is being made is made to its end."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def drop(self, keep: Collection[str], keeping: Callable[[list[str]], None]) -> tuple[Resource, ...]:
        """Drop all that this run made, and all that its tests made with its logins, but for the workers in `keep`.

        Returns what was kept; `keeping` hears of it before anything is dropped.
        """
        self.close()
        mine = sandbox.each(self.project.config.services, self._mine)
        kept = [one for found in mine.values() for one in found if one.owner and one.owner.worker in keep]
        if kept:
            keeping([one.name for one in kept])
        going = {f"{one.kind} {one.name}": one for found in mine.values() for one in found if one not in kept}
        logins = {name: one for name, one in going.items() if one.kind == "role"}
        for some in ({name: one for name, one in going.items() if name not in logins}, logins):
            sandbox.each(some, lambda name: self._drop(going[name]))
        return tuple(kept)

    def _mine(self, service: str) -> list[Resource]:
        return services.get(service).list(self._address(service), self.project.config.project, lease=self.lease)

    def _drop(self, resource: Resource) -> None:
        services.get(resource.service).drop(self._address(resource.service), resource, sessions="end")

    def _begun(self, worker: str) -> Future[Sandbox]:
        with self._lock:
            if worker not in self._made or self._made[worker].cancelled():
                self._made[worker] = self._pool.submit(self._make, worker)
            return self._made[worker]

    def _make(self, worker: str) -> Sandbox:
        project = self.project
        access = sandbox.each(project.config.services, lambda name: self._access(name, worker))
        own = variables.render(self.env, sandbox.values(project, access))
        return Sandbox(project, self.running, access, {**sandbox.export(project, access), **own})

    def _access(self, name: str, worker: str) -> Access:
        claim, address = self._claim(name, worker), self._address(name)
        if services.get(name).templates is not None and (ready := self.build().get(name)) is not None:
            return self._copied(name, claim, ready.template)
        service, settings = services.get(name), self.project.config.services[name]
        access = service.create(address, settings, claim)
        left = [one for one in access.resources if one.owner is not None and one.owner.lease != self.lease]
        for resource in left:
            # Of a run before this one, with what its tests put into it: nobody may find that.
            service.drop(address, resource)
        return service.create(address, settings, claim) if left else access

    def _copied(self, service: str, claim: Claim, template: Template) -> Access:
        begun = time.monotonic()
        access = templates.clone(self.project, self._address(service), service, template, claim)
        took = time.monotonic() - begun
        with self._lock:
            self.copying = min(took, self.copying) if self.copies else took
            self.copies += 1
        return access

    def _claim(self, name: str, worker: str) -> Claim:
        known = self._claims.get((name, worker))
        if known is None:
            shared = self.running.engine == "external"
            known = sandbox.claim(self.project, name, worker, shared=shared, lease=self.lease, memory=self.memory)
            self._claims[name, worker] = known
        return known

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
                self._drop(resource)
