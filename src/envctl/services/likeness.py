"""Names that could be a project's own: what bears one and no record is shown to people, and never touched."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal

from envctl.environments import DEFAULTS, Patterns
from envctl.namespace import parse_bucket, parse_database, parse_identity

Kind = Literal["database", "login", "bucket"]
Like = Callable[[Kind, str], bool]
"""Whether a name of that kind is one that the project's patterns make."""


def of(project: str, patterns: Patterns = DEFAULTS, buckets: Iterable[str] = ()) -> Like:
    """By the patterns that have a namespace in them: the bare `{project}` may be anybody's."""
    name, logical = project.replace("-", "_"), tuple(buckets)

    def like(kind: Kind, text: str) -> bool:
        if kind == "database":
            return parse_database(name, patterns, text) is not None
        if kind == "login":
            return parse_identity(name, text) is not None
        return any(parse_bucket(name, patterns, one, text, buckets=logical) is not None for one in logical)

    return like
