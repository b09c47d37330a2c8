"""What `dev up` made and `dev status` saw, to look at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from envctl.render import ago, later, size, table, text

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table


NOTHING = "no server is needed here: the project has no [services.postgres], [services.s3] or [services.redis]"


@later
def sandbox_summary(data: Mapping[str, Any]) -> RenderableType:
    """What `dev up` made ready."""
    from rich.console import Group

    rows = [(name, data["servers"].get(name, ""), _named(data["resources"], name)) for name in data["servers"]]
    lines: list[RenderableType] = [
        text(f"{data['namespace']} ready ({data['environment']}, {data['engine']})"),
        table(("service", "address", "yours"), rows) if rows else text(NOTHING, "dim"),
    ]
    if data["processes"]:
        lines.append(text(_ports(data["processes"])))
    lines.append(text(f"variables: {', '.join(data['variables'])}"))
    lines.append(text('  in this shell: eval "$(envctl env)"'))
    return Group(*lines)


@later
def status_screen(data: Mapping[str, Any]) -> RenderableType:
    """What `dev status` saw."""
    from rich.console import Group

    parts: list[RenderableType] = [
        text(f"{data['project']} · {data['namespace']} · engine {data['engine']}"),
        text(f"state in {data['state']}", "dim"),
    ]
    up = any(one["state"] == "running" for one in data["servers"])
    for title, shown in _status_tables(data):
        unseen = not up and "resources" in title
        missing = f"{title}: not seen while the servers do not run" if unseen else f"no {title}"
        parts += [text(""), shown if shown.row_count else text(missing, "dim")]
    for part in _tests(data["tests"]):
        parts += [text(""), part]
    if data["processes"]:
        parts += [text(""), text(_ports(data["processes"]))]
    if not up:
        said = "the servers of dev are stopped; their data stay" if data["servers"] else "dev has no servers yet"
        parts += [text(""), text(f"{said}: envctl dev up", "bold")]
    return Group(*parts)


def _status_tables(data: Mapping[str, Any]) -> Iterator[tuple[str, Table]]:
    servers = [(o["service"], _state(o["state"]), o["address"], o["pid"] or "", o["detail"]) for o in data["servers"]]
    yield "servers", table(("server", "state", "address", "pid", ""), servers)
    leases = [(o["kind"], o["namespace"], o["command"], o["pid"] or "", ago(o["since"])) for o in data["leases"]]
    yield "leases", table(("lease", "namespace", "command", "pid", "since"), leases)
    resources = [(o["kind"], o["name"], size(o["bytes"])) for o in data["resources"]]
    yield "resources of this namespace", table(("resource", "name", "size"), resources)
    others = [(o["namespace"], o["branch"], o["path"], "" if o["there"] else "gone") for o in data["others"]]
    yield "other namespaces", table(("namespace", "branch", "checkout", ""), others)


def _tests(data: Mapping[str, Any]) -> Iterator[RenderableType]:
    """What the tests have here; of what is not there, nothing."""
    servers = [(o["service"], _state(o["state"]), o["address"], o["pid"] or "", o["set"]) for o in data["servers"]]
    if servers:
        yield table(("server of the tests", "state", "address", "pid", "set"), servers)
    runs = [(o["namespace"], o["slot"], o["command"], ago(o["since"])) for o in data["runs"]]
    if runs:
        yield table(("run at work", "slot", "command", "since"), runs)
    kept = [(o["name"], ago(o["since"]), o["open"]) for o in data["kept"]]
    if kept:
        yield table(("kept by a failed run", "since", "open it with"), kept)
    if data["templates"]["count"]:
        yield text(f"templates: {data['templates']['count']}, {size(data['templates']['bytes'])}")


def _state(word: str) -> Any:
    return text(word, {"running": "green", "starting": "yellow"}.get(word, "bold red"))


def _ports(processes: Mapping[str, int]) -> str:
    return "ports for processes: " + ", ".join(f"{name} {port}" for name, port in processes.items())


def _named(resources: Iterable[Mapping[str, Any]], service: str) -> str:
    """The names that mean something to an application; the login that comes with a database is not one of them."""
    return ", ".join(one["name"] for one in resources if one["service"] == service and one["kind"] != "role")
