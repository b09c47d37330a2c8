"""What came of an action."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from envctl.clean.plans import Action
from envctl.errors import EnvctlError
from envctl.inventory.places import told
from envctl.values import dataclass

Result = Literal["done", "gone", "kept", "failed"]
"""Done; nothing left to do; the evidence no longer holds; it was refused or went wrong."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One action of the plan, and what came of it."""

    action: Action
    result: Result
    why: str = ""


def failed(actions: Iterable[Action], error: EnvctlError) -> list[Outcome]:
    """All of these came to the same end."""
    return [Outcome(one, "failed", told(error)) for one in actions]
