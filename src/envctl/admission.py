"""Who may work on a server set now: what a run's workers may need of its server is booked before they begin.

A booking is a file that its process holds locked, as a lease is: who is killed has given it back. Whoever finds no room
queues, first come first served, and sleeps in the kernel until one of those before him is done. What other hosts book
on a server that we share with them is unknown here: of them only the sessions count that they have open.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import field, fields
from pathlib import Path

from envctl import held, locks, room
from envctl.errors import UnavailableError
from envctl.held import Lease
from envctl.model import Capacity, Talk, silent
from envctl.room import Booked, Demand
from envctl.values import dataclass

PATIENCE = 60.0
"""Seconds to wait for the book itself, which nobody has open for longer than it takes to ask the server."""
SOON, SELDOM = 0.02, 2.0
"""Seconds until sessions that nobody booked are looked at again: those of a run that has just ended go at once."""

LONG = 5.0
"""Seconds until somebody further back says a word, or looks whether a file vanished that nobody unlocked."""

Look = Callable[[], Capacity | None]


@contextmanager
def book(home: Path, demand: Demand, *, capacity: Look, wait: float, talk: Talk) -> Iterator[Booking]:
    """As many workers as there is room for, and one at least: where there is none for one, wait for it.

    A run has one booking at a time: its second would wait for its first.
    """
    me = os.getpid()
    booking = _Applicant(_Book(home), demand, capacity, wait, talk).admitted()
    try:
        yield booking
    finally:
        if os.getpid() == me:  # A forked child that leaves the block gives back nothing of its parent's.
            booking.release()


class Booking:
    """So many workers may work until it is released, or its process is gone; `reason` says why not all."""

    def __init__(self, granted: int, reason: str, lease: Lease | None = None) -> None:
        self.granted = granted
        self.reason = reason
        self._lease = lease

    def release(self) -> None:
        """Give it back."""
        lease, self._lease = self._lease, None
        if lease is not None:
            lease.drop()


@dataclass(frozen=True)
class _Book:
    """The bookings of a server set, and the queue."""

    home: Path

    @property
    def servers(self) -> str:
        """The set, for people."""
        return f"the servers of {self.home.parent.name}/{self.home.name}"

    def opened(self, demand: Demand, *, wait: float = PATIENCE) -> AbstractContextManager[None]:
        """Only one at a time reads it and writes into it."""
        what = f"the bookings of {self.servers}"
        return locks.locked(self.home / "bookings.lock", what=what, wait=wait, talk=silent, who=demand.described)

    def enter(self, entry: Booked) -> Lease:
        """Write into it what counts for as long as this process lives."""
        return Lease.taken(self.home / "bookings", entry)

    def living(self, but: Lease | None) -> list[tuple[Path, Booked]]:
        """What stands in it and counts, `but` one."""
        found = [path for path in held.files(self.home / "bookings") if but is None or path != but.path]
        return [(path, _entry(path)) for path in found if locks.held(path)]


@dataclass(frozen=True, slots=True)
class _Refusal:
    """Why not now, and whose end may change that."""

    reason: str
    users: tuple[str, ...]
    paths: tuple[Path, ...]
    looks: bool = False
    """Whether nobody is before us in the queue: then it is for us to look again how things stand."""


@dataclass
class _Applicant:
    """A run that wants to be admitted, its place in the queue, and how long it has been there."""

    book: _Book
    demand: Demand
    look: Look
    wait: float
    talk: Talk
    begun: float = field(default_factory=time.monotonic)
    ticket: Lease | None = None
    turn: int = sys.maxsize
    told: set[bool] = field(default_factory=set)

    def admitted(self) -> Booking:
        """The booking, now or later."""
        watch, pause = _Watch(), SOON
        try:
            while True:
                with self.book.opened(self.demand):
                    found = self._tried()
                if isinstance(found, Booking):
                    return found
                self._tell(found)
                unasked = pause if found.looks else LONG if self.told else locks.PATIENCE
                awoken = watch.any(found.paths, min(self._left, unasked))
                pause = SOON if awoken else min(2 * pause, SELDOM)
        finally:
            if self.ticket is not None:
                self.ticket.drop()

    @property
    def _left(self) -> float:
        """Seconds that we may still wait."""
        return max(0.0, self.begun + self.wait - time.monotonic())

    def _tried(self) -> Booking | _Refusal:
        """Admitted, or queued behind those who came before."""
        others = self.book.living(but=self.ticket)
        before = [(one.turn, path, one) for path, one in others if 0 < one.turn < self.turn]
        if before:
            _, path, last = max(before)
            refusal = _Refusal(f"{last.described} came first", (), (path,))
        else:
            found = self._looked([(path, one) for path, one in others if not one.turn])
            if isinstance(found, Booking):
                return found
            refusal = found
        if self.ticket is None:
            self.turn = 1 + max((one.turn for _, one in others), default=0)
            self.ticket = self.book.enter(room.queued(self.demand, self.turn))
        return refusal

    def _looked(self, working: Sequence[tuple[Path, Booked]]) -> Booking | _Refusal:
        """Nobody is before us: is there room beside those who work?"""
        capacity = self.look()
        if capacity is None:
            return Booking(max(1, self.demand.workers), "")
        free = room.of(capacity, [one for _, one in working], self.demand.run)
        granted, reason = free.workers(self.demand), free.reason(self.demand)
        if granted:
            lease = self.book.enter(room.booked(self.demand, granted))
            return Booking(granted, reason, lease)
        users = [f"{one.described} has booked {one.connections}" for _, one in working]
        users += [f"{free.unbooked} are sessions of no run that booked them"] if free.unbooked else []
        return _Refusal(reason, tuple(users), tuple(path for path, _ in working), looks=True)

    def _tell(self, refusal: _Refusal) -> None:
        """Say once what we wait for, when that is worth a word; give up when the time is over."""
        if not self._left:
            raise UnavailableError(
                f"there was no room for this run on {self.book.servers} within {self.wait:g} s",
                cause="\n".join((refusal.reason, *refusal.users)),
                hint="try again, or wait longer with --wait SECONDS; fewer `connections` in [test] need less room,"
                " a higher max_connections in [services.postgres.settings] makes more",
                code="no_room",
            )
        if refusal.looks not in self.told and time.monotonic() - self.begun >= locks.PATIENCE:
            self.told.add(refusal.looks)
            self.talk(f"waiting for room on {self.book.servers}: {refusal.reason}")
            for line in refusal.users:
                self.talk(f"  {line}")


class _Watch:
    """Sleeps until one of some locked files is so no longer. The kernel says when."""

    def __init__(self) -> None:
        self._freed = threading.Event()
        self._watched: set[Path] = set()

    def any(self, paths: Iterable[Path], seconds: float) -> bool:
        """Whether one came free within so many seconds; what came free before counts too."""
        for path in set(paths) - self._watched:
            self._watched.add(path)
            threading.Thread(target=self._follow, args=(path,), name="admission", daemon=True).start()
        found = self._freed.wait(seconds)
        self._freed.clear()
        return found

    def _follow(self, path: Path) -> None:
        with suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_SH)
            finally:
                os.close(descriptor)
        self._freed.set()


def _entry(path: Path) -> Booked:
    """What a file says; one that counts and cannot be read books nothing: the sessions count that are there."""
    try:
        content = json.loads(path.read_text())
        return Booked(**{one.name: content[one.name] for one in fields(Booked)})
    except (OSError, ValueError, KeyError, TypeError):
        return Booked("held", "", "", "", "")
