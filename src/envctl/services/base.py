"""What a service is: a server kind, and the isolated things we make inside such a server."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal, Protocol

from envctl.errors import EnvctlError
from envctl.migrations import Migration
from envctl.model import Access, Address, Capacity, Claim, Owner, Resource, Seen, Talk
from envctl.server_set import ServerKind
from envctl.services.likeness import Like
from envctl.values import dataclass

Outcome = tuple[Resource, EnvctlError | None]
"""One resource that was to go, and why it did not."""


class Service(ServerKind, Protocol):
    """All calls are idempotent: already there and already gone are success."""

    settings: type[Any]
    """The frozen dataclass that `[services.NAME]` is parsed into (fields made by `config.setting`)."""
    exports: Mapping[str, str]
    """The variables an application gets by default: {"DATABASE_URL": "{postgres.url}"}."""

    @property
    def templates(self) -> Templates | None:
        """How what was migrated is kept and copied; None where nothing is migrated."""
        ...

    def logical_names(self, settings: Any) -> tuple[tuple[str, str], ...]:
        """What is isolated, as (pattern, logical name): (("database", "database"),), (("bucket", "statements"),)."""
        ...

    def migration(self, settings: Any) -> Migration | None:
        """What brings a new resource to the state that the project's files describe; None where nothing does."""
        ...

    def placeholders(self, settings: Any) -> tuple[str, ...]:
        """Every key that `Access.values` will have, without the service's name: ("url", "host", …)."""
        ...

    def create(self, address: Address, settings: Any, claim: Claim) -> Access:
        """Make what the claim asks for, or find it; the owner record stands before the thing is usable."""
        ...

    def opens(self, address: Address, claim: Claim, access: Access) -> bool:
        """Whether what this claim was given before still opens exactly what is its own, asked of the server at a
        fraction of what `create` costs. False where that cannot be told: then `create` is called.
        """
        ...

    def note(self, address: Address, resource: Resource, notes: Mapping[str, str]) -> None:
        """Replace the notes in the resource's owner record (a digest of what was migrated, say)."""
        ...

    def drop(self, address: Address, resource: Resource, *, sessions: Literal["refuse", "end"] = "refuse") -> None:
        """Remove it and the login that came with it. Refuses what has no owner record of ours.

        Somebody's session is a refusal too; only the namespace itself may ask to end its own.
        """
        ...

    def drop_all(self, address: Address, resources: Iterable[Resource]) -> Iterator[Outcome]:
        """`drop` for each, and what came of it, over as few connections as can be.

        One is asked for, looked at and dropped before the next is asked for: `resources` may check before it gives it.
        """
        ...

    def quarantine(self, address: Address, resource: Resource, *, notes: Mapping[str, str]) -> Resource:
        """Put it where nobody can enter it, with all its data, until `restore` or `drop`; as it is called from now on.

        Its record's notes are then these, with kind="quarantine" and was=NAME. Refused like `drop`. Whatever kills it:
        the resource is in quarantine or is not, and asking again is right.
        """
        ...

    def restore(self, address: Address, resource: Resource) -> Resource:
        """Give it back as it was: name, data, login and notes. Refused whole where its name is somebody's by now."""
        ...

    def list(
        self, address: Address, project: str, *, lease: str = "", like: Like | None = None, sizes: bool = True
    ) -> list[Resource]:
        """Everything envctl made there for this project, each with its owner record; what is in quarantine too.

        With a `lease` only what that run made, told as quickly as can be: without sizes, as with `sizes=False`. With
        `like` also what bears such a name and no record that can be read: its owner is None.
        """
        ...

    def unfinished(self, address: Address, memory: Path) -> None:
        """Remove what a killed `create` left that bears no record yet, as its claim's memory tells."""
        ...

    def census(self, address: Address, *, lease: str) -> tuple[Seen, ...]:
        """All that is there, whoever made it; of what the run of that lease made, only that it is there."""
        ...

    def capacity(self, address: Address) -> Capacity | None:
        """What the server can bear at once; None where nothing of it runs out."""
        ...

    def visits(self, address: Address, names: Iterable[str]) -> dict[str, int]:
        """How many sessions of others ever used these databases; one that cannot be told is left out."""
        ...


@dataclass(frozen=True, slots=True)
class Template:
    """A migrated resource under seal: nobody can enter it, and copies come from it."""

    service: str
    name: str
    owner: Owner

    @property
    def digest(self) -> str:
        """What it was made of."""
        return self.owner.notes.get("digest", "")

    @property
    def bytes(self) -> int:
        """How big it was when it was sealed."""
        return int(self.owner.notes.get("bytes", 0))

    @property
    def relations(self) -> int:
        """How many tables, indexes and the like it has."""
        return int(self.owner.notes.get("relations", 0))


@dataclass(frozen=True, slots=True)
class Traits:
    """What of a server changes the result of a migration, and what that server is called in our own notes."""

    server: str
    result: Mapping[str, str]


class Building(Protocol):
    """One template that is being built, by us alone. Its draft is private until `publish`, which is one step."""

    def draft(self, settings: Any, owner: Owner, ancestor: Template | None) -> Access:
        """Something to migrate, with a login of its own: empty, or a copy. What a dead build left of it goes first."""
        ...

    def publish(self, owner: Owner) -> Template:
        """Seal the draft under its name. An older template of that name makes room in the same step."""
        ...

    def abandon(self) -> None:
        """Remove the draft and its login."""
        ...


class Templates(Protocol):
    """What a service can do with what was migrated once. `memory` is a private folder for what it measured."""

    def traits(self, address: Address, settings: Any) -> Traits:
        """The server as far as the result of a migration depends on it."""
        ...

    def find(self, address: Address, project: str, digest: str) -> Template | None:
        """The sealed template of that digest. From then on nobody removes it while this process lives."""
        ...

    def all(self, address: Address, project: str) -> Sequence[Template]:
        """Every sealed template of the project."""
        ...

    def building(
        self, address: Address, project: str, digest: str, *, who: str, wait: float, talk: Talk, memory: Path
    ) -> AbstractContextManager[Building]:
        """Be the only one who builds that template; says whom it waits for. It ends with the block or this process."""
        ...

    def clone(self, address: Address, settings: Any, claim: Claim, template: Template, *, memory: Path) -> Access:
        """The claim's login and its resource, a copy: a ready one from the pool, or made now.

        What has its name and came of another run goes first, unless somebody is connected to it.
        """
        ...

    def fresh(self, address: Address, claim: Claim, template: Template, name: str, *, memory: Path) -> Access:
        """One more copy, for the login that the claim has already."""
        ...

    def discard(self, address: Address, resource: Resource) -> None:
        """Remove a copy of one's own, and end its sessions; its login stays."""
        ...

    def fill(self, address: Address, template: Template, count: int, *, memory: Path) -> int:
        """Make copies ahead until so many are ready; how many were made. Nothing where somebody else does it now."""
        ...


def one_by_one(drop: Callable[[Resource], None], resources: Iterable[Resource]) -> Iterator[Outcome]:
    """Drop each when it is asked for, and tell what came of it."""
    for resource in resources:
        try:
            drop(resource)
        except EnvctlError as error:
            yield resource, error
        else:
            yield resource, None
