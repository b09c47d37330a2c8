"""The nouns of the audit, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from envctl.model import Seen, Unseen


@dataclass(frozen=True, slots=True)
class Ground:
    """One server at one moment: what is there, and who else is at work there."""

    seen: tuple[Seen, ...] = ()
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Inventory:
    """All that was looked at, at one moment."""

    servers: Mapping[str, Ground] = field(default_factory=dict)
    files: frozenset[str] = frozenset()
    """The entries of the watched folders."""
    unseen: tuple[Unseen, ...] = ()


@dataclass(frozen=True, slots=True)
class Ran:
    """One test: who ran it, and from when to when by the wall clock, which is the one that servers know."""

    worker: str
    test: str
    begun: float
    ended: float


@dataclass(frozen=True, slots=True)
class Wrote:
    """A path that a process of the tests made, as Python itself told."""

    path: str
    worker: str = ""
    test: str = ""


@dataclass(frozen=True, slots=True)
class Visit:
    """A connection that a test opened, or a request that it sent, as its driver told."""

    place: str
    login: str
    """Empty where the driver does not tell."""
    what: str
    """The bucket of a request that changes something; the database where there is a login."""
    worker: str
    test: str


@dataclass(frozen=True, slots=True)
class Left:
    """A process that came of the run and lives on after its command has ended."""

    pid: int
    parent: int
    command: str
    started: float
    worker: str = ""
    test: str = ""
    listens: tuple[str, ...] = ()
    ports: frozenset[int] = frozenset()
    """Its own ends of connections to others."""
    files: frozenset[str] = frozenset()
    """What it has open."""


@dataclass(frozen=True, slots=True)
class Lingering:
    """A session that was still open when its test process had done its work."""

    place: str
    worker: str
    session: Seen


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a run beside the two inventories."""

    lease: str
    beside: bool = False
    """Whether processes beside the command use the run's own login, which outlive it."""
    ran: tuple[Ran, ...] = ()
    wrote: tuple[Wrote, ...] = ()
    """Paths outside of all that is the run's own, still there."""
    visits: tuple[Visit, ...] = ()
    left: tuple[Left, ...] = ()
    lingering: tuple[Lingering, ...] = ()
    private: tuple[str, ...] = ()
    """Folders in which, as the configuration says, nobody else makes anything."""
    own: tuple[str, ...] = ()
    """Folders that are the run's own: the checkout, pytest's temporary ones, envctl's."""
    allowed: tuple[str, ...] = ()
    """Patterns of what may be left."""


@dataclass(frozen=True, slots=True)
class Escape:
    """One thing that left the sandbox: what, where, whose, and how that is known."""

    kind: str
    name: str
    place: str
    worker: str = ""
    test: str = ""
    evidence: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """What came of an audit. Only `escapes` are the run's for certain; nobody can tell whose `untold` are."""

    escapes: tuple[Escape, ...] = ()
    untold: tuple[Escape, ...] = ()
    unseen: tuple[Unseen, ...] = ()
