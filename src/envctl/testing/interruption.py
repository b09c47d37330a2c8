"""SIGTERM and SIGHUP end a run as Ctrl-C does: through its clean-up."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Ended(KeyboardInterrupt):
    """A signal told us to end."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number


@contextmanager
def heeded() -> Iterator[None]:
    """Turn these signals into an exception while the block runs; a hang-up that was ignored stays so."""
    with _handled(_raise):
        yield


@contextmanager
def put_off() -> Iterator[None]:
    """Let nothing but Ctrl-C disturb the block: it is what those signals ask for already."""
    with _handled(lambda number, frame: None):
        yield


def _raise(number: int, frame: FrameType | None) -> None:
    raise Ended(number)


@contextmanager
def _handled(handler: object) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    wanted = [one for one in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(one) != signal.SIG_IGN]
    before = {one: signal.signal(one, handler) for one in wanted}  # type: ignore[arg-type]
    try:
        yield
    finally:
        for one, previous in before.items():
            signal.signal(one, previous)
