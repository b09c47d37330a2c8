"""What the evidence says of a resource. Pure: a resource and the facts give a verdict and the reason for it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import field
from datetime import UTC, datetime
from typing import Literal

from envctl import hosts, namespace
from envctl.environments import PRIMARY, Patterns, fill
from envctl.model import Finding, Owner, Resource, Verdict
from envctl.services.postgres import private
from envctl.values import dataclass
from envctl.workspaces import Workspace

QUARANTINE = "quarantine"
SHARED = frozenset({"template", "pool"})
"""What is made for all runs that come after it."""
Reach = Literal["ours", "machine", "network"]
"""Who else may have made things in a server: nobody, other users of this machine, other machines."""
RunState = Literal["live", "dead"]
Judged = tuple[Verdict, str, str]
"""The verdict, its reason, and the command that removes the thing."""
CLEAN = "envctl clean"


@dataclass(frozen=True, slots=True)
class Found:
    """A resource, and where it was seen."""

    resource: Resource
    place: str
    reach: Reach = "ours"
    sessions: int = 0
    """How many are connected to it now."""


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """What is known of the checkout behind a namespace. Both texts are empty where it is simply there."""

    workspace: Workspace
    gone: str = ""
    """How git proves that it is gone."""
    doubt: str = ""
    """Why it may be gone, and nobody can prove it."""


@dataclass(frozen=True, slots=True)
class Facts:
    """All that is known beside the resources themselves."""

    project: str
    patterns: Patterns
    buckets: tuple[str, ...]
    host: str
    now: datetime
    hosts: frozenset[str] = frozenset()
    """What this machine was called before, or the one that it is a copy of."""
    runs: Mapping[str, RunState] = field(default_factory=dict)
    """Every run on record, by its id."""
    unread: Mapping[str, str] = field(default_factory=dict)
    """The namespaces in which a run is or was of which nobody can read what it made, with the words for that."""
    kept: frozenset[tuple[str, str]] = frozenset()
    """What dead runs left on purpose, as (run id, name)."""
    stuck: Mapping[str, str] = field(default_factory=dict)
    """Why what is left of a dead run stays until a person acts, by the run's id."""
    checkouts: Mapping[str, Whereabouts] = field(default_factory=dict)
    """Every registered checkout, by its namespace."""
    spared: Mapping[str, datetime] = field(default_factory=dict)
    """What a person has restored, by name, and until when it is left alone."""
    users: Mapping[str, str] = field(default_factory=dict)
    """Who uses a namespace now, in words; under "" somebody of whom it cannot be told."""

    def ours(self, host: str) -> bool:
        """Whether a record means this machine, where no other one comes."""
        return host == self.host or host in self.hosts

    def user(self, namespace: str) -> str:
        """Who uses that namespace, or may."""
        return self.users.get(namespace) or self.users.get("", "")


def judge(seen: Found, facts: Facts) -> Finding:
    """What is to be thought of it."""
    owner = seen.resource.owner
    verdict, reason, remedy = _judged(seen, owner, facts) if owner else _unrecorded()
    environment = owner.environment if owner else None
    elsewhere = owner is not None and _is_elsewhere(seen, owner, facts)
    return Finding(seen.resource, seen.place, environment, verdict, reason, remedy, elsewhere)


def quarantined(resource: Resource) -> bool:
    """Whether it was put out of the way, to be dropped later."""
    return resource.owner is not None and resource.owner.notes.get("kind") == QUARANTINE


def moment(text: str) -> datetime | None:
    """A time as records have it; None where it cannot be read."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def by_hand(owner: Owner) -> str:
    """The command that takes what no evidence releases: a person's word, for this namespace alone."""
    return f"envctl clean --all --branch {shlex.quote(owner.namespace)}"


