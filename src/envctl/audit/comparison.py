"""Two inventories and what is known of the run between them → what escaped. Pure: no file, no server, no clock.

What bears somebody's record is theirs. What bears none is the run's where there is a sign of that, or where nobody else
was at work; else nobody can tell, and it is told apart from what the run answers for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from itertools import chain
from pathlib import PurePath

from envctl.audit import attribution, timeline
from envctl.audit.values import Escape, Facts, Ground, Inventory, Left, Report, Visit
from envctl.model import Seen

Judged = tuple[bool, Escape]
"""Whether it is the run's for certain."""
MACHINE = "this machine"
FILES = "the file system"
CONTENTS = frozenset({"objects", "keys"})
"""Kinds that stand for how much is in something; the thing itself is listed by itself."""


def compare(before: Inventory, after: Inventory, facts: Facts) -> Report:
    """What is there now and was not before."""
    found = list(
        chain(
            (_process(one, after, facts) for one in _leaders(facts.left)),
            *(_on_server(name, before.servers.get(name), ground, facts) for name, ground in after.servers.items()),
            *(_strayed(name, before.servers.get(name), ground, facts) for name, ground in after.servers.items()),
            ((True, _session(one.place, one.session, facts, one.worker)) for one in facts.lingering),
            _files(before, after, facts),
        )
    )
    counted = [one for one in found if not any(fnmatchcase(one[1].name, pattern) for pattern in facts.allowed)]
    unseen = tuple(dict.fromkeys((*before.unseen, *after.unseen)))
    return Report(
        tuple(one for certain, one in counted if certain),
        tuple(one for certain, one in counted if not certain),
        unseen,
    )


def foreign(seen: Seen, lease: str) -> bool:
    """Whether a session's database is none of the run's."""
    return seen.owner is None or seen.owner.lease != lease


def of_run(seen: Seen, lease: str, *, beside: bool) -> bool:
    """Whether a session came in with a login that only the command of the run has."""
    return seen.keeper is not None and seen.keeper.lease == lease and not (beside and not seen.keeper.worker)


def _on_server(place: str, before: Ground | None, after: Ground, facts: Facts) -> Iterator[Judged]:
    if before is None:
        return  # It was not there, or could not be seen: there is nothing to compare with.
    known = {(one.kind, one.name): one for one in before.seen}
    ground = replace(after, others=tuple(dict.fromkeys((*before.others, *after.others))))
    for one in after.seen:
        was = known.get((one.kind, one.name))
        if one.kind == "session":
            yield from _still_open(place, one, facts)
        elif one.kind in CONTENTS:
            if was is not None and was.state != one.state:
                yield from _changed(place, replace(one, state=f"{was.state}, now {one.state}"), ground, facts)
        elif was is None and one.owner is None and not one.inner:
            yield _on(place, one, ground, facts)


def _strayed(place: str, before: Ground | None, after: Ground, facts: Facts) -> Iterator[Judged]:
    """Visits to what is on record as somebody else's, with a login that is none of the run's: one for each pair.

    What a test does there nobody can tell from outside: rows and tables have no owner records.
    """
    if before is None:
        return
    theirs = _recorded(before, facts.lease) & _recorded(after, facts.lease)
    own = attribution.logins((*before.seen, *after.seen), facts.lease)
    found: dict[tuple[str, str], list[Visit]] = {}
    for one in facts.visits:
        if one.place == place and one.login and one.login not in own and one.what in theirs:
            found.setdefault((one.what, one.login), []).append(one)
    for (database, login), visits in sorted(found.items()):
        tests = list(dict.fromkeys(one.test for one in visits if one.test))
        worker, test = (visits[0].worker, tests[0]) if len(tests) == 1 else ("", "")
        more = f"in {len(tests)} tests: {', '.join(tests[: timeline.SHOWN])}" if len(tests) > 1 else ""
        signs = _joined([f"came into database {database} as {login}", more])
        yield True, Escape("visit", database, place, worker, test, signs)


def _recorded(ground: Ground, lease: str) -> set[str]:
    """Databases that a record says are not the run's."""
    return {one.name for one in ground.seen if one.kind == "database" and one.owner and one.owner.lease != lease}


