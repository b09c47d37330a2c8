"""The audit of a run, where one is wished; a run without pays nothing for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from envctl.testing.desk import Handler

if TYPE_CHECKING:
    from envctl.audit import Audit
    from envctl.testing.live import Live


def of(live: Live) -> Audit | None:
    """The audit of this run."""
    if not live.wish.audit:
        return None
    from envctl.audit import Audit

    beside = bool(live.wish.processes)
    return Audit(live.project, live.run, live.home, live.sandboxes.running, live.attendant.worker_of, beside=beside)


def handlers(live: Live) -> dict[str, Handler]:
    """What the tests' processes may tell it."""
    return dict(live.audit.handlers()) if live.audit else {}


@contextmanager
def looking(live: Live) -> Iterator[Callable[[Sequence[int]], None] | None]:
    """Look before and after the block; what is given takes the processes that live on, before they are ended."""
    audit = live.audit
    if audit is None:
        yield None
        return
    with live.timings.phase("audit"):
        audit.begin()
    looked = False

    def look(pids: Sequence[int]) -> None:
        nonlocal looked
        looked = True
        with live.timings.phase("audit"):
            audit.end(pids)

    yield look
    if not looked:
        look(())


def examine(live: Live) -> None:
    """What escaped makes a green run one that failed."""
    fault = live.audit.fault() if live.audit else None
    if fault is not None:
        live.faults.append(fault)
