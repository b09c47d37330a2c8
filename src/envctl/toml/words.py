"""How errors, the schema and the docs speak of keys, values and types."""

from __future__ import annotations

import types
from collections.abc import Iterable
from dataclasses import Field, is_dataclass
from typing import Any, Literal, Union, get_args, get_origin

from envctl.masking import masked
from envctl.toml.lines import KeyPath


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The nearest known word as a question, or all of them."""
    import difflib

    words = sorted(known)
    begun = [one for one in words if len(word) > 1 and one.startswith(word)]
    near = difflib.get_close_matches(word, words, n=1, cutoff=0.6) or begun[:1]
    if near:
        return f"did you mean {near[0]!r}?"
    return f"known here: {', '.join(words)}" if words else "nothing can stand here"


def described(hint: Any) -> str:
    """A type in words."""
    if get_origin(hint) in (Union, types.UnionType):
        return " or ".join(described(arm) for arm in get_args(hint) if arm is not type(None))
    if get_origin(hint) is Literal:
        return "one of " + ", ".join(f'"{one}"' for one in get_args(hint))
    if get_origin(hint) in (tuple, list):
        return f"a list of {_plural(get_args(hint)[0])}"
    if get_origin(hint) is not None:
        inner = get_args(hint)[1]
        return "a table of tables" if is_dataclass(inner) else f"a table of {_plural(inner)}"
    simple = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
    return str(simple.get(hint) or getattr(hint, "described", "a table"))


def arms(hint: Any) -> tuple[Any, ...]:
    """The types a hint allows: several for a union, otherwise itself."""
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def shown(raw: Any) -> str:
    """A wrong value as its author wrote it, cut short."""
    if isinstance(raw, bool):
        return str(raw).lower()
    if isinstance(raw, dict):
        return "a table"
    if isinstance(raw, list):
        return "a list"
    if isinstance(raw, (int, float)):
        return f"the number {raw}"
    return f"the text {masked(raw)[:40]!r}" if isinstance(raw, str) else str(raw)


def name(key: KeyPath) -> str:
    """A key as it is written in the docs: `services.postgres.version`."""
    return ".".join(str(part) for part in key)


def within(key: KeyPath) -> str:
    """The table a key stands in."""
    return f"[{name(key)}]" if key else "the configuration"


def _plural(hint: Any) -> str:
    if len(arms(hint)) > 1:
        return " or ".join(_plural(arm) for arm in arms(hint))
    words = {str: "texts", int: "whole numbers", float: "numbers", bool: "true or false"}
    return words.get(hint) or ("tables" if is_dataclass(hint) else described(hint))


def remedy(hint: Any, raw: Any) -> str:
    if str in arms(hint) and isinstance(raw, (bool, int, float)):
        return f'write it in quotes: "{str(raw).lower() if isinstance(raw, bool) else raw}"'
    if isinstance(raw, str) and any(get_origin(arm) in (tuple, list) for arm in arms(hint)):
        return 'write it as a list: ["…"]'
    if isinstance(raw, str) and {int, bool, float} & set(arms(hint)):
        return "write it without quotes"
    return ""


def example_of(one: Field[Any]) -> str:
    example = one.metadata.get("example", "")
    return f"for example {one.name} = {example}" if example else ""
