"""Signals as bytes on a socket, so that a loop waits for them as for anything else."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What asks a program to end."""


@contextmanager
def heard(*numbers: signal.Signals) -> Iterator[socket.socket]:
    """A socket on which each of these signals appears as its number; in the main thread only, silent elsewhere.

    Handlers, unlike ignored signals, do not survive exec: what we start has all signals at their default.
    """
    reader, writer = socket.socketpair()
    with reader, writer:
        reader.setblocking(False)
        writer.setblocking(False)
        if threading.current_thread() is not threading.main_thread():
            yield reader
            return
        # A hang-up that was ignored when we started (nohup) stays ignored.
        wanted = [n for n in numbers if n != signal.SIGHUP or signal.getsignal(n) != signal.SIG_IGN]
        wakeup = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        before = {number: signal.signal(number, _noted) for number in wanted}
        try:
            yield reader
        finally:
            for number, handler in before.items():
                signal.signal(number, handler if handler is not None else signal.SIG_DFL)
            signal.set_wakeup_fd(wakeup)


def pending(reader: socket.socket) -> list[signal.Signals]:
    """The signals that have come since the last call."""
    try:
        return [signal.Signals(number) for number in reader.recv(4096)]
    except BlockingIOError:
        return []


@contextmanager
def held(*numbers: signal.Signals) -> Iterator[None]:
    """Keep these signals back while the block runs. What is started in it starts with them held back."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _noted(number: int, frame: FrameType | None) -> None:
    """Nothing to do here: Python has written the number to the socket."""
