"""Everything of a project that is there on this machine, each with what the evidence says of it. Touches nothing."""

from __future__ import annotations

from collections.abc import Iterable

from envctl.inventory import books, evidence, leftovers, places, verdicts
from envctl.model import Finding, Talk, Unseen
from envctl.project import Project
from envctl.values import dataclass

__all__ = ["Inventory", "take"]


@dataclass(frozen=True, slots=True)
class Inventory:
    """What was found, and what could not be looked at."""

    findings: tuple[Finding, ...]
    unseen: tuple[Unseen, ...]

    def of(self, *verdicts: str) -> tuple[Finding, ...]:
        """The findings of these verdicts."""
        return tuple(one for one in self.findings if one.verdict in verdicts)


def take(
    project: Project, *, command: str, sizes: bool = True, everything: bool = False, wait: float, talk: Talk
) -> Inventory:
    """Look at every server that is up, at what engines keep, and at the state folder; nothing is started.

    What is there is listed before it is asked who lives: whatever was seen had its maker on record by then. With
    `everything` who is connected is asked of what is idle too.
    """
    sights, unseen = places.look(project, command=command, sizes=sizes, wait=wait, talk=talk)
    facts = evidence.gather(project)
    findings = [finding for sight in sights for finding in _seen(sight, facts, everything)]
    findings += books.findings(project, findings, unseen, facts)
    kept = list(leftovers.findings(project, sizes=sizes))
    findings += [one for one in kept if isinstance(one, Finding)]
    blind = (*unseen, *(one for one in kept if isinstance(one, Unseen)))
    return Inventory(tuple(sorted(findings, key=_order)), blind)


def _seen(sight: places.Sight, facts: verdicts.Facts, everything: bool) -> list[Finding]:
    """Who is connected is asked only where it still matters: of what would go otherwise."""
    found = judged(sight.seen, facts)
    if not everything and not any(one.verdict == "orphan" for one in found):
        return found
    return judged(places.with_sessions(sight), facts)


def judged(found: Iterable[verdicts.Found], facts: verdicts.Facts) -> list[Finding]:
    """The findings about resources in servers."""
    return [verdicts.judge(one, facts) for one in found]


def _order(finding: Finding) -> tuple[str, str, str, str]:
    one = finding.resource
    return finding.place, one.service, one.kind, one.name
