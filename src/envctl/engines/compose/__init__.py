"""Servers as containers of one compose project that all checkouts share."""

from __future__ import annotations

import json
import secrets
import socket
import time
from collections.abc import Container, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

from envctl import compose_file, containers, runtimes, shell, state
from envctl.compose_file import Declared, project_file
from envctl.containers import Stack
from envctl.engines.base import Record
from envctl.engines.compose import drift as compose_drift
from envctl.engines.compose import errors as compose_errors
from envctl.engines.compose import own as compose_own
from envctl.engines.compose import seen as compose_seen
from envctl.engines.compose import waiting as compose_wait
from envctl.engines.compose.seen import Seen
from envctl.engines.compose.waiting import Start
from envctl.errors import UnavailableError
from envctl.model import Address, Command, Resource, Talk
from envctl.runtimes import Runtime
from envctl.server_set import Running, ServerSet, Sighting
from envctl.shell import Done
from envctl.values import dataclass

__all__ = ["ENGINE", "project_file"]

ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Compose:
    """`docker compose` and its kin."""

    name: str = "compose"

    def start(self, servers: ServerSet, before: Running | None, record: Record, talk: Talk) -> Running:
        """Start the containers that this project needs and that do not run; running ones stay as they are."""
        return _start(servers, before, record, talk, recreate=False)

    def recreate(self, servers: ServerSet, before: Running | None, record: Record, talk: Talk) -> Running:
        """The same, but containers that differ from this checkout's file are made anew. Volumes stay."""
        return _start(servers, before, record, talk, recreate=True)

    def alive(self, running: Running) -> bool:
        """One connection to each published port."""
        return running.ready and all(_answers(server.address) for server in running.servers.values())

    def stop(self, running: Running, talk: Talk) -> None:
        """Stop the containers that we started. They and their volumes stay, except where all is throw-away."""
        runtime, ours = _runtime(running), set(json.loads(running.detail["started"]))
        if home := running.detail.get("home"):
            talk(f"removing {', '.join(sorted(ours))} of {running.detail['project']}")
            compose_own.remove(runtime, Path(home))
            return
        seen = compose_seen.containers_of(runtime, running.detail["project"])
        going = [one for one in seen.values() if one.service in ours and one.running]
        if going:
            talk(f"stopping {', '.join(sorted(one.name for one in going))}")
            shell.run(containers.stop(runtime, [one.id for one in going]))

    def forget(self, home: Path, running: Running | None, talk: Talk) -> None:
        """Remove what bears the set's label, whatever is on record."""
        compose_own.remove(_runtime(running) if running else runtimes.detect(), home)

    def look(self, running: Running) -> tuple[Sighting, ...]:
        """One sighting for each service, from the engine."""
        seen = compose_seen.containers_of(_runtime(running), running.detail["project"])
        chosen = json.loads(running.detail["services"])
        return tuple(
            _sighting(service, seen.get(name), ready=running.ready) for service, name in sorted(chosen.items())
        )

    def logs(self, running: Running, service: str, *, follow: bool) -> Iterator[str]:
        """What the container wrote."""
        runtime = _runtime(running)
        name = json.loads(running.detail["services"]).get(service, service)
        one = compose_seen.containers_of(runtime, running.detail["project"]).get(name)
        if one is None:
            raise UnavailableError(
                f"{service} has no container, so it has no log", hint="envctl dev up", code="container"
            )
        yield from shell.lines(containers.logs(runtime, one.id, follow=follow))

    def leftovers(self, project: str, *, stack: str = "", sizes: bool = True) -> tuple[Resource, ...]:
        """Everything of the project, marked as its own, and what is in the compose project of its own file."""
        from envctl.engines.compose import leftovers

        return leftovers.of(project, stack=stack, sizes=sizes)

    def discard(self, resource: Resource) -> None:
        """Remove one of them."""
        from envctl.engines.compose import leftovers

        leftovers.discard(resource)

    def differences(self, servers: ServerSet, running: Running) -> tuple[str, ...]:
        """Running containers against this checkout's compose file."""
        stack = _stack(servers, _runtime(running), write=False)
        if not servers.durable:
            stack, _, _ = compose_own.stack(servers, stack)
        chosen = json.loads(running.detail["services"])
        seen = compose_seen.containers_of(stack.runtime, stack.project)
        return compose_drift.sentences(stack, chosen, seen, telling=not servers.durable)


ENGINE = Compose()


def _start(servers: ServerSet, before: Running | None, record: Record, talk: Talk, *, recreate: bool) -> Running:
    runtime = runtimes.detect(preferred=getattr(servers.options, "runtime", ""))
    stack, chosen, there = _project(servers, runtime)
    job = Start(servers, stack, chosen, there, runtimes.published_host(runtimes.endpoint(runtime)))
    before = _leave_other(before, stack, talk)
    begun = _begin(job, before)
    record(begun)
    if servers.durable:
        _up(job, talk, recreate=recreate)
        return replace(begun, servers=compose_wait.until_ready(job, talk), ready=True)
    with compose_own.starting(runtime, servers.home) as lock:
        _up(job, talk, recreate=recreate, keep=(lock,))
        return replace(begun, servers=compose_wait.until_ready(job, talk), ready=True)


