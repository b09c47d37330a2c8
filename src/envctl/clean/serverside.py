"""The effects on servers: in small batches, each under the locks that keep a checkout from coming back meanwhile."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path

from envctl import leases, services, workspaces
from envctl.clean import aside
from envctl.clean.outcomes import Outcome, failed
from envctl.clean.plans import LOGINS, Action, Scope, decided
from envctl.errors import EnvctlError
from envctl.inventory import clock, evidence, judged, places
from envctl.inventory.places import Sight, told
from envctl.inventory.verdicts import SHARED
from envctl.model import Resource, Talk
from envctl.project import Project
from envctl.recovery.visit import visited

BATCH = 25
"""So many at a time: `dev up` waits while one is at work."""
Key = tuple[str, str]


def is_there(project: Project, action: Action) -> bool:
    """Whether it is in a server, or is something that engines or the state folder keep."""
    resource = action.finding.resource
    return resource.service in services.REGISTRY and (project.home / action.finding.place).is_dir()


def applied(project: Project, todo: Sequence[Action], scope: Scope, *, wait: float, talk: Talk) -> list[Outcome]:
    """All of it, one server after the other; a server that is not there any more keeps the others from nothing."""
    outcomes: list[Outcome] = []
    for place, actions in groupby(sorted(todo, key=_place), key=_place):
        mine = list(actions)
        try:
            for outcome in _in_set(project, project.home / place, mine, scope, wait=wait, talk=talk):
                outcomes.append(outcome)  # noqa: PERF402  (what was done is told, whatever comes after it)
        except EnvctlError as error:
            done = {id(one.action) for one in outcomes}
            outcomes += failed((one for one in mine if id(one) not in done), error)
    return outcomes


def _in_set(
    project: Project, home: Path, todo: Sequence[Action], scope: Scope, *, wait: float, talk: Talk
) -> Iterator[Outcome]:
    with visited(home, command="envctl clean", wait=wait, talk=talk) as visit:
        sights = {one.service: one for one in places.sights(visit)}
        for service in dict.fromkeys(one.finding.resource.service for one in todo):
            mine = [one for one in todo if one.finding.resource.service == service]
            if service not in sights:
                yield from (Outcome(one, "kept", f"{service} is not up any more") for one in mine)
                continue
            for start in range(0, len(mine), BATCH):
                with _nobody_comes(project, home, wait, talk):
                    yield from _batch(project, sights[service], mine[start : start + BATCH], scope)


def _batch(project: Project, sight: Sight, batch: Sequence[Action], scope: Scope) -> Iterator[Outcome]:
    """What still holds of these actions, by the same judgement that planned them, is done."""
    try:
        now = _fresh(project, sight, scope)
    except EnvctlError as error:
        yield from failed(batch, error)
        return
    holding: list[tuple[Action, Resource]] = []
    for action in batch:
        again = now.get(_key(action))
        if again is None:
            yield Outcome(action, "gone")
        elif again.do != action.do:
            yield Outcome(action, "kept", again.why)
        else:
            holding.append((action, again.finding.resource))
    yield from _put_aside(project, sight, [pair for pair in holding if pair[0].do == "quarantine"])
    yield from _dropped(sight, [pair for pair in holding if pair[0].do != "quarantine"])


def _fresh(project: Project, sight: Sight, scope: Scope) -> Mapping[Key, Action]:
    """What is to be thought of everything in that server at this moment."""
    found = places.listed(sight, project)
    return {_key(one): one for one in decided(judged(found, evidence.gather(project)), scope, clock.now())}


def _put_aside(project: Project, sight: Sight, pairs: Iterable[tuple[Action, Resource]]) -> Iterator[Outcome]:
    for action, resource in pairs:
        aside.mark(project, resource)
        try:
            services.get(sight.service).quarantine(sight.address, resource, notes=aside.notes(project, action.why))
        except EnvctlError as error:
            if error.code == "half_made":  # There is nothing in it that anybody could want back.
                yield from _dropped(sight, [(action, resource)])
            else:
                yield Outcome(action, "gone") if error.code == "gone" else _refused(action, error)
        else:
            yield Outcome(action, "done")


def _dropped(sight: Sight, pairs: Sequence[tuple[Action, Resource]]) -> Iterator[Outcome]:
    outcomes = services.get(sight.service).drop_all(sight.address, [resource for _, resource in pairs])
    for (action, _), (_, error) in zip(pairs, outcomes, strict=True):
        yield Outcome(action, "done") if error is None else _refused(action, error)


def _refused(action: Action, error: EnvctlError) -> Outcome:
    """A template that somebody copies from now is none to complain of, nor a login of something that stays."""
    resource = action.finding.resource
    shared = resource.owner is not None and resource.owner.notes.get("kind") in SHARED
    busy = error.code == "in_use" and (shared or resource.kind in LOGINS)
    return Outcome(action, "kept" if busy else "failed", told(error))


@contextmanager
def _nobody_comes(project: Project, home: Path, wait: float, talk: Talk) -> Iterator[None]:
    """No checkout registers itself, and none begins to use these servers, until the block ends."""
    with (
        workspaces.locked(project.config.project, wait=wait, talk=talk),
        leases.locked(home, who="envctl clean", wait=wait, talk=talk),
    ):
        yield


def _key(action: Action) -> Key:
    return action.finding.resource.kind, action.finding.resource.name


def _place(action: Action) -> str:
    return action.finding.place
