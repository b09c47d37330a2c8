"""How much room a server has for the workers of one more run. The arithmetic: `admission` asks and waits."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime

from envctl.model import Capacity, Holder
from envctl.values import dataclass

ADMIN = 4
"""Connections kept for envctl: to build a template, refill the pool, remove what a dead run left; one to spare."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What a run asks for. `connections` and `locks` are for each worker.

    `own` is for what works beside them: the sessions that the run's envctl keeps open, and the test program's own.
    """

    run: str
    namespace: str
    workspace: str
    command: str
    workers: int
    connections: int
    own: int = 4
    locks: int = 0

    @property
    def described(self) -> str:
        """Who it is, for those who wait."""
        return f"`{self.command}` of {self.namespace} in {self.workspace}"

    def connections_for(self, workers: int) -> int:
        """The workers', and those beside them."""
        return self.own + workers * max(1, self.connections)


@dataclass(frozen=True, slots=True)
class Booked(Holder):
    """A run that works (turn 0) or waits, and what is kept for it."""

    run: str = ""
    turn: int = 0
    connections: int = 0
    locks: int = 0


def booked(demand: Demand, workers: int) -> Booked:
    """The booking of a run for so many workers."""
    entry = queued(demand, 0)
    return replace(entry, connections=demand.connections_for(workers), locks=demand.locks * workers)


def queued(demand: Demand, turn: int) -> Booked:
    """Its place in the queue."""
    since = datetime.now(UTC).isoformat(timespec="seconds")
    return Booked(
        "held", demand.namespace, demand.workspace, demand.command, since, os.getpid(), run=demand.run, turn=turn
    )


@dataclass(frozen=True, slots=True)
class Room:
    """What all runs together can have of a server, and what is free of it."""

    limit: int
    connections: int
    free: int
    locks: int
    free_locks: int
    unbooked: int
    """Live sessions that belong to no run which booked them."""

    def workers(self, demand: Demand) -> int:
        """How many may work now; 0 is not even one. What asks for more than there is in all gets the whole, alone."""
        one = min(demand.connections_for(1), self.connections), min(demand.locks, self.locks)
        if self.free < one[0] or self.free_locks < one[1]:
            return 0
        return max(1, min(demand.workers, *self._fitting(demand)))

    def reason(self, demand: Demand) -> str:
        """Why it is not all of them; empty where it is."""
        granted = self.workers(demand)
        if granted >= max(1, demand.workers) and self._enough(demand):
            return ""
        by_connections, by_locks = self._fitting(demand)
        asked = max(1, demand.workers if granted else 1)
        plural = "one worker needs" if asked == 1 else f"{asked} workers need"
        if by_connections <= by_locks:
            needed = f"{plural} {demand.connections_for(asked)} connections, {self.free} of {self.limit} are free"
        else:
            needed = f"{plural} {asked * demand.locks} locks, {self.free_locks} of {self.locks} are free"
        return f"{needed}: {granted} worker{'s' if granted > 1 else ''}" if granted else needed

    def _fitting(self, demand: Demand) -> tuple[int, int]:
        """By connections, and by locks."""
        by_connections = (self.free - demand.own) // max(1, demand.connections)
        return by_connections, self.free_locks // demand.locks if demand.locks else max(1, demand.workers)

    def _enough(self, demand: Demand) -> bool:
        return min(self._fitting(demand)) >= 1


def of(capacity: Capacity, booked: Iterable[Booked], run: str) -> Room:
    """What is left beside those who booked and the sessions that are there; a run's own sessions are not in its way."""
    connections, locks = Counter[str](), 0
    for one in booked:
        connections[one.run] += one.connections
        locks += one.locks
    taken = sum(max(count, capacity.sessions.get(lease, 0)) for lease, count in connections.items())
    unbooked = sum(
        count for lease, count in capacity.sessions.items() if lease not in connections and not (lease and lease == run)
    )
    all_of_it = max(1, capacity.connections - capacity.reserved - ADMIN)
    return Room(
        limit=capacity.connections,
        connections=all_of_it,
        free=max(0, all_of_it - taken - unbooked),
        locks=capacity.locks,
        free_locks=max(0, capacity.locks - locks),
        unbooked=unbooked,
    )
