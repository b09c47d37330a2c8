"""Past audits: a few numbers of each for the trend, and since when each leak of the last one has been seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, field, replace
from pathlib import Path

from envctl import locks, state
from envctl.errors import EnvctlError
from envctl.leaks.rows import Audit, Row, count, weight
from envctl.model import Talk
from envctl.values import dataclass

KEPT = 200
"""Audits; nearly four years of weekly ones."""
REMEMBERED = 10_000
"""Leaks whose first sight is kept; all there are, but in a very bad case."""
WAIT = 10.0


@dataclass(frozen=True, slots=True)
class Past:
    """One audit as it is remembered."""

    at: str
    live: int
    idle: int
    orphan: int
    unexplained: int
    bytes: int
    """What its leaks took."""
    unseen: int


@dataclass(frozen=True, slots=True)
class History:
    """What audits saw, the oldest first."""

    audits: tuple[Past, ...] = ()
    first_seen: Mapping[str, str] = field(default_factory=dict)


def recall(home: Path) -> History:
    """What is remembered; nothing yet is an empty history."""
    content = state.read(_file(home), hint=f"its numbers are only for the trend: rm {_file(home)}")
    if content is None:
        return History()
    try:
        return History(tuple(Past(**one) for one in content["audits"]), dict(content["first_seen"]))
    except (KeyError, TypeError, ValueError) as error:
        hint = f"its numbers are only for the trend: rm {_file(home)}"
        raise EnvctlError(f"{_file(home)} is no list of audits", hint=hint, code="state_broken") from error


def added(home: Path, audit: Audit, *, talk: Talk) -> tuple[Audit, History]:
    """The audit with what is known of its leaks, and the history with it; only one that saw everything is kept."""
    with locks.locked(home / "audits.lock", what="the list of past audits", wait=WAIT, talk=talk):
        before = recall(home)
        rows = tuple(_known(row, before, audit.at) for row in audit.rows)
        audit = replace(audit, rows=rows)
        if audit.limited:
            return audit, before
        after = _after(before, audit)
        state.write(_file(home), {"audits": [asdict(one) for one in after.audits], "first_seen": after.first_seen})
    return audit, after


def _known(row: Row, before: History, at: str) -> Row:
    return replace(row, first_seen=before.first_seen.get(row.key, at)) if row.leak else row


def _after(before: History, audit: Audit) -> History:
    """The newest audits alone, and the leaks of this one; the older ones too where it could not see everything."""
    now = Past(audit.at, **count(audit.rows), bytes=weight(audit.leaks), unseen=len(audit.unseen))
    seen = dict(before.first_seen) if audit.unseen else {}
    seen |= {row.key: row.first_seen for row in audit.leaks}
    newest = sorted(seen.items(), key=lambda one: one[1])[-REMEMBERED:]
    return History((*before.audits, now)[-KEPT:], dict(newest))


def _file(home: Path) -> Path:
    return home / "audits.json"
