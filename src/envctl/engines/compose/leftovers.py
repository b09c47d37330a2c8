"""What is there of a project."""

from __future__ import annotations

from envctl.model import Resource


def of(project: str, *, sizes: bool = True) -> tuple[Resource, ...]:
    """Everything of the project."""
    return ()


def discard(resource: Resource) -> None:
    """Remove one of them."""
    raise NotImplementedError
