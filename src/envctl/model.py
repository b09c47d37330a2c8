"""The nouns, as values. No logic, no effects: everything else imports this and this imports nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from pathlib import Path
from typing import Literal

from envctl.values import dataclass

Environment = Literal["dev", "test", "ci", "preview", "staging", "production"]
EngineName = Literal["embedded", "compose", "external"]

Talk = Callable[[str], None]
"""How a core function tells a person what it does now; the edge decides where that goes."""


def silent(line: str) -> None:
    """For whoever has nobody to talk to."""


@dataclass(frozen=True, slots=True)
class Command:
    """One process to run. `stdin` carries what must not stand in argv."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    cwd: Path | None = None
    stdin: str = field(default="", repr=False)
    without: tuple[str, ...] = ()
    """Variables that it must not inherit."""


@dataclass(frozen=True, slots=True)
class Namespace:
    """The short stable name of one workspace, and where it came from."""

    name: str
    source: Literal["flag", "BRANCH_NAME", "git", "ci", "default"]
    branch: str
    workspace: Path
    warning: str = ""


EVERYBODY = "*"
"""The namespace in the record of what belongs to all of a project's."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Who made a resource. Stored with the resource itself, before or as it is made."""

    project: str
    environment: Environment
    namespace: str
    workspace: str
    branch: str
    host: str
    created: str
    worker: str = ""
    lease: str = ""
    notes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Resource:
    """One isolated thing in a service. `owner` is None where no readable record stands with it."""

    service: str
    kind: str
    name: str
    owner: Owner | None
    bytes: int | None = None


Verdict = Literal["live", "idle", "orphan", "unexplained"]
"""In use now; unused, its owner is or may be there; its owner is provably gone; some evidence lacks."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is there, and what the evidence says of it."""

    resource: Resource
    place: str
    """Where it was seen, for people: "dev-embedded", "docker context default", "state"."""
    environment: Environment | None
    verdict: Verdict
    reason: str
    remedy: str = ""
    """The command that removes it; empty where nothing of ours may."""
    elsewhere: bool = False
    """Whether it is on record as another machine's: it goes only where its branch is named."""


@dataclass(frozen=True, slots=True)
class Unseen:
    """A place that could not be looked at."""

    place: str
    why: str


@dataclass(frozen=True, slots=True)
class Address:
    """Where a running server is, and how its administrator gets in."""

    host: str
    port: int
    user: str = ""
    password: str = field(default="", repr=False)
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Claim:
    """What one namespace (or one of its workers) asks of a service.

    `names` maps a logical name to the physical one: {"database": "shop_dev_x"}, {"statements": "statements-x"}.
    `identity` is the one name for a login, user or prefix; `secret` its password, the same on every call.
    `memory` is a private folder in which a service may keep what the server alone cannot tell again.
    """

    owner: Owner
    identity: str
    names: Mapping[str, str]
    secret: str = field(repr=False)
    memory: Path
    written: bool = False
    """Whether the password stands in the configuration; else it is 160 random bits."""
    shared: bool = False
    """Whether other machines may use the server, too: then nothing of another one is taken over."""


@dataclass(frozen=True, slots=True)
class Access:
    """What a claim was given: the resources, and the values that variables may refer to."""

    resources: tuple[Resource, ...]
    values: Mapping[str, str] = field(repr=False)
    created: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """One thing on a server as a census finds it, whoever made it."""

    kind: str
    name: str
    owner: Owner | None = None
    """Its own record."""
    login: str = ""
    """Whose it is, as the server says."""
    keeper: Owner | None = None
    """The record of that login."""
    state: str = ""
    """What of it may change: a bucket's contents, say."""
    made: float | None = None
    """When, by the server's clock, where it can tell."""
    inner: bool = False
    """Whether it is envctl's own working, which no record explains yet."""
    port: int = 0
    """The client's port, of a session."""


@dataclass(frozen=True, slots=True)
class Capacity:
    """What a server can bear at once, and what it bears now."""

    connections: int
    """All that it takes, the reserved ones included."""
    reserved: int
    """Those that an ordinary login never gets."""
    locks: int
    """How many tables and indexes may be locked, by all transactions together."""
    sessions: Mapping[str, int] = field(default_factory=dict)
    """Live sessions, by the lease of the run whose database or login they use; "" is nobody's run."""


@dataclass(frozen=True, slots=True)
class Holder:
    """One live use of a server set: held by a process, or pinned by `dev up`."""

    kind: Literal["held", "pinned"]
    namespace: str
    workspace: str
    command: str
    since: str
    pid: int = 0

    @property
    def described(self) -> str:
        """Who it is, for those who wait."""
        return f"`{self.command}` of {self.namespace} in {self.workspace}"