def _judged(seen: Found, owner: Owner, facts: Facts) -> Judged:
    if owner.project != facts.project:
        return "unexplained", f"it belongs to the project {owner.project}", ""
    if _is_elsewhere(seen, owner, facts):
        return _of_another(seen, owner, facts)
    if quarantined(seen.resource):
        return _in_quarantine(seen, owner, facts)
    if owner.notes.get("kind") in SHARED:
        return _template(seen, owner)
    if owner.environment in ("test", "ci"):
        return _ephemeral(seen, owner, facts)
    if owner.environment == "dev":
        return _persistent(seen, owner, facts)
    return "idle", f"{owner.environment} lives as long as its deployment", ""


def _is_elsewhere(seen: Found, owner: Owner, facts: Facts) -> bool:
    """Whether the record names another machine, where others come. A former name is another's as well: a copy of a
    machine has its memory, and the original is at work.
    """
    return seen.reach == "network" and owner.host != facts.host


def _of_another(seen: Found, owner: Owner, facts: Facts) -> Judged:
    """Only that machine knows who uses it; where that may have been this one, a person may say so."""
    where = hosts.told(owner.host, facts.host)
    if not facts.ours(owner.host):
        return "unexplained", f"it was made on {where}, and only that one knows who uses it", ""
    if used := facts.user(owner.namespace) or (_connected(seen) if seen.sessions else ""):
        return "live", used, ""
    why = f"it was made on {where}, as this machine or the one that it is a copy of was called"
    return "unexplained", why, by_hand(owner) if _released(seen, owner, facts) else ""


def _released(seen: Found, owner: Owner, facts: Facts) -> bool:
    """Whether a person's word is enough: it is of a checkout that is registered here, and has a name of ours."""
    if _anothers(owner, facts):
        return False
    if quarantined(seen.resource):
        return not _taken_out(seen.resource, owner)
    return _named(seen.resource, owner, facts, primary=facts.checkouts[owner.namespace].workspace.primary)


def _unrecorded() -> Judged:
    return "unexplained", "nothing readable says whose it is: no owner record, a damaged one, or a newer envctl's", ""


def _in_quarantine(seen: Found, owner: Owner, facts: Facts) -> Judged:
    if taken := _taken_out(seen.resource, owner):
        return "unexplained", taken, ""
    if seen.reach != "ours" and (anothers := _anothers(owner, facts)):
        return "unexplained", anothers, ""
    if seen.reach != "ours" and (user := facts.user(owner.namespace)):
        return "idle", f"in quarantine, and somebody is at work in its namespace: {user}", ""
    why, until = owner.notes.get("why", ""), moment(owner.notes.get("until", ""))
    because = f" ({why})" if why else ""
    if until is None:
        return "idle", f"in quarantine, and until when cannot be read{because}", by_hand(owner)
    if facts.now >= until:
        return "orphan", f"its quarantine ended on {_day(until)}{because}", CLEAN
    return "idle", f"in quarantine until {_day(until)}{because}", by_hand(owner)


def _taken_out(resource: Resource, owner: Owner) -> str:
    """Why its record is not to be believed: somebody gave it a name of his own."""
    if resource.kind != "database" or private.kind(resource.name, owner.project) == "quarantine":
        return ""
    return "its record says that it is in quarantine, and its name that somebody took it out of there by hand"


def _anothers(owner: Owner, facts: Facts) -> str:
    """Why it may be another user's, on a server that others use too."""
    where = facts.checkouts.get(owner.namespace)
    if where is not None and str(where.workspace.path) == owner.workspace:
        return ""
    return f"its checkout {owner.workspace} is not registered here: it may be another user's"


def _template(seen: Found, owner: Owner) -> Judged:
    what = "a template" if owner.notes.get("kind") == "template" else "a copy of a template, made ahead"
    if seen.sessions:
        return "live", f"{what}: {_connected(seen)}", ""
    return "idle", f"{what}, for the runs to come", f"{CLEAN} --templates"


