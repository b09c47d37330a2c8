"""Whose something on a server is: by when it was made, and by which tests were there. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from envctl.audit import timeline
from envctl.audit.values import Facts, Ground, Visit
from envctl.model import Seen
from envctl.values import dataclass


@dataclass(frozen=True, slots=True)
class Whose:
    """Worker and test, as far as they can be told; `sign` says how it is known that it was the run."""

    worker: str = ""
    test: str = ""
    when: str = ""
    sign: str = ""


def whose(place: str, seen: Seen, ground: Ground, facts: Facts) -> Whose:
    """Who made it. A test that was there with the very login, or named the very bucket, leaves no doubt."""
    there = [one for one in facts.visits if one.place == place]
    named = [one for one in there if _means(one, seen)]
    possible = named or [one for one in there if _may_mean(one, seen, ground, facts.lease)]
    worker, test, when = timeline.told(facts.ran, seen.made)
    sign = _sign(named[0], seen) if named else ""
    tests = {(one.worker, one.test) for one in possible if one.test}
    if not test and seen.made is not None:
        then = {(one.worker, one.test) for one in timeline.during(facts.ran, seen.made)}
        tests = tests & then or tests
    if len(tests) == 1 and (not test or named):
        worker, test = tests.pop()
        when = when.partition(",")[0]
    return Whose(worker, test, when, sign)


def _means(visit: Visit, seen: Seen) -> bool:
    if seen.kind == "database":
        return bool(visit.login) and visit.login == seen.login
    return seen.kind in ("bucket", "objects") and visit.what == seen.name


def _may_mean(visit: Visit, seen: Seen, ground: Ground, lease: str) -> bool:
    """A role is made by somebody who is none of the run's own logins; of a key nothing is known but the server."""
    if seen.kind in ("database", "role"):
        return bool(visit.login) and visit.login not in logins(ground.seen, lease)
    return seen.kind in ("key", "keys", "user")


def logins(seen: Iterable[Seen], lease: str) -> set[str]:
    return {one.name for one in seen if one.kind == "role" and one.owner is not None and one.owner.lease == lease}


def _sign(visit: Visit, seen: Seen) -> str:
    return f"a test came in as {visit.login}" if seen.kind == "database" else f"a test wrote to {visit.what}"
