"""Which test ran when, and so which one made something at a known moment."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from envctl.audit.values import Ran

LATE = 0.01
"""Seconds by which the clocks of file systems and processes may be behind; they are never ahead."""
SHOWN = 3


def told(
    ran: Sequence[Ran], moment: float | None, worker: str | None = None, *, late: float = LATE
) -> tuple[str, str, str]:
    """Worker, test and words for what came at that moment: names only where no other test can have been it."""
    if moment is None:
        return worker or "", "", ""
    found = [one for one in during(ran, moment, late) if worker in (None, one.worker)]
    clock = datetime.fromtimestamp(moment).strftime("since %H:%M:%S")
    if len(found) == 1:
        return found[0].worker, found[0].test, clock
    if not found:
        return worker or "", "", clock
    names = ", ".join(one.test for one in found[:SHOWN]) + (" …" if len(found) > SHOWN else "")
    workers = {one.worker for one in found}
    return workers.pop() if len(workers) == 1 else "", "", f"{clock}, while one of these ran: {names}"


def during(ran: Sequence[Ran], moment: float, late: float = LATE) -> list[Ran]:
    """The tests that ran at that moment."""
    return [one for one in ran if _during(one, moment, late)]


def _during(one: Ran, moment: float, late: float) -> bool:
    """Some servers tell whole seconds alone: then anything within that second may be meant."""
    return one.begun - (1.0 if moment == int(moment) else late) <= moment <= one.ended
