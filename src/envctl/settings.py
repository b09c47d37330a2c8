"""How a settings dataclass declares a key: its default and one sentence for the schema, the docs and `config`."""

from __future__ import annotations

from dataclasses import field
from typing import Any


def setting(doc: str, *, default: Any = None, factory: Any = None, example: str = "") -> Any:
    """A field that `config` parses from TOML; its type hint is what it is checked against."""
    metadata = {"doc": doc, "example": example}
    if factory is not None:
        return field(default_factory=factory, metadata=metadata)
    return field(default=default, metadata=metadata)
