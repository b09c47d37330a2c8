"""What the record of something in quarantine says. Pure: how it is locked up is each service's own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

from envctl.model import Owner

KIND = "quarantine"
WAS, KEPT = "was", "kept"
"""The notes that hold the name from before, and the notes from before."""


def inside(owner: Owner | None) -> bool:
    """Whether a record says that its resource is in quarantine."""
    return owner is not None and owner.notes.get("kind") == KIND


def was(owner: Owner) -> str:
    """The name that it had before."""
    return owner.notes.get(WAS, "")


def entered(owner: Owner, name: str, notes: Mapping[str, str]) -> Owner:
    """The record in quarantine: since when, until when and why, the caller's `notes` say."""
    kept = {KEPT: json.dumps(dict(owner.notes), separators=(",", ":"), sort_keys=True)} if owner.notes else {}
    return replace(owner, notes={**notes, **kept, "kind": KIND, WAS: name})


def left(owner: Owner) -> Owner:
    """The record as it was before."""
    if not inside(owner):
        return owner
    try:
        kept = json.loads(owner.notes.get(KEPT, "{}"))
    except ValueError:
        kept = {}  # Somebody has been at it; what it says of its owner still holds.
    known = kept if isinstance(kept, dict) else {}
    return replace(owner, notes={str(name): str(text) for name, text in known.items()})


def unmoved(stored: Owner | None, seen: Owner | None) -> bool:
    """Whether nobody has put it into quarantine or taken it out since it was seen: what its notes say still holds."""
    if stored is None or seen is None or not (inside(stored) or inside(seen)):
        return True
    return stored.notes == seen.notes