def _project(servers: ServerSet, runtime: Runtime) -> tuple[Stack, Mapping[str, str], Mapping[str, Declared]]:
    """The compose project of a set, which of its services is which of ours, and what they are."""
    if not servers.durable:
        return compose_own.stack(servers, _stack(servers, runtime, write=False))
    stack = _stack(servers, runtime, write=True)
    there = compose_file.declared(stack)
    chosen = compose_file.choose(servers.needs, servers.options, there)
    for service, need in servers.needs.items():
        if need.port and stack.runtime.modern and str(need.port) not in there[chosen[service]].published:
            raise compose_errors.unpublished(stack, service, chosen[service], need.port)
    return stack, chosen, there


def _stack(servers: ServerSet, runtime: Runtime, *, write: bool) -> Stack:
    """The project's own files, or one that envctl makes. Only a start writes it: others may have started with it."""
    options = servers.options
    name = getattr(options, "project", "") or servers.project.replace("_", "-")
    profiles = tuple(getattr(options, "profiles", ()))
    own = project_file(options, servers.checkout)
    if own is not None:
        files = compose_file.with_override(own)
        return Stack(runtime, name, files, servers.checkout, profiles, without=servers.exported)
    content = compose_file.generate(servers.project, servers.needs)
    environment = {compose_file.PASSWORD: _password(servers)}
    made = state.folder(servers.home) / "compose.yaml"
    if write:
        made.write_text(content)
        content = ""
    return Stack(runtime, name, (made,), servers.home, environment=environment, content=content)


def _password(servers: ServerSet) -> str:
    """One for the set, for as long as its volumes may live; kept apart from the record, which ends with a stop."""
    file = servers.home / "compose-password.json"
    kept = state.read(file)
    if kept is None:
        kept = {"password": secrets.token_hex(16)}
        state.write(file, kept)
    return str(kept["password"])


def _leave_other(before: Running | None, stack: Stack, talk: Talk) -> Running | None:
    """Stop what an earlier configuration started under another name: nobody would look for it there again."""
    if before is None or before.engine != "compose":
        return None
    if (before.detail["project"], before.detail["runtime"]) == (stack.project, stack.runtime.name):
        return before
    ENGINE.stop(before, talk)
    return None


def _begin(job: Start, before: Running | None) -> Running:
    """The record from which everything that we are about to start can be stopped."""
    seen = compose_seen.containers_of(job.stack.runtime, job.stack.project)
    ours = set(json.loads(before.detail["started"])) if before else set()
    fresh = {name for name in job.with_others if name not in seen or not seen[name].running}
    detail = {
        **({} if job.servers.durable else {"home": str(job.servers.home)}),
        "runtime": job.stack.runtime.name,
        "project": job.stack.project,
        "files": json.dumps([str(file) for file in job.stack.files]),
        "services": json.dumps(dict(job.chosen)),
        "started": json.dumps(sorted(ours | fresh)),
    }
    return Running("compose", before.servers if before else {}, ready=False, detail=detail)


def _up(job: Start, talk: Talk, *, recreate: bool, keep: tuple[int, ...] = ()) -> None:
    stack = job.stack
    seen = compose_seen.containers_of(stack.runtime, stack.project)
    stuck = [one.id for name, one in seen.items() if name in job.with_others and one.never_ran]
    if stuck:
        # One that could not start keeps the port or mount that it failed on, whatever the file says since.
        shell.run(containers.remove(stack.runtime, stuck), check=False)
    for image in sorted({one.image for name, one in job.there.items() if name in job.with_others and one.image}):
        if shell.run(containers.image(stack.runtime, image), check=False).code != 0:
            talk(f"pulling {image}")
    talk(f"starting {', '.join(sorted(job.chosen.values()))} of {stack.project} with {stack.runtime.name}")
    fixed = {port for one in job.there.values() for port in one.published}
    done = _run_up(containers.up(stack, sorted(set(job.chosen.values())), recreate=recreate), fixed, keep)
    if done.code != 0:
        raise compose_errors.from_up(stack, done)


def _run_up(command: Command, fixed: Container[str], keep: tuple[int, ...]) -> Done:
    """Run it, and again where that may help."""
    for _ in range(ATTEMPTS - 1):
        done = shell.run(command, check=False, keep=keep)
        if done.code == 0 or not compose_errors.passing(done.err, fixed):
            return done
        time.sleep(1)
    return shell.run(command, check=False, keep=keep)


def _sighting(service: str, one: Seen | None, *, ready: bool) -> Sighting:
    if one is None:
        return Sighting(service, "stopped", "no container")
    if one.status == "running":
        # Where nobody runs health checks a container stays `starting` for good; it has answered us, so it is up.
        waits = one.health == "starting" and not ready
        now: Literal["running", "starting", "unhealthy"] = "starting" if waits else "running"
        return Sighting(service, "unhealthy" if one.unhealthy else now, one.name, one.pid)
    return Sighting(service, "starting" if one.status == "restarting" else "stopped", f"{one.name}: {one.state}")


def _runtime(running: Running) -> Runtime:
    return runtimes.named(running.detail["runtime"])


def _answers(address: Address) -> bool:
    try:
        with socket.create_connection((address.host, address.port), timeout=1):
            return True
    except OSError:
        return False
