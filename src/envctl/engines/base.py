"""What an engine is: who runs the servers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from envctl.model import Resource, Talk
from envctl.server_set import Running, ServerSet, Sighting

Record = Callable[[Running], None]
"""Writes the set's record. Called before anything is started, so that no server is ever unknown."""


class Engine(Protocol):
    """Callers hold the server set's lock around `start` and `stop`; `look` and `logs` need none."""

    name: str

    def start(self, servers: ServerSet, before: Running | None, record: Record, talk: Talk) -> Running:
        """Bring up every needed server that is not up, wait until each is ready, and return the record."""
        ...

    def recreate(self, servers: ServerSet, before: Running | None, record: Record, talk: Talk) -> Running:
        """The same as `start`, but running servers that differ follow what this checkout asks for. Data stay."""
        ...

    def alive(self, running: Running) -> bool:
        """Whether all recorded servers are up, asked cheaply; the warm path runs nothing else."""
        ...

    def stop(self, running: Running, talk: Talk) -> None:
        """Stop the recorded servers and keep their data, if it was durable. Needs the record alone."""
        ...

    def forget(self, home: Path, running: Running | None, talk: Talk) -> None:
        """Stop a throw-away set, and remove whatever it has outside of its state folder; also without its record."""
        ...

    def look(self, running: Running) -> tuple[Sighting, ...]:
        """What there is to see of every recorded server now."""
        ...

    def logs(self, running: Running, service: str, *, follow: bool) -> Iterator[str]:
        """The server's log lines, oldest first."""
        ...

    def leftovers(self, project: str, *, stack: str = "", sizes: bool = True) -> tuple[Resource, ...]:
        """All that this engine has on this machine for a project, in use or not, with who it belongs to.

        `stack` names the compose project of a file of the project's own, if it has one. What is in that one, or in the
        one that `dev` last used with such a file, has its name in the notes as `stack`, and no home: it is never ours.

        The owner's namespace is `*` where all share it. Its notes have the `home`, the state folder of the server set,
        and a `state`: running; stopped; or gone, where that folder is. What is of another state folder, or bears no
        mark of ours, has no owner.
        """
        ...

    def discard(self, resource: Resource) -> None:
        """Remove one of these for good. Refuses what lacks our mark, has changed, or is in use; twice is once."""
        ...

    def differences(self, servers: ServerSet, running: Running) -> tuple[str, ...]:
        """How the running servers differ from what this checkout asks for, a sentence each."""
        ...
