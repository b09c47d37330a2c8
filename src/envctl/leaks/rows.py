"""What an audit found, as values: its rows, the places it could not look at, and what that comes to."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import asdict, replace
from typing import Any, get_args

from envctl.model import Finding, Owner, Resource, Unseen, Verdict
from envctl.values import dataclass

LEAKS: tuple[Verdict, ...] = ("orphan", "unexplained")
PURPOSES = ("template", "pool", "quarantine", "worker")
ORDER: tuple[Verdict, ...] = ("orphan", "unexplained", "idle", "live")
"""In which order people want to see them."""


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that is there. Its texts are as they were found: whoever shows them makes them harmless."""

    environment: str
    place: str
    kind: str
    name: str
    verdict: Verdict
    reason: str
    owner: str = ""
    created: str = ""
    """When it was made, as far as that can be told; ISO 8601."""
    bytes: int | None = None
    remedy: str = ""
    first_seen: str = ""
    """When an audit first called it a leak."""

    @property
    def key(self) -> str:
        """What makes it the same thing in the next audit."""
        return f"{self.place}\t{self.kind}\t{self.name}"

    @property
    def leak(self) -> bool:
        """Whether it is there and should not be, or nobody knows why it is."""
        return self.verdict in LEAKS

    @property
    def since(self) -> str:
        """The best that is known of when it came."""
        return self.created or self.first_seen


@dataclass(frozen=True, slots=True)
class Audit:
    """One look at everything."""

    project: str
    at: str
    seconds: float
    rows: tuple[Row, ...]
    unseen: tuple[Unseen, ...]
    limited: str = ""
    """What it was limited to, in words; empty where it looked at everything."""

    @property
    def leaks(self) -> tuple[Row, ...]:
        """The rows that are leaks."""
        return tuple(row for row in self.rows if row.leak)

    @property
    def exit_code(self) -> int:
        """Leaks go before places that could not be looked at: there is something to do already."""
        return 3 if self.leaks else 4 if self.unseen else 0


def row(finding: Finding, *, project: str, mine: Collection[str]) -> Row:
    """A finding of the inventory as a row. What stands on record as another project's or host's is no leak of ours."""
    resource, owner = finding.resource, finding.resource.owner
    made = Row(
        environment=finding.environment or "",
        place=finding.place,
        kind=_kind(resource),
        name=resource.name,
        verdict=finding.verdict,
        reason=finding.reason,
        owner=_whose(owner) if owner else "",
        created=owner.created if owner else "",
        bytes=resource.bytes,
        remedy=finding.remedy,
    )
    theirs = owner is not None and (owner.project != project or owner.host not in ("", *mine))
    return replace(made, verdict="idle") if made.verdict == "unexplained" and theirs else made


def count(rows: Iterable[Row]) -> dict[str, int]:
    """How many rows there are of each verdict."""
    found = dict.fromkeys(get_args(Verdict), 0)
    for one in rows:
        found[one.verdict] += 1
    return found


def weight(rows: Iterable[Row]) -> int:
    """How many bytes they take, as far as that is known."""
    return sum(one.bytes or 0 for one in rows)


def as_json(audit: Audit) -> dict[str, Any]:
    """The audit as `--json` shows it."""
    return {
        "project": audit.project,
        "at": audit.at,
        "seconds": round(audit.seconds, 3),
        "limited": audit.limited,
        "counts": count(audit.rows),
        "leaked_bytes": weight(audit.leaks),
        "rows": [{**asdict(one), "leak": one.leak} for one in audit.rows],
        "unseen": [asdict(one) for one in audit.unseen],
    }


def ordered(rows: Iterable[Row]) -> tuple[Row, ...]:
    """The worst first, then by environment, place, kind and name."""
    return tuple(sorted(rows, key=lambda one: (ORDER.index(one.verdict), one.environment, one.key)))


def _kind(resource: Resource) -> str:
    """What it is for, where that tells more than what it is: a worker's, a template, a copy made ahead, quarantined."""
    notes = resource.owner.notes if resource.owner else {}
    purpose = notes.get("kind", "") or ("worker" if resource.owner and resource.owner.worker else "")
    return f"{purpose} {resource.kind}" if purpose in PURPOSES else resource.kind


def _whose(owner: Owner) -> str:
    worker = f" {owner.worker}" if owner.worker else ""
    return f"{owner.namespace or owner.project}{worker}"
