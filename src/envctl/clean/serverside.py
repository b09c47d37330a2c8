"""The effects on servers: in short turns, each under the locks that keep a checkout from coming back meanwhile."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
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
from envctl.inventory.verdicts import SHARED, quarantined
from envctl.model import Resource, Talk
from envctl.project import Project
from envctl.recovery.visit import visited

TURN = 1.0
"""Seconds: `dev up` waits while a turn lasts."""
TOGETHER = 4
"""So many drop side by side: a server spends much of a drop waiting for its disk."""
Key = tuple[str, str]
Pair = tuple[Action, Resource]
"""What is to be done, and with what, as it was seen in this turn."""


def parted(project: Project, todo: Iterable[Action]) -> tuple[list[Action], list[Action]]:
    """What is in servers; and what engines or the state folder keep."""
    inside: list[Action] = []
    outside: list[Action] = []
    for action in todo:
        known = action.finding.resource.service in services.REGISTRY
        (inside if known and (project.home / action.finding.place).is_dir() else outside).append(action)
    return inside, outside


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
            yield from _in_turns(project, sights[service], mine, scope, wait=wait, talk=talk)


def _in_turns(
    project: Project, sight: Sight, todo: Iterable[Action], scope: Scope, *, wait: float, talk: Talk
) -> Iterator[Outcome]:
    """One turn after the other, each with a look of its own, until nothing is left to do."""
    left = {id(one): one for one in todo}
    while left:
        with _nobody_comes(project, sight.home, wait, talk):
            for outcome in _turn(project, sight, tuple(left.values()), scope):
                del left[id(outcome.action)]
                yield outcome


def _turn(project: Project, sight: Sight, todo: Sequence[Action], scope: Scope) -> Iterator[Outcome]:
    """What still holds of these actions, by the same judgement that planned them, is done, as far as time allows."""
    try:
        now = _fresh(project, sight, scope)
    except EnvctlError as error:
        yield from failed(todo, error)
        return
    holding: list[Pair] = []
    for action in todo:
        again = now.get(_key(action))
        if again is None:
            yield Outcome(action, "gone")
        elif action.do == "quarantine" and quarantined(again.finding.resource):
            yield Outcome(action, "done")  # A login goes there with what belongs to it, in the turn before.
        elif again.do != action.do:
            yield Outcome(action, "kept", again.why)
        else:
            holding.append((action, again.finding.resource))
    end = time.monotonic() + TURN
    yield from _put_aside(project, sight, [pair for pair in holding if pair[0].do == "quarantine"], end)
    yield from _dropped(sight, [pair for pair in holding if pair[0].do != "quarantine"], end)


def _fresh(project: Project, sight: Sight, scope: Scope) -> Mapping[Key, Action]:
    """What is to be thought of everything in that server at this moment."""
    found = places.listed(sight, project)
    return {_key(one): one for one in decided(judged(found, evidence.gather(project)), scope, clock.now())}


def _put_aside(project: Project, sight: Sight, pairs: Iterable[Pair], end: float) -> Iterator[Outcome]:
    for action, resource in _until(end, pairs):
        aside.mark(project, resource)
        try:
            services.get(sight.service).quarantine(sight.address, resource, notes=aside.notes(project, action.why))
        except EnvctlError as error:
            if error.code == "half_made":  # There is nothing in it that anybody could want back.
                yield from _dropped(sight, [(action, resource)], end=0.0)
            else:
                yield Outcome(action, "gone") if error.code == "gone" else _refused(action, error)
        else:
            yield Outcome(action, "done")


def _dropped(sight: Sight, pairs: Iterable[Pair], end: float) -> Iterator[Outcome]:
    """Logins when nothing else is left of these: most go with what was the last to belong to them."""
    some = list(pairs)
    things = [pair for pair in some if pair[1].kind not in LOGINS]
    ended = 0
    for outcome in _side_by_side(sight, things, end):
        ended += 1
        yield outcome
    if ended == len(things):
        yield from _side_by_side(sight, [pair for pair in some if pair[1].kind in LOGINS], end)


def _side_by_side(sight: Sight, pairs: Sequence[Pair], end: float) -> Iterator[Outcome]:
    """Each from its own evidence, which the service reads right before its end."""
    parts = [pairs[start::TOGETHER] for start in range(min(TOGETHER, len(pairs)))]
    with ThreadPoolExecutor(TOGETHER) as pool:
        ended = list(pool.map(lambda part: _part(sight, _until(end, part)), parts))
    for outcomes, _ in ended:
        yield from outcomes
    for _, error in ended:
        if error is not None:
            raise error


def _part(sight: Sight, pairs: Iterable[Pair]) -> tuple[list[Outcome], EnvctlError | None]:
    """What came of each, over one session; and why there is none."""
    begun: list[Action] = []
    outcomes: list[Outcome] = []

    def resources() -> Iterator[Resource]:
        for action, resource in pairs:
            begun.append(action)
            yield resource

    try:
        for _, refusal in services.get(sight.service).drop_all(sight.address, resources()):
            action = begun[len(outcomes)]
            outcomes.append(Outcome(action, "done") if refusal is None else _refused(action, refusal))
    except EnvctlError as error:
        return outcomes, error
    return outcomes, None


def _until(end: float, pairs: Iterable[Pair]) -> Iterator[Pair]:
    """One at least, and then as many as are asked for before that time."""
    for number, pair in enumerate(pairs):
        if number and time.monotonic() > end:
            return
        yield pair


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
