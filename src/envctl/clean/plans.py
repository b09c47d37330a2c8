"""What is to be done about each finding, and why. Pure: `--dry-run` shows the very plan that `apply` follows."""

from __future__ import annotations

from collections.abc import Container, Iterable
from datetime import datetime, timedelta
from typing import Literal

from envctl import services
from envctl.inventory import Inventory
from envctl.inventory.verdicts import SHARED, moment, quarantined
from envctl.model import EVERYBODY, Finding, Resource, Unseen
from envctl.values import dataclass

Do = Literal["keep", "drop", "quarantine", "expire"]
ORDER: tuple[Do, ...] = ("drop", "quarantine", "expire", "keep")
LOGINS = ("role",)
"""What goes with the last thing that belongs to it, and stays as long as one does."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What a person asked for. Filters make a plan smaller, whatever else it says."""

    branch: str = ""
    """Only what is of this branch, or of the namespace of that name."""
    older: float = 0.0
    """Only what is older than so many seconds."""
    templates: bool = False
    """Templates too, but for those in use."""
    everything: bool = False
    """All that is not in use and that somebody's command may remove, for good."""


@dataclass(frozen=True, slots=True)
class Action:
    """What to do about one thing, and the reason."""

    do: Do
    finding: Finding
    why: str


@dataclass(frozen=True, slots=True)
class Plan:
    """All of it, in order; and where nobody could look."""

    actions: tuple[Action, ...]
    unseen: tuple[Unseen, ...]
    scope: Scope

    @property
    def todo(self) -> tuple[Action, ...]:
        """Those that change something."""
        return tuple(one for one in self.actions if one.do != "keep")

    @property
    def live(self) -> tuple[Action, ...]:
        """Those that stay because they are in use."""
        return tuple(one for one in self.actions if one.finding.verdict == "live")


def plan(inventory: Inventory, scope: Scope, now: datetime) -> Plan:
    """What follows from an inventory."""
    inside = [one for one in inventory.findings if _of_branch(one, scope.branch)]
    actions = sorted(decided(inside, scope, now), key=_order)
    return Plan(tuple(actions), inventory.unseen, scope)


def decided(findings: Iterable[Finding], scope: Scope, now: datetime) -> list[Action]:
    """What to do about each. A login stays as long as something that belongs to it does, and what a checkout has goes
    together: whoever is connected to its database may want its bucket next.
    """
    found = list(findings)
    used = {_checkout(one) for one in found if one.verdict == "live"}
    actions = [_spared(_action(one, scope, now), used) for one in found]
    staying = {_whose(one.finding) for one in actions if one.do == "keep" and one.finding.resource.kind not in LOGINS}
    return [
        Action("keep", one.finding, "something that belongs to it stays")
        if one.do != "keep" and one.finding.resource.kind in LOGINS and _whose(one.finding) in staying
        else one
        for one in actions
    ]


def _action(finding: Finding, scope: Scope, now: datetime) -> Action:
    do = _decision(finding, scope)
    if do != "keep" and scope.older and not _older(finding.resource, scope.older, now):
        return Action("keep", finding, f"it is not older than was asked for ({finding.reason})")
    return Action(do, finding, finding.reason)


def _spared(action: Action, used: Container[str]) -> Action:
    checkout = _checkout(action.finding)
    if action.do in ("drop", "quarantine") and checkout and checkout in used:
        return Action("keep", action.finding, "something else of its namespace is in use")
    return action


def _decision(finding: Finding, scope: Scope) -> Do:
    resource, verdict = finding.resource, finding.verdict
    if verdict == "live" or not finding.remedy or (finding.elsewhere and not scope.branch):
        return "keep"
    if quarantined(resource):
        return "expire" if verdict == "orphan" or scope.everything else "keep"
    if _kind(resource) in SHARED and verdict == "idle":
        return "drop" if scope.templates or scope.everything else "keep"
    if scope.everything:
        return "drop"
    if verdict != "orphan":
        return "keep"
    return "quarantine" if finding.environment == "dev" and resource.service in services.REGISTRY else "drop"


def _older(resource: Resource, seconds: float, now: datetime) -> bool:
    """By its record; what does not say its age is not older than anything."""
    owner = resource.owner
    since = moment(owner.notes.get("since", "") if quarantined(resource) else owner.created) if owner else None
    return since is not None and now - since > timedelta(seconds=seconds)


def _of_branch(finding: Finding, branch: str) -> bool:
    owner = finding.resource.owner
    if not branch:
        return True
    # A template was built on some branch, and is everybody's.
    return owner is not None and owner.namespace != EVERYBODY and branch in (owner.branch, owner.namespace)


def _checkout(finding: Finding) -> str:
    """The namespace whose lasting data it is; empty for what is a run's."""
    owner = finding.resource.owner
    return owner.namespace if owner and finding.environment == "dev" else ""


def _whose(finding: Finding) -> tuple[str, ...]:
    owner, place = finding.resource.owner, (finding.place, finding.resource.service)
    return (*place, owner.namespace, owner.environment, owner.worker) if owner else place


def _kind(resource: Resource) -> str:
    return resource.owner.notes.get("kind", "") if resource.owner else ""


def _order(action: Action) -> tuple[int, str, str, bool, str]:
    """Logins behind all that may be theirs, whatever is to be done with that."""
    one = action.finding.resource
    rank, login = ORDER.index(action.do), one.kind in LOGINS
    last = max(rank, ORDER.index("expire")) if login else rank
    return last, action.finding.place, one.service, login, one.name
