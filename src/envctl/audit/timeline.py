"""Which test ran when, and so which one made something at a known moment."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from envctl.audit.values import Ran

NEAR = 0.02
"""Seconds by which the clocks of file systems and processes may be off."""
SHOWN = 3


def told(
    ran: Sequence[Ran], moment: float | None, worker: str | None = None, *, near: float = NEAR
) -> tuple[str, str, str]:
    """Worker, test and words for what came at that moment: names only where no other test can have been it."""
    if moment is None:
        return worker or "", "", ""
    found = [one for one in ran if _during(one, moment, near) and worker in (None, one.worker)]
    clock = datetime.fromtimestamp(moment).strftime("since %H:%M:%S")
    if len(found) == 1:
        return found[0].worker, found[0].test, clock
    if not found:
        return worker or "", "", clock
    names = ", ".join(one.test for one in found[:SHOWN]) + (" …" if len(found) > SHOWN else "")
    workers = {one.worker for one in found}
    return workers.pop() if len(workers) == 1 else "", "", f"{clock}, while one of these ran: {names}"


def _during(one: Ran, moment: float, near: float) -> bool:
    """Some servers tell whole seconds alone: then anything within that second may be meant."""
    late = 1.0 if moment == int(moment) else near
    return one.begun - late <= moment <= one.ended + near
