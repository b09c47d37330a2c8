"""The terminal we were started on, if any."""

from __future__ import annotations

import os
import signal
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager

from envctl.keeper import signals


def present() -> bool:
    """Whether this process has a controlling terminal, from which a Ctrl-C reaches its whole group."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def is_ours() -> bool:
    """Whether standard input is our terminal and we are in its foreground: what is typed is for us."""
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except (OSError, ValueError, AttributeError):
        return False


@contextmanager
def restored() -> Iterator[None]:
    """Whatever the block's programs do to our terminal, its settings and its foreground come back."""
    if not is_ours():
        yield
        return
    settings = termios.tcgetattr(sys.stdin)
    try:
        yield
    finally:
        with signals.held(signal.SIGTTOU):
            _take_back(sys.stdin.fileno(), settings)


def _take_back(terminal: int, settings: list[object]) -> None:
    try:
        front = os.tcgetpgrp(terminal)
        if front != os.getpgrp():
            if _lives(front):
                return  # We were sent to the background: the terminal is a shell's, or another job's.
            os.tcsetpgrp(terminal, os.getpgrp())
        termios.tcsetattr(terminal, termios.TCSADRAIN, settings)  # type: ignore[arg-type]
    except OSError:
        return  # The terminal has gone.
    except termios.error:
        return


def _lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
