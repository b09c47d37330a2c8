"""The JSON schema of `envctl.toml`, for editors, from the dataclasses that the parser reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import Field, is_dataclass
from typing import Any, Literal, get_args, get_origin

from envctl.document import Document
from envctl.toml.values import default, hints, keys, required
from envctl.toml.words import arms

SIMPLE: Mapping[Any, str] = {str: "string", bool: "boolean", int: "integer", float: "number"}


def text(kinds: Mapping[str, type]) -> str:
    """The schema as it is shipped."""
    return json.dumps(schema(kinds), indent=2) + "\n"


def schema(kinds: Mapping[str, type]) -> dict[str, Any]:
    """Everything a project's file may hold, with these services."""
    found = {"$schema": "http://json-schema.org/draft-07/schema#", "title": "envctl.toml", **table(Document)}
    services = {service: {**table(kind), "description": sentence(kind)} for service, kind in kinds.items()}
    found["properties"]["services"] |= {"properties": services, "additionalProperties": False}
    for properties in (found["properties"], found["properties"]["compose"]["properties"]):
        names = properties["external"] if "external" in properties else properties["services"]
        names["propertyNames"] = {"enum": sorted(kinds)}
    return found


def table(kind: Any) -> dict[str, Any]:
    """A dataclass as an object without unknown keys."""
    known = {one.name: one for one in keys(kind)}
    found: dict[str, Any] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {word: _key(one, hints(kind)[word]) for word, one in known.items()},
    }
    needed = [word for word, one in known.items() if required(one, hints(kind)[word])]
    return {**found, "required": needed} if needed else found


def value(hint: Any) -> dict[str, Any]:
    """A type hint as a schema."""
    custom = getattr(hint, "schema", None)
    if custom is not None:
        return dict(custom() if callable(custom) else custom)
    choices = [arm for arm in arms(hint) if arm is not type(None)]
    if len(choices) > 1:
        return {"anyOf": [value(arm) for arm in choices]}
    hint = choices[0]
    if hint in SIMPLE:
        return {"type": SIMPLE[hint]}
    if get_origin(hint) is Literal:
        return {"enum": list(get_args(hint))}
    if get_origin(hint) in (tuple, list):
        return {"type": "array", "items": value(get_args(hint)[0])}
    if get_origin(hint) is not None:
        return _mapping(*get_args(hint))
    if is_dataclass(hint):
        return _written(table(hint)) if hasattr(hint, "parse") else table(hint)
    return value(hint) if hasattr(hint, "schema") else {}


def sentence(kind: Any) -> str:
    """A dataclass's own first line."""
    return str(kind.__doc__ or "").strip().partition("\n")[0]


def _key(one: Field[Any], hint: Any) -> dict[str, Any]:
    found = {**value(hint), "description": one.metadata.get("doc", "")}
    given = default(one)
    if isinstance(given, (str, bool, int)) and given != "":
        found["default"] = given
    elif isinstance(given, float):
        found["default"] = str(given) if hasattr(type(given), "parse") else given
    return found


def _mapping(allowed: Any, inner: Any) -> dict[str, Any]:
    names = {"propertyNames": {"enum": list(get_args(allowed))}} if get_origin(allowed) is Literal else {}
    return {"type": "object", "additionalProperties": True if inner is Any else value(inner), **names}


def _written(own: dict[str, Any]) -> dict[str, Any]:
    """A type with short forms of its own beside its table: a text, or a list of texts."""
    return {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}, own]}
