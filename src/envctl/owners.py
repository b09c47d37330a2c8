"""The owner record as text, the one form in which every service stores it beside the resource."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, get_args

from envctl.model import Environment, Owner

MAGIC = "envctl"
"""The key that tells our records from anybody else's JSON; its value is the version."""
VERSION = 1

REQUIRED = frozenset({"project", "environment", "namespace"})
"""Without these a record does not say whose the resource is."""
TEXTS = tuple(one.name for one in fields(Owner) if one.name != "notes")


def to_text(owner: Owner) -> str:
    """Compact ASCII JSON, the same for the same owner: it fits comments, tags and labels of every encoding."""
    filled = {key: value for key, value in asdict(owner).items() if value or key in REQUIRED}
    return json.dumps({MAGIC: VERSION, **filled}, separators=(",", ":"), sort_keys=True)


def from_text(text: str | None) -> Owner | None:
    """The record in a text, or None: what is broken, foreign or newer than this envctl explains nothing."""
    try:
        content = json.loads(text or "")
    except (ValueError, RecursionError):
        return None
    if not isinstance(content, dict) or not _ours(content):
        return None
    notes = content.get("notes", {})
    if not _texts(notes):
        return None
    return Owner(**{key: content.get(key, "") for key in TEXTS}, notes=dict(notes))


def _ours(content: Mapping[str, Any]) -> bool:
    """Whether it bears our mark in a version that we know, and says in plain strings who made it."""
    version = content.get(MAGIC)
    return (
        type(version) is int
        and version == VERSION
        and all(content.get(key) for key in REQUIRED)
        and all(isinstance(content.get(key, ""), str) for key in TEXTS)
        and content["environment"] in get_args(Environment)
    )


def _texts(notes: object) -> bool:
    """Whether notes are what `to_text` writes: strings by strings."""
    return isinstance(notes, dict) and all(isinstance(value, str) for value in notes.values())


def mentions(text: str | None, project: str) -> bool:
    """Whether a text that reads as no record is still one of this project's: newer than this envctl, or damaged."""
    text = text or ""
    return f'"{MAGIC}":' in text and f'"project":{json.dumps(project)}' in text
