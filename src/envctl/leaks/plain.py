"""An audit as lines of text: for a mail, a log, a notify command. Names come from strangers and are made harmless."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from envctl import output
from envctl.inventory.verdicts import moment
from envctl.leaks.rows import Audit, Row, count, weight
from envctl.render import size

LONGEST = 300
MOST = 50
"""Leaks that are named one by one where nobody asked for all."""


def harmless(text: str) -> str:
    """What cannot move a cursor, change a colour, turn the direction of reading, or run over many lines."""
    shown = output.harmless(text[:LONGEST], keep="")
    return shown if len(text) <= LONGEST else f"{shown}…"


def headline(audit: Audit) -> str:
    """The whole audit in one line."""
    counts = count(audit.rows)
    leaks = len(audit.leaks)
    parts = [
        f"{leaks} leak{'' if leaks == 1 else 's'}" + (f" ({size(weight(audit.leaks))})" if weight(audit.leaks) else ""),
        f"{counts['idle']} idle",
        f"{counts['live']} live",
    ]
    if audit.unseen:
        parts.append(f"{len(audit.unseen)} place{'' if len(audit.unseen) == 1 else 's'} not looked at")
    return f"{audit.project}: {', '.join(parts)}"


def summary(audit: Audit) -> str:
    """What the notify command gets on its standard input."""
    return "\n".join(_summary(audit)) + "\n"


def age(row: Row, now: str) -> str:
    """How old a thing is, for people; `seen` where only audits know it."""
    came, present = moment(row.since), moment(now)
    if came is None or present is None:
        return ""
    seconds = max(0.0, (present - came).total_seconds())
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length or unit == "min":
            return f"{'' if row.created else 'seen '}{seconds / length:.0f} {unit}"
    return ""


def local_time(at: str) -> str:
    """A moment as people of one place and all others understand it."""
    found = moment(at)
    return found.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC") if isinstance(found, datetime) else at


def _summary(audit: Audit) -> Iterator[str]:
    yield f"{headline(audit)} · {local_time(audit.at)}"
    for row in audit.leaks[:MOST]:
        yield ""
        yield harmless(f"{row.verdict}: {row.kind} {row.name} ({row.place}{_more(row, audit.at)})")
        yield f"  {harmless(row.reason)}"
        if row.remedy:
            yield f"  {harmless(row.remedy)}"
    if len(audit.leaks) > MOST:
        yield f"\n… and {len(audit.leaks) - MOST} more: envctl leaks"
    for one in audit.unseen:
        yield ""
        yield harmless(f"not looked at: {one.place}: {one.why}")


def _more(row: Row, now: str) -> str:
    parts = (row.owner, age(row, now), size(row.bytes))
    return "".join(f", {part}" for part in parts if part)
