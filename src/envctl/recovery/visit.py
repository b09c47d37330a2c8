"""Using servers as they are: nothing is started, and nobody stops them meanwhile."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from envctl import engines, idle, leases
from envctl.held import Lease
from envctl.model import Address, Holder, Talk
from envctl.server_set import Running, Server
from envctl.values import dataclass


@dataclass(frozen=True, slots=True)
class Visit:
    """A server set as it was found. `up` are its servers that answer."""

    home: Path
    running: Running | None
    up: frozenset[str]

    @property
    def servers(self) -> dict[str, Address]:
        """The addresses of those that answer."""
        recorded = self.running.servers if self.running else {}
        return {name: server.address for name, server in recorded.items() if name in self.up}

    @property
    def out_of_reach(self) -> tuple[str, ...]:
        """Those that do not answer now and may come again with all their data."""
        recorded = self.running.servers if self.running else {}
        return tuple(name for name, one in recorded.items() if name not in self.up and not self._gone(one))

    @property
    def lasts(self) -> bool:
        """Whether what is stored outlives the servers."""
        return self.home.name.startswith("dev-")

    def _gone(self, server: Server) -> bool:
        """Whether its data are: those that last only where their place is there, which else is not mounted."""
        data = server.detail.get("data")
        if not data or Path(data).exists():
            return not data and not self.lasts
        return Path(data).parent.is_dir() or not self.lasts


@contextmanager
def visited(home: Path, *, command: str, wait: float, talk: Talk) -> Iterator[Visit]:
    """The set with those of its servers that run, held for as long as the block runs."""
    if leases.record(home) is None:
        yield Visit(home, None, frozenset())
        return
    with leases.locked(home, who=command, wait=wait, talk=talk):
        found = _found(home)
        lease = Lease.taken(home / "leases", _holder(command)) if found.up else None
        _watched(home)
    try:
        yield found
    finally:
        if lease is not None:
            lease.drop()
            _watched(home)


def _found(home: Path) -> Visit:
    running = leases.record(home)
    if running is None:
        return Visit(home, None, frozenset())
    seen = engines.get(running.engine).look(running)
    return Visit(home, running, frozenset(one.service for one in seen if one.state == "running"))


def _watched(home: Path) -> None:
    """Servers that nobody pinned have a watcher, who stops them in their time."""
    if not any(one.kind == "pinned" for one in leases.holders(home)):
        idle.watch(home)


def _holder(command: str) -> Holder:
    return Holder("held", "", "", command, datetime.now(UTC).isoformat(timespec="seconds"), os.getpid())
