"""The keeper: a small process between envctl and one program it starts, so that nothing of it outlives its time.

It adopts every orphan among the program's descendants, whatever group or session they moved to, and it holds one
end of a socket whose other end dies with envctl. It is a process of its own because only a living parent can
clean up after envctl was killed, and only a parent of this one program can tell its descendants from all others.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from typing import Any

from envctl.keeper import signals
from envctl.keeper.family import WITNESSED, Family, group_of, send, start

GRACE = 1.0
"""For those who were told to end together with the program and are a little slower than it."""
LAST = 2.0
"""How long each step takes at most once envctl itself has died."""
HOPELESS = 10.0


def main() -> None:
    """Read what to run from the socket whose descriptor is the first argument, and keep it."""
    control = socket.socket(fileno=int(sys.argv[1]))
    control.set_inheritable(False)
    with control, signals.heard(*WITNESSED, signal.SIGCHLD) as heard:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, WITNESSED)
        orders = Orders(control)
        first = orders.wait()
        if first is not None:
            Keeper(orders, heard, first).run()


class Orders:
    """The socket to envctl: orders come and reports go, one JSON document a line."""

    def __init__(self, control: socket.socket) -> None:
        self.control = control
        self._kept = b""
        self._lines: deque[bytes] = deque()

    def wait(self) -> dict[str, Any] | None:
        """The first order, or None if envctl died before it gave one."""
        while not self._lines:
            if not self._read():
                return None
        return dict(json.loads(self._lines.popleft()))

    def pending(self) -> Iterator[dict[str, Any]]:
        """The orders there are now; the last one is an order to end when envctl has gone."""
        gone = not self._read()
        yield from self.queued()
        if gone:
            yield {"order": "gone"}

    def queued(self) -> Iterator[dict[str, Any]]:
        """The orders that came together with an earlier one."""
        while self._lines:
            yield json.loads(self._lines.popleft())

    def report(self, **news: object) -> None:
        """Tell envctl; if it has gone there is nobody to tell."""
        with contextlib.suppress(OSError):
            self.control.sendall(json.dumps(news).encode() + b"\n")

    def _read(self) -> bool:
        try:
            chunk = self.control.recv(65536)
        except OSError:
            return False
        *whole, self._kept = (self._kept + chunk).split(b"\n")
        self._lines.extend(whole)
        return bool(chunk)


class Keeper:
    """Runs one program, passes signals on, and ends all that came of it."""

    def __init__(self, orders: Orders, heard: socket.socket, first: Mapping[str, Any]) -> None:
        self.orders = orders
        self.heard = heard
        self.what = first
        self.patience = float(first["patience"])
        self.listening = [orders.control, heard]
        self.family = Family(adopts=first["adopts"])
        self.seen: Counter[int] = Counter()
        self.steps: deque[tuple[int, float]] = deque()
        self.deadline: float | None = None
        self.hopeless: float | None = None
        self.asking = False
        self.program = 0
        self.ended = False

    def run(self) -> None:
        """Start it, then sleep until something happens, until nobody is left."""
        self.program, wrong = start(self.what, self.family)
        if wrong is not None:
            self.orders.report(news="failed", **wrong)
            return
        self.orders.report(news="started", pid=self.program)
        _let_go_of_output()
        for order in self.orders.queued():
            self.obey(order)
        while not self.over():
            ready = select.select(self.listening, [], [], self.wait())[0]
            self.note_signals()
            if self.orders.control in ready:
                for order in self.orders.pending():
                    self.obey(order)
            self.reap()
            if self.deadline is not None and time.monotonic() >= self.deadline:
                self.climb()

    def over(self) -> bool:
        """Whether all is done: nobody is left, or those who are left cannot be ended by us."""
        if not self.ended:
            return False
        if self.family.gone():
            return True
        if self.hopeless is not None and time.monotonic() >= self.hopeless:
            self.orders.report(news="left", pids=[one.pid for one in self.family.members()])
            return True
        return False

    def wait(self) -> float | None:
        """How long to sleep at most; for ever unless something is to be ended."""
        if self.deadline is None:
            return None
        left = max(0.0, self.deadline - time.monotonic())
        return left if self.family.adopts else min(left, 0.1)

    def obey(self, order: Mapping[str, Any]) -> None:
        """Do what envctl says, or what its death says."""
        number = int(order.get("signal", 0))
        match order["order"]:
            case "pass":
                self.pass_on(number)
            case "stop" if not self.steps:
                self.pass_on(number)
                self.plan((signal.SIGTERM, self.patience), after=self.patience)
            case "end":
                self.plan((signal.SIGTERM, self.patience), after=0)
            case "kill":
                self.plan(after=0)
            case "gone":
                self.listening.remove(self.orders.control)
                self.plan((signal.SIGTERM, LAST), after=0)

    def plan(self, *steps: tuple[int, float], after: float) -> None:
        """The steps still to climb, the first of them in so many seconds; the last one is always the hard one."""
        self.asking = False
        self.steps = deque([*steps, (signal.SIGKILL, 0.2)])
        self.deadline = time.monotonic() + after

    def climb(self) -> None:
        """Take the next step with everybody who is left; the last one again and again."""
        if self.asking:
            self.deadline = None
            self.orders.report(news="remaining", pids=[one.pid for one in self.family.members()])
            return
        number, seconds = self.steps[0]
        if len(self.steps) > 1:
            self.steps.popleft()
        elif self.hopeless is None:
            self.hopeless = time.monotonic() + HOPELESS
        for one in self.family.members():
            send(one, number)
            if number == signal.SIGTERM:
                send(one, signal.SIGCONT)
        self.deadline = time.monotonic() + seconds

    def pass_on(self, number: int) -> None:
        """Give the program's group a signal that envctl got, unless the terminal gave it to all of us already."""
        if self.what["shared"] and self.witnessed(number):
            return
        group = os.getpgrp() if self.what["shared"] else self.program
        for one in self.family.members():
            if group_of(one.pid) == group:
                send(one, number)

    def witnessed(self, number: int) -> bool:
        """Whether we got that signal too: then it went to the whole group, and the program has it."""
        if not self.seen[number]:
            select.select([self.heard], [], [], 0.1)
            self.note_signals()
        return self.seen.pop(number, 0) > 0

    def note_signals(self) -> None:
        """Remember what came to ourselves."""
        self.seen.update(signals.pending(self.heard))

    def reap(self) -> None:
        """Take the dead, and when the program is one of them, see to those it leaves behind."""
        for pid, code in self.family.dead():
            if pid == self.program:
                self.ended = True
                self.orders.report(news="ended", code=code if code >= 0 else 128 - code)
                self.see_to_the_rest()

    def see_to_the_rest(self) -> None:
        if self.steps and self.deadline is not None:
            self.deadline = min(self.deadline, time.monotonic() + GRACE)
        elif not self.family.gone() and self.what["looks"]:
            # Who ends by himself is no news; of the others envctl is told, and says when they are to be ended.
            self.asking, self.deadline = True, time.monotonic() + GRACE
        elif not self.family.gone():
            self.plan((signal.SIGTERM, self.patience), after=0)


def _let_go_of_output() -> None:
    """Hold no pipe of the program open: its end must be seen by whoever reads it."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    os.close(nothing)
