"""How many workers of a run may work at once, on servers that other runs use as well."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from pathlib import Path

from envctl import admission, services
from envctl.model import Capacity, Talk
from envctl.room import Demand
from envctl.testing.sandboxes import Sandboxes
from envctl.testing.wish import Wish


class Admittance(ExitStack):
    """The bookings of one run. Asked from the desk's threads, given back when the run is over."""

    def __init__(self, sandboxes: Sandboxes, wish: Wish, home: Path, *, wait: float, talk: Talk) -> None:
        super().__init__()
        self.sandboxes = sandboxes
        self.wish = wish
        self.home = home
        self.wait = wait
        self.talk = talk
        self._once = threading.Lock()

    def admit(self, workers: int) -> tuple[int, str]:
        """Wait until at least one may work; how many, and why not all."""
        with self._once:
            self.close()  # A second question, from a second pytest of the same run, takes the place of the first.
            booked = admission.book(
                self.home, self._demand(workers), capacity=self._capacity, wait=self.wait, talk=self.talk
            )
            booking = self.enter_context(booked)
            return booking.granted, booking.reason

    def _demand(self, workers: int) -> Demand:
        project = self.sandboxes.project
        return Demand(
            run=self.sandboxes.lease,
            namespace=project.names.sandbox,
            workspace=str(project.root),
            command=self.wish.described,
            workers=workers,
            connections=project.config.test.connections,
            locks=self._locks(),
        )

    def _locks(self) -> int:
        """What a worker may lock at once: all that its database has, unless the configuration says otherwise."""
        said = self.sandboxes.project.config.test.locks
        found = (ready.template.relations for ready in self.sandboxes.build().values())
        return max(found, default=0) if said is None else said

    def _capacity(self) -> Capacity | None:
        """What the first server can bear that has a limit at all."""
        for name in self.sandboxes.project.config.services:
            found = services.get(name).capacity(self.sandboxes.running.servers[name].address)
            if found is not None:
                return found
        return None
