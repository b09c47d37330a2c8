"""`--since`: a moment, or a time that has gone by."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from envctl.errors import UsageError
from envctl.inventory.verdicts import moment
from envctl.leaks.rows import Audit

UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parsed(text: str, now: datetime) -> datetime:
    """`7d`, `12h`, or a date or moment of ISO 8601, which is UTC unless it says otherwise."""
    found = re.fullmatch(r"([0-9]{1,6})([mhdw])", text)
    try:
        when = now - timedelta(**{UNITS[found[2]]: int(found[1])}) if found else moment(text)
    except OverflowError:
        when = None
    if when is None:
        raise UsageError(f"--since {text!r} is no time", hint="for example --since 7d, --since 12h, --since 2026-11-01")
    return when.astimezone(UTC)


def narrowed(audit: Audit, since: datetime) -> Audit:
    """Only what came since then. What nobody knows the age of stays: it is never passed over in silence."""
    rows = tuple(row for row in audit.rows if (came := moment(row.since)) is None or came >= since)
    limited = f"since {since:%Y-%m-%d %H:%M} UTC"
    return replace(audit, rows=rows, limited=f"{audit.limited}, {limited}" if audit.limited else limited)
