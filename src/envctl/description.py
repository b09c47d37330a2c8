"""What `envctl config` shows: every key as one environment resolves it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

from envctl.document import Duration
from envctl.environments import Patterns
from envctl.masking import masked, masked_url
from envctl.model import Environment
from envctl.reference import toml

if TYPE_CHECKING:
    from envctl.config import Config

ADDRESSES = ("external.", "preview.pulls")
"""Settings that are URLs of servers, or nothing that anybody can read."""


def describe(config: Config, environment: Environment) -> dict[str, dict[str, Any]]:
    """Every key as one environment resolves it: its value, secrets masked, and where it came from."""
    config = config.for_environment(environment)
    skipped = {"root", "file", "overlays", "lists_variables", "environments", "environment", "origins", "listening"}
    found: dict[str, dict[str, Any]] = {}
    for one in fields(config):
        if one.name not in skipped:
            value = _flat(config.names) if one.name == "names" else getattr(config, one.name)
            _describe(found, one.name, value, config.origins)
    return found


def written(described: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The same with every value as a file would say it."""
    return {key: {**one, "value": _written(one["value"])} for key, one in described.items()}


def _written(value: Any) -> str:
    """A table in it says only what is not empty."""
    if isinstance(value, list):
        return f"[{', '.join(_written(one) for one in value)}]"
    if isinstance(value, Mapping) and value:
        return toml({word: item for word, item in value.items() if item not in ("", [], {}, None)})
    return "" if value is None else toml(value)


def _flat(patterns: Patterns) -> dict[str, str]:
    """The patterns under the keys that the file has for them."""
    kinds = {one.name: getattr(patterns, one.name) for one in fields(patterns)}
    return {f"{environment}_{kind}": text for kind, texts in kinds.items() for environment, text in texts.items()}


def _describe(found: dict[str, dict[str, Any]], key: str, value: Any, origins: Mapping[str, str]) -> None:
    """One value into the table, its parts where it has some that came from somewhere."""
    if is_dataclass(value) and key not in origins:
        value = {one.name: getattr(value, one.name) for one in fields(value)}
    if isinstance(value, Mapping) and value:
        for word, item in value.items():
            _describe(found, f"{key}.{word}", item, origins)
        return
    found[key] = {"value": _plain(value, key), "source": origins.get(key, "default")}


def _plain(value: Any, key: str) -> Any:
    """A value as JSON has it."""
    if isinstance(value, Duration):
        return str(value)
    if isinstance(value, str) and key.startswith(ADDRESSES) and key != "preview.pulls_variable":
        return masked_url(value)
    if isinstance(value, str):
        return masked(value, key)
    if is_dataclass(value):
        return {one.name: _plain(getattr(value, one.name), f"{key}.{one.name}") for one in fields(value)}
    if isinstance(value, (tuple, list)):
        return [_plain(item, key) for item in value]
    if isinstance(value, Mapping):
        return {word: _plain(item, f"{key}.{word}") for word, item in value.items()}
    return value
