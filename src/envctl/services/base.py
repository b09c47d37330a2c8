"""What a service is: a server kind, and the isolated things we make inside such a server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from envctl.model import Access, Address, Claim, Owner, Resource, ServerKind


class Service(ServerKind, Protocol):
    """All calls are idempotent: already there and already gone are success."""

    settings: type[Any]
    """The frozen dataclass that `[services.NAME]` is parsed into (fields made by `config.setting`)."""
    exports: Mapping[str, str]
    """The variables an application gets by default: {"DATABASE_URL": "{postgres.url}"}."""

    def logical_names(self, settings: Any) -> tuple[tuple[str, str], ...]:
        """What is isolated, as (pattern, logical name): (("database", "database"),), (("bucket", "statements"),)."""
        ...

    def placeholders(self, settings: Any) -> tuple[str, ...]:
        """Every key that `Access.values` will have, without the service's name: ("url", "host", …)."""
        ...

    def create(self, address: Address, settings: Any, claim: Claim) -> Access:
        """Make what the claim asks for, or find it; the owner record stands before the thing is usable."""
        ...

    def note(self, address: Address, resource: Resource, notes: Mapping[str, str]) -> None:
        """Replace the notes in the resource's owner record (a digest of what was migrated, say)."""
        ...

    def drop(self, address: Address, resource: Resource) -> None:
        """Remove it and the login that came with it. Refuses what has no owner record of ours."""
        ...

    def list(self, address: Address, project: str) -> list[Resource]:
        """Everything envctl made there for this project, each with its owner record."""
        ...


def owned_by(owner: Owner | None, project: str) -> bool:
    """Whether a record is there and is this project's."""
    return owner is not None and owner.project == project
