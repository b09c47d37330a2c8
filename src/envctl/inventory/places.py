"""Where to look: every server set of the project that has a record, as it is. Nothing is started."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from envctl import hosts, services
from envctl.errors import EnvctlError
from envctl.inventory.verdicts import Found, Reach
from envctl.model import Address, Seen, Talk, Unseen
from envctl.project import Project
from envctl.recovery.visit import Visit, visited
from envctl.services import likeness
from envctl.values import dataclass

TOGETHER = 8
TELLING = frozenset({"postgres"})
"""The services whose census tells of sessions."""


@dataclass(frozen=True, slots=True)
class Sight:
    """One server, and what was seen in it."""

    home: Path
    service: str
    address: Address
    reach: Reach
    seen: tuple[Found, ...] = ()


def homes(project: Project) -> list[Path]:
    """The state folders of the server sets that have a record; a run's own servers go with their run."""
    found = (path.parent for path in sorted(project.home.glob("*/servers.json")))
    return [one for one in found if not one.name.startswith("run-")]


def look(
    project: Project, *, command: str, sizes: bool, wait: float, talk: Talk
) -> tuple[tuple[Sight, ...], tuple[Unseen, ...]]:
    """What is in all servers that are up, asked side by side; and what could not be looked at."""
    unseen: list[Unseen] = []
    with ExitStack() as stack:
        open_to: list[Sight] = []
        for home in homes(project):
            try:
                visit = stack.enter_context(visited(home, command=command, wait=wait, talk=talk))
            except EnvctlError as error:
                unseen.append(Unseen(home.name, told(error)))
                continue
            except KeyError as error:
                unseen.append(Unseen(home.name, f"its record is of an engine {error}, which this envctl does not know"))
                continue
            open_to += sights(visit)
            unseen += _down(visit)
        with ThreadPoolExecutor(TOGETHER) as pool:
            answers = list(pool.map(lambda one: _listed(one, project, sizes=sizes), open_to))
    unseen += [one for one in answers if isinstance(one, Unseen)]
    return tuple(one for one in answers if isinstance(one, Sight)), tuple(unseen)


def sights(visit: Visit) -> list[Sight]:
    """The servers of a set that answer, not yet looked into."""
    engine = visit.running.engine if visit.running else ""
    return [Sight(visit.home, name, address, reach(engine, address)) for name, address in visit.servers.items()]


def listed(sight: Sight, project: Project, *, sizes: bool = False) -> tuple[Found, ...]:
    """What is the project's in that server now."""
    like = likeness.of(project.config.project, project.config.names, project.buckets)
    found = services.get(sight.service).list(sight.address, project.config.project, like=like, sizes=sizes)
    return tuple(Found(one, sight.home.name, sight.reach) for one in found)


def with_sessions(sight: Sight) -> tuple[Found, ...]:
    """The same, with how many are connected to each, where the server tells."""
    if sight.service not in TELLING or not sight.seen:
        return sight.seen
    there = services.get(sight.service).census(sight.address, lease="")
    inside = Counter((kind, name) for one in there if one.kind == "session" for kind, name in _entered(one))
    return tuple(replace(one, sessions=inside[one.resource.kind, one.resource.name]) for one in sight.seen)


def _entered(session: Seen) -> tuple[tuple[str, str], ...]:
    return ("database", session.name), ("role", session.login)


def reach(engine: str, address: Address) -> Reach:
    """Who else may have made things there. What others run may be a tunnel, wherever it listens."""
    if engine == "embedded":
        return "ours"
    return "machine" if engine == "compose" and hosts.is_local(address.host) else "network"


def told(error: EnvctlError) -> str:
    """An error in one line."""
    return " · ".join(part for part in (error.message, error.cause, error.hint) if part)


def _listed(sight: Sight, project: Project, *, sizes: bool) -> Sight | Unseen:
    if sight.service not in services.REGISTRY:
        return Unseen(f"{sight.home.name} {sight.service}", "this envctl does not know that service")
    try:
        return replace(sight, seen=listed(sight, project, sizes=sizes))
    except EnvctlError as error:
        return Unseen(f"{sight.home.name} {sight.service}", told(error))


def _down(visit: Visit) -> list[Unseen]:
    kind, _, engine = visit.home.name.partition("-")
    start = f"--engine {engine} {'dev up' if kind == 'dev' else 'test'}"
    why = f"it is not up, and its data with it (`envctl {start}` starts it)"
    return [Unseen(f"{visit.home.name} {name}", why) for name in visit.out_of_reach]
