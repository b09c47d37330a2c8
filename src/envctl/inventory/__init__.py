"""Everything of a project that is there on this machine, each with what the evidence says of it. Touches nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from envctl.inventory import books, evidence, places, verdicts
from envctl.model import Finding, Talk, Unseen
from envctl.project import Project

__all__ = ["Inventory", "take"]


@dataclass(frozen=True, slots=True)
class Inventory:
    """What was found, and what could not be looked at."""

    findings: tuple[Finding, ...]
    unseen: tuple[Unseen, ...]

    def of(self, *verdicts: str) -> tuple[Finding, ...]:
        """The findings of these verdicts."""
        return tuple(one for one in self.findings if one.verdict in verdicts)


def take(project: Project, *, command: str, wait: float, talk: Talk) -> Inventory:
    """Look at every server that is up, at what engines keep, and at the state folder; nothing is started.

    What is there is listed before it is asked who lives: whatever was seen had its maker on record by then.
    """
    sights, unseen = places.look(project, command=command, wait=wait, talk=talk)
    found = [one for sight in sights for one in sight.seen]
    facts = evidence.gather(project)
    findings = [*judged(found, facts), *books.findings(project, found, unseen, facts)]
    return Inventory(tuple(sorted(findings, key=_order)), unseen)


def judged(found: Iterable[verdicts.Found], facts: verdicts.Facts) -> list[Finding]:
    """The findings about resources in servers."""
    return [verdicts.judge(one, facts) for one in found]


def _order(finding: Finding) -> tuple[str, str, str, str]:
    one = finding.resource
    return finding.place, one.service, one.kind, one.name
