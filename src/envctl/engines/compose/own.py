"""Throw-away containers: the same images and settings in memory, in a compose project that nobody else's name meets."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import is_dataclass, replace
from pathlib import Path
from typing import Any

from envctl import compose_file, containers, hosts, locks, shell, state
from envctl.compose_file import Declared
from envctl.containers import Stack
from envctl.digests import hexdigest
from envctl.errors import UnavailableError, UsageError
from envctl.runtimes import Runtime
from envctl.server_set import Container, Need, ServerSet

HOME = "envctl.home"
"""The label that says which server set a container or network belongs to: by it alone they are removed."""
HOST = "envctl.host"
"""The label that says on which machine that folder is."""
DROPPED = (
    *("container_name", "networks", "network_mode", "links", "external_links"),  # would meet those of `dev`
    *("ports", "volumes", "volumes_from", "labels", "restart", "profiles"),
    *("deploy", "mem_limit", "memswap_limit", "scale", "develop"),  # data in memory count as the container's own
)
PATIENCE = {"interval": "1s", "timeout": "3s", "retries": 60, "start_period": "30s"}
"""How often a container is asked for its health: compose's own 30 s would make every start take that long."""
STARTED_WITHIN = 60.0


def stack(servers: ServerSet, base: Stack) -> tuple[Stack, Mapping[str, str], Mapping[str, Declared]]:
    """The compose project of a throw-away set, made from that of `dev`; which service is which; and what they are."""
    if not base.runtime.modern:
        raise UsageError(
            f"{base.runtime.name} cannot make servers that are the tests' own",
            cause="it cannot show a compose file with everything in it",
            hint='install docker compose, or set [test] server = "shared"',
            code="no_own_server",
        )
    document = compose_file.document(base)
    there = compose_file.declared_in(document)
    chosen = compose_file.choose(servers.needs, servers.options, there)
    made = derived(document, servers, chosen, base.project)
    project = f"{base.project}-{servers.name}-{hexdigest(str(servers.home).encode())[:8]}"
    own = Stack(base.runtime, project, base.files, state.folder(servers.home), content=json.dumps(made))
    return own, chosen, compose_file.declared_in(made)


def derived(document: Mapping[str, Any], servers: ServerSet, chosen: Mapping[str, str], project: str) -> dict[str, Any]:
    """The file of `dev` as its throw-away twin: what it starts is the same, what it keeps and whom it meets is not."""
    services = document["services"]
    wanted = compose_file.closure(tuple(chosen.values()), compose_file.declared_in(document))
    names = [name for name in wanted if name in services]
    labels = {HOME: str(servers.home), HOST: hosts.this_host(), "envctl.project": servers.project}
    made = {name: _twin(name, services[name], project) | {"labels": labels} for name in names}
    for service, name in chosen.items():
        _adapt(made[name], services[name], servers.needs[service], service)
        if not any(_awaits(services[one], name) for one in names):
            made[name]["healthcheck"] = {"disable": True}  # We ask it ourselves; a check is a process every second.
    kept = {kind: _unnamed(document[kind]) for kind in ("secrets", "configs") if document.get(kind)}
    return {"services": made, "networks": {"default": {"labels": labels}}, **kept}


def remove(runtime: Runtime, home: Path, *, but: Iterable[str] = ()) -> list[str]:
    """Remove the set's containers with all that is in them, and its network once it is empty; the containers' ids."""
    _until_started(home)
    there = shell.run(containers.labelled(runtime, f"{HOME}={home}")).out.split()
    kept = set(but)
    going = [one for one in there if one not in kept]
    if going:
        shell.run(containers.wipe(runtime, going))
    networks = shell.run(containers.networks(runtime, f"{HOME}={home}")).out.split()
    if networks and len(going) == len(there):
        shell.run(containers.remove_networks(runtime, networks))
    return going