def _ephemeral(seen: Found, owner: Owner, facts: Facts) -> Judged:
    """Of one run: what the kernel says of that run's lock decides, and nothing else."""
    if not owner.lease:
        return "unexplained", "its record names no run", ""
    run = facts.runs.get(owner.lease)
    if run == "live":
        return "live", f"its run {owner.lease} is at work", ""
    if seen.sessions:
        return "live", _connected(seen), ""
    if run == "dead" and (owner.lease, seen.resource.name) in facts.kept:
        return "idle", "a failed run kept it, until the next run of its namespace", by_hand(owner)
    if run == "dead" and (why := facts.stuck.get(owner.lease, "")):
        return "unexplained", why, by_hand(owner)
    if run == "dead":
        return "orphan", f"its run {owner.lease} is dead", CLEAN
    if why := facts.unread.get(owner.namespace, ""):
        return "unexplained", why, ""
    if seen.reach != "ours":
        return "unexplained", f"its run {owner.lease} is not on record here: it may be another user's", ""
    if not _named(seen.resource, owner, facts, primary=False):
        return "unexplained", "its name is none that the patterns of this project make", ""
    if owner.host and not facts.ours(owner.host) and owner.host != hosts.name(facts.host):
        where = hosts.told(owner.host, facts.host)
        return "unexplained", f"a run on {where} made it, and it was brought here", by_hand(owner)
    return "orphan", f"its run {owner.lease} has ended: only runs on record here work there", CLEAN


def _persistent(seen: Found, owner: Owner, facts: Facts) -> Judged:
    """Of a checkout: only git can prove that it is gone."""
    where = facts.checkouts.get(owner.namespace)
    if why := facts.user(owner.namespace):
        return "live", why, ""
    if seen.sessions:
        return "live", _connected(seen), ""
    if unread := facts.unread.get(owner.namespace, ""):
        return "unexplained", unread, ""
    if seen.reach != "ours" and (anothers := _anothers(owner, facts)):
        return "unexplained", anothers, ""
    if not _named(seen.resource, owner, facts, primary=where is not None and where.workspace.primary):
        return "unexplained", "its name is none that the patterns of this project make", ""
    if where is None:
        return "unexplained", f"no checkout is registered as {owner.namespace}", by_hand(owner)
    if where.workspace.primary:
        return "idle", "it has the project's bare names, which no evidence releases", by_hand(owner)
    spared = facts.spared.get(seen.resource.name)
    if where.gone and spared is not None and facts.now < spared:
        return "idle", f"restored by hand, and left alone until {_day(spared)}", by_hand(owner)
    if where.gone:
        return "orphan", where.gone, CLEAN
    if where.doubt:
        return "unexplained", where.doubt, by_hand(owner)
    return "idle", f"its checkout {where.workspace.path} is there", by_hand(owner)


def _day(moment: datetime) -> str:
    return moment.astimezone().isoformat(" ", "minutes")[:16]


def _connected(seen: Found) -> str:
    return f"{seen.sessions} session{'s are' if seen.sessions > 1 else ' is'} connected to it"


def _named(resource: Resource, owner: Owner, facts: Facts, *, primary: bool) -> bool:
    """Whether the name is one that this environment and namespace make, and no other does."""
    parsed = _parsed(resource, facts)
    if parsed is not None:
        expected = (owner.environment, owner.namespace, owner.worker)
        return (parsed.environment, parsed.namespace, parsed.worker) == expected
    return primary and resource.name in _bare(resource, facts)


def _parsed(resource: Resource, facts: Facts) -> namespace.Parsed | None:
    name, patterns = resource.name, facts.patterns
    if resource.kind == "database" and resource.service == "postgres":
        return namespace.parse_database(facts.project, patterns, name)
    if resource.kind == "bucket":
        found = (
            namespace.parse_bucket(facts.project, patterns, one, name, buckets=facts.buckets) for one in facts.buckets
        )
        return next((one for one in found if one is not None), None)
    return namespace.parse_identity(facts.project, name)


def _bare(resource: Resource, facts: Facts) -> set[str]:
    if resource.kind == "database":
        return {fill(PRIMARY["database"], project=facts.project)}
    return {fill(PRIMARY["bucket"], bucket=one).replace("_", "-") for one in facts.buckets}
