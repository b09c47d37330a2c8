"""What an audit found, as lines and as data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from envctl.output import Output

if TYPE_CHECKING:
    from envctl.audit import Audit
    from envctl.audit.values import Escape

SHOWN = 10
"""How many things are shown of which nobody can tell whose they are; with -v all."""


def tell(output: Output, audit: Audit) -> None:
    """What escaped, what may have, and what was not seen."""
    report = audit.report
    for one in report.escapes:
        output.insist(f"  {described(one)}")
    for place in report.unseen:
        output.insist(f"warning: the audit could not see {place.place}: {place.why}")
    if report.untold:
        output.say(f"new since the run began, but nobody can tell whose: {len(report.untold)}")
    for one in report.untold if output.verbose else report.untold[:SHOWN]:
        output.say(f"  {described(one)}")
    if not report.escapes:
        output.say(f"audit: nothing escaped ({audit.seconds:.2f} s)")


def described(one: Escape) -> str:
    """What, where, whose, and how that is known."""
    whose = " ".join(part for part in (one.worker, one.test) if part)
    told = "; ".join(part for part in (whose, one.evidence) if part)
    return f"{one.kind} {one.name}, {one.place}" + (f": {told}" if told else "")


def data(audit: Audit) -> dict[str, Any]:
    """The audit for a program."""
    return {
        "escapes": list(map(_fields, audit.report.escapes)),
        "untold": list(map(_fields, audit.report.untold)),
        "unseen": [{"place": one.place, "why": one.why} for one in audit.report.unseen],
        "looked_at": [*(one.name for one in audit.places), *audit.folders],
        "seconds": round(audit.seconds, 4),
    }


def _fields(one: Escape) -> dict[str, str]:
    names = ("kind", "name", "place", "worker", "test", "evidence")
    return {name: getattr(one, name) for name in names}