@contextmanager
def starting(runtime: Runtime, home: Path) -> Iterator[int]:
    """A locked descriptor that compose inherits, so that its work is seen when we are dead; undone where it fails."""
    _until_started(home)
    before = shell.run(containers.labelled(runtime, f"{HOME}={home}", running=True)).out.split()
    remove(runtime, home, but=before)  # What ended has lost its data, and would be started with those of nobody.
    descriptor = locks.claim(_lock(home))
    try:
        if descriptor is None:
            raise UnavailableError("compose still starts the same servers", hint="try again in a minute")
        yield descriptor
    except BaseException:
        if descriptor is not None:
            locks.free(descriptor)
            remove(runtime, home, but=before)
        raise
    locks.free(descriptor)


def _lock(home: Path) -> Path:
    return home / "up.lock"


def _until_started(home: Path) -> None:
    """Wait for the compose of a killed envctl: what it makes after our look would stay."""
    end = time.monotonic() + STARTED_WITHIN
    while locks.held(_lock(home)) and time.monotonic() < end:
        time.sleep(0.05)


def _twin(name: str, body: Mapping[str, Any], project: str) -> dict[str, Any]:
    """One service without its data, its ports and its names; what it reads from the checkout, it may only read."""
    made = {key: value for key, value in body.items() if key not in DROPPED}
    mounts = body.get("volumes") or ()
    memory = [one["target"] for one in mounts if one["type"] == "volume"]
    made["volumes"] = [
        {**one, "read_only": True} if one["type"] == "bind" else one
        for one in mounts
        if one["type"] in ("bind", "tmpfs", "image")
    ]
    made["tmpfs"] = [*_listed(body.get("tmpfs")), *memory]
    if "build" in body:
        made.setdefault("image", f"{project}-{name}")  # what compose calls it for `dev`: it is built once
    if body.get("healthcheck"):
        made["healthcheck"] = {**body["healthcheck"], **PATIENCE}
    return made


def _adapt(made: dict[str, Any], body: Mapping[str, Any], need: Need, service: str) -> None:
    """A service that is one of ours: its data in memory whatever they were in, its port, and no care for a crash."""
    known = need.kind.container(_with_image(need.settings, body.get("image", "")))
    made["labels"] = {**made["labels"], "envctl.service": service}
    made["volumes"] = [one for one in made["volumes"] if not _has_data(one["target"], known.volume)]
    if known.volume and not any(_has_data(_path(one), known.volume) for one in made["tmpfs"]):
        made["tmpfs"] = [*made["tmpfs"], known.volume]
    inside = sorted({int(port["target"]) for port in body.get("ports") or ()}) or [known.port]
    main = known.port if known.port in inside else inside[0]
    made["ports"] = [f"127.0.0.1:{need.port if one == main and need.port else ''}:{one}" for one in inside]
    made["command"] = hasty(tuple(body.get("command") or ()), known) or None


def hasty(command: tuple[str, ...], known: Container) -> tuple[str, ...]:
    """The command with the flags of a server whose data may be lost; before its own, which therefore win."""
    if not known.hasty:
        return command
    program = known.command[0]
    if not command or command[0] == program:
        return (program, *known.hasty, *command[1:])
    return (*known.hasty, *command) if command[0].startswith("-") else command


def _has_data(target: str, folder: str) -> bool:
    """Whether a mount is where the server keeps its data: the folder itself, one in it, or one around it."""
    if not folder:
        return False
    one, other = Path(target), Path(folder)
    return one == other or one in other.parents or other in one.parents


def _awaits(body: Mapping[str, Any], name: str) -> bool:
    """Whether compose starts that service only when this one is healthy."""
    return ((body.get("depends_on") or {}).get(name) or {}).get("condition") == "service_healthy"


def _with_image(settings: Any, image: str) -> Any:
    return replace(settings, image=image) if image and is_dataclass(settings) else settings  # type: ignore[type-var]


def _path(tmpfs: str) -> str:
    return tmpfs.partition(":")[0]


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value or ())


def _unnamed(table: Mapping[str, Any]) -> dict[str, Any]:
    """Secrets and configs under the names that services know; what they are called outside is `dev`'s."""
    return {
        name: {key: value for key, value in body.items() if key != "name" or body.get("external")}
        for name, body in table.items()
    }
