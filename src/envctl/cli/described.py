"""What the commands of `dev` answer, as data: everything but the secrets."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from envctl.dev import Status, tests
    from envctl.model import Address
    from envctl.project import Project
    from envctl.sandbox import Sandbox
    from envctl.server_set import Sighting
    from envctl.servers import Servers


def sandbox(ready: Sandbox, chosen: Servers) -> dict[str, Any]:
    """A sandbox as data: everything but the secrets."""
    addresses = {name: ready.running.servers[name].address for name in ready.access}
    return {
        "project": ready.project.config.project,
        "namespace": ready.project.namespace.name,
        "environment": ready.project.environment,
        "engine": chosen.set.engine,
        "reason": chosen.reason,
        "servers": {name: f"{one.host}:{one.port}" for name, one in addresses.items()},
        "resources": [
            {"service": one.service, "kind": one.kind, "name": one.name}
            for access in ready.access.values()
            for one in access.resources
        ],
        "processes": dict(ready.processes),
        "migrated": list(ready.migrated),
        "variables": sorted(ready.variables),
    }


def status(project: Project, chosen: Servers, seen: Status) -> dict[str, Any]:
    """A status as data."""
    from envctl.sandbox import ports_of

    return {
        "project": project.config.project,
        "namespace": project.namespace.name,
        "engine": chosen.set.engine,
        "reason": chosen.reason,
        "healthy": seen.healthy,
        "state": str(chosen.set.home),
        "servers": [_server(one, address) for one, address in seen.servers],
        "leases": [
            {
                "kind": one.kind,
                "namespace": one.namespace,
                "workspace": one.workspace,
                "command": one.command,
                "since": one.since,
                "pid": one.pid if one.kind == "held" else 0,
            }
            for one in seen.holders
        ],
        "resources": [
            {"service": one.service, "kind": one.kind, "name": one.name, "bytes": one.bytes} for one in seen.resources
        ],
        "processes": ports_of(project),
        "tests": _tests(seen.tests),
        "others": [
            {"namespace": one.namespace, "path": str(one.path), "branch": one.branch, "there": one.live}
            for one in seen.others
        ],
    }


def _tests(seen: tests.Seen) -> dict[str, Any]:
    """What the tests have here, as data."""
    return {
        "servers": [{"set": one.set, **_server(one.sighting, one.address)} for one in seen.servers],
        "runs": [
            {key: getattr(one, key) for key in ("namespace", "slot", "environment", "command", "workspace", "since")}
            for one in seen.runs
        ],
        "kept": [
            {
                "service": one.resource.service,
                "name": one.resource.name,
                "since": one.record.since,
                "open": f"envctl dev psql {shlex.quote(one.resource.name)}",
            }
            for one in seen.kept
        ],
        "templates": {"count": len(seen.templates), "bytes": sum(one.bytes for one in seen.templates)},
    }


def _server(one: Sighting, address: Address | None) -> dict[str, Any]:
    return {
        "service": one.service,
        "state": one.state,
        "detail": one.detail,
        "address": f"{address.host}:{address.port}" if address else "",
        "pid": one.pid,
    }
