"""What the state folder has on record: runs, checkouts, pins and ports. Each is judged like any other thing there."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

from envctl import engines, held, leases, ports, residue
from envctl.errors import EnvctlError
from envctl.inventory.verdicts import CLEAN, Facts, Judged
from envctl.model import Environment, Finding, Owner, Resource, Unseen
from envctl.project import Project
from envctl.runs import folders, origin
from envctl.runs.folders import Record

PLACE = "state"
SERVICE = "state"
KINDS = ("run", "checkout", "pin", "port")
LOCAL: tuple[Environment, ...] = ("test", "ci")
"""The environments beside `dev` whose processes run on this machine."""


def findings(project: Project, seen: Iterable[Finding], unseen: Collection[Unseen], facts: Facts) -> Iterator[Finding]:
    """All of them. A checkout is needed for as long as anything is left of it, or may be where nobody could look."""
    used = {one.resource.owner.namespace for one in seen if one.resource.owner is not None}
    yield from _runs(project)
    yield from _checkouts(facts, used, blind=bool(unseen))
    yield from _pins(project, facts)
    yield from ports_of(project, facts)


def _runs(project: Project) -> Iterator[Finding]:
    for folder in sorted((project.home / "runs").glob("*")):
        if residue.private(folder):
            continue
        try:
            record: Record | None = folders.read(folder) if residue.ours(folder) else None
        except EnvctlError:
            record = None
        judged = _run(folder, record)
        yield _finding("run", folder.name, _run_owner(project, record), judged)


def _run(folder: Path, record: Record | None) -> Judged:
    if folders.alive(folder):
        return "live", f"`{record.command if record else folder.name}` is at work", ""
    if not residue.ours(folder):
        return "unexplained", f"{folder} is a link or another user's", ""
    if record is None:
        return "unexplained", f"its record cannot be read (if no run of yours is at work there: rm -r {folder})", ""
    if why := origin.foreign(record, folder):
        return "unexplained", f"{why} (if no run is at work there: rm -r {folder})", ""
    if record.kept:
        why = f"it failed and kept {len(record.kept)} of its things for looking at"
        return "idle", why, f"{CLEAN} --all --branch {record.namespace}"
    if why := residue.stuck(folder):
        return "unexplained", why, f"{CLEAN} --all --branch {record.namespace}"
    return "orphan", f"`{record.command}` is dead", CLEAN


def _checkouts(facts: Facts, used: Collection[str], *, blind: bool) -> Iterator[Finding]:
    for name, where in facts.checkouts.items():
        one = where.workspace
        owner = _owner(facts.project, name, str(one.path), one.branch)
        yield _finding("checkout", name, owner, _checkout(name, facts, used, blind=blind))


def _checkout(name: str, facts: Facts, used: Collection[str], *, blind: bool) -> Judged:
    where = facts.checkouts[name]
    if why := facts.user(name):
        return "live", why, ""
    if not (where.gone or where.doubt):
        return "idle", f"{where.workspace.path} is there", ""
    if name in used:
        return "idle", "something of it is left", ""
    if blind:
        return "idle", "something of it may be left where nobody could look", ""
    return "orphan", f"nothing is left of it, and {where.gone or where.doubt}", CLEAN


def _pins(project: Project, facts: Facts) -> Iterator[Finding]:
    """Those of checkouts that are gone; a pin that counts is told with what it pins."""
    for path in sorted(project.home.glob("*/pins/*")):
        holder = held.read(path, "pinned")
        where = facts.checkouts.get(path.name)
        if where is not None and where.gone and not Path(holder.workspace or ".").exists():
            owner = _owner(facts.project, path.name, holder.workspace, where.workspace.branch, holder.since)
            yield _finding("pin", f"{path.parent.parent.name}/{path.name}", owner, ("orphan", where.gone, CLEAN))


def ports_of(project: Project, facts: Facts) -> Iterator[Finding]:
    """Bookings of this project's servers and processes."""
    running = cache(_running)
    for key, port in sorted(ports.listing().items()):
        servers = key.startswith(f"{project.home}/")
        judged = _of_servers(key, project, running) if servers else _of_process(key, facts)
        if judged is not None:
            verdict, reason, remedy = judged
            owner = replace(_owner(facts.project, _namespace(key)), environment=_environment(key, project))
            yield _finding("port", key, owner, (verdict, f"port {port}: {reason}", remedy))


def _of_servers(key: str, project: Project, running: Callable[[Path], Collection[str]]) -> Judged:
    home, service = _server(key, project)
    if not home.is_dir():
        return "orphan", f"the servers in {home.name} are no more", CLEAN
    if service in running(home):
        return "live", f"{service} of {home.name} runs", ""
    return "idle", f"of the servers in {home.name}", ""


def _server(key: str, project: Project) -> tuple[Path, str]:
    """The state folder of a server set, and which of its servers: `…/dev-embedded:postgres:0`."""
    name, service, *_ = (*Path(key).relative_to(project.home).parts[0].split(":"), "")
    return project.home / name, service


def _running(home: Path) -> frozenset[str]:
    """The servers of a set that run; none where nothing readable tells."""
    try:
        record = leases.record(home)
        seen = engines.get(record.engine).look(record) if record else ()
    except (EnvctlError, KeyError):
        return frozenset()
    return frozenset(one.service for one in seen if one.state != "stopped")


def _of_process(key: str, facts: Facts) -> Judged | None:
    if not key.startswith(f"{facts.project}/"):
        return None
    name = _namespace(key)
    if why := facts.user(name):
        return "live", why, ""
    if name in facts.checkouts:
        return "idle", f"of a process of {name}", ""
    return "orphan", f"no checkout is registered as {name}", CLEAN


def _namespace(key: str) -> str:
    """Whose process a port is booked for: `shop/feature_x/api`, `shop/test/feature_x__s2/api`."""
    return "" if key.startswith("/") else key.split("/")[-2].partition("__s")[0]


def _environment(key: str, project: Project) -> Environment:
    """What a booking is for: everything that does not say otherwise is of `dev`."""
    if key.startswith(f"{project.home}/"):
        return "dev" if _server(key, project)[0].name.startswith("dev-") else "test"
    named = key.split("/")[1:-2]
    return next((one for one in LOCAL if one in named), "dev")


def _finding(kind: str, name: str, owner: Owner | None, judged: Judged) -> Finding:
    return Finding(Resource(SERVICE, kind, name, owner), PLACE, owner.environment if owner else None, *judged)


def _run_owner(project: Project, record: Record | None) -> Owner | None:
    if record is None:
        return None
    environment: Environment = "ci" if record.environment == "ci" else "test"
    return Owner(
        project.config.project, environment, record.namespace, record.workspace, "", "", record.since, lease=record.id
    )


def _owner(project: str, namespace: str, workspace: str = "", branch: str = "", since: str = "") -> Owner:
    return Owner(project, "dev", namespace, workspace, branch, "", since)