def _changed(place: str, seen: Seen, ground: Ground, facts: Facts) -> Iterator[Judged]:
    """A change of contents is its owner's, a run's or whose who is at work in `dev`, unless a test was seen there."""
    certain = bool(attribution.whose(place, seen, ground, facts).sign)
    theirs = seen.owner is not None and (bool(seen.owner.lease) or bool(ground.others))
    if certain or not theirs:
        # An application that nobody told envctl of may be at work there, and so its silence proves nothing.
        yield certain, _on(place, seen, ground, facts)[1]


def _on(place: str, seen: Seen, ground: Ground, facts: Facts) -> Judged:
    made, others = attribution.whose(place, seen, ground, facts), ground.others
    signs = [seen.state]
    if seen.login:
        signs.append(f"belongs to {seen.login}" + (f" of {seen.keeper.namespace}" if seen.keeper else ""))
    if seen.owner is not None:
        signs.append(f"of {seen.owner.namespace}, {seen.owner.environment}")
    if others and not made.sign:
        signs += [made.when, f"while {made.test} ran" if made.test else "", f"at work there too: {', '.join(others)}"]
        return False, Escape(seen.kind, seen.name, place, evidence=_joined(signs))
    signs += [made.when, made.sign or "nobody else was at work there"]
    return True, Escape(seen.kind, seen.name, place, made.worker, made.test, _joined(signs))


def _still_open(place: str, seen: Seen, facts: Facts) -> Iterator[Judged]:
    """A session with a login of the run once the command has ended; a process that was left tells of its own."""
    if of_run(seen, facts.lease, beside=facts.beside) and not any(seen.port in one.ports for one in facts.left):
        worker = seen.keeper.worker if seen.keeper else ""
        yield True, _session(place, seen, facts, worker)


def _session(place: str, seen: Seen, facts: Facts, worker: str) -> Escape:
    _, test, when = timeline.told(facts.ran, seen.made, worker, late=0.0)
    where = "" if not foreign(seen, facts.lease) else "that database is not the run's"
    return Escape("session", f"{seen.login} in {seen.name}", place, worker, test, _joined([seen.state, where, when]))


def _leaders(left: Sequence[Left]) -> list[Left]:
    """One for each family: the children of a process that was left go with it."""
    pids = {one.pid for one in left}
    return [one for one in left if one.parent not in pids]


def _process(left: Left, after: Inventory, facts: Facts) -> Judged:
    worker, test, when = timeline.told(facts.ran, left.started)
    if left.test:
        when = when.partition(",")[0]
    family = [one for one in facts.left if one.pid == left.pid or one.parent == left.pid]
    ports, listens = frozenset().union(*(one.ports for one in family)), [one for each in family for one in each.listens]
    sessions = [
        f"has a session in {one.name} ({name})"
        for name, ground in after.servers.items()
        for one in ground.seen
        if one.kind == "session" and one.port in ports
    ]
    signs = [f"listens on {', '.join(listens)}" if listens else "", *sessions, when]
    kind = "port" if listens else "process"
    name = f"{left.command} (pid {left.pid})"
    return True, Escape(kind, name, MACHINE, left.worker or worker, left.test or test, _joined(signs))


def _files(before: Inventory, after: Inventory, facts: Facts) -> Iterator[Judged]:
    """Paths that Python told of, then what is new in the watched folders and nobody told of."""
    alone = not any(ground.others for one in (before, after) for ground in one.servers.values())
    told = {one.path: one for one in reversed(facts.wrote)}
    for path, one in sorted(told.items()):
        if not any(str(parent) in told for parent in PurePath(path).parents):
            yield True, Escape("file", path, FILES, one.worker, one.test, "made by the test process")
    for path in sorted(after.files - before.files):
        if _within(path, facts.own) or any(_within(one, (path,)) for one in facts.own):
            continue
        if any(_within(one, (path,)) or _within(path, (one,)) for one in told):
            continue
        holder = next((one for one in facts.left if any(_within(file, (path,)) for file in one.files)), None)
        private = _within(path, facts.private)
        sign = f"open in {holder.command}" if holder else "nobody else works there" if private else ""
        who = Escape("file", path, FILES, holder.worker if holder else "", holder.test if holder else "", sign)
        yield holder is not None or (private and alone), who


def _within(path: str, folders: Sequence[str]) -> bool:
    return any(path == one or path.startswith(one.rstrip("/") + "/") for one in folders)


def _joined(signs: Sequence[str]) -> str:
    return "; ".join(one for one in signs if one)
