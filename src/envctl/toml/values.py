"""From TOML to frozen dataclasses, driven by their type hints; the schema and the docs read the same hints."""

from __future__ import annotations

import types
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from envctl.errors import ConfigError
from envctl.masking import secret
from envctl.toml.lines import KeyPath, Source
from envctl.toml.words import arms, described, did_you_mean, example_of, name, remedy, shown, within

PREFIX = "ENVCTL_"


@dataclass(frozen=True, slots=True)
class Reader:
    """Parses one source and remembers where each value came from."""

    source: Source
    origins: dict[str, str] = field(default_factory=dict)
    listening: set[str] = field(default_factory=set)
    """The variables that would have been heard."""

    def value(self, hint: Any, raw: Any, key: KeyPath) -> Any:
        """`raw` as `hint` asks for it; a ConfigError with its place otherwise."""
        if hint is Any:
            return raw
        if is_dataclass(hint) and (isinstance(raw, dict) or not hasattr(hint, "parse")):
            return self.table(hint, raw, key)
        if isinstance(hint, type) and hasattr(hint, "parse"):
            return self._custom(hint, raw, key)
        origin = get_origin(hint)
        if origin in (Union, types.UnionType):
            return self.value(self._arm(hint, raw, key), raw, key)
        if origin in (tuple, list):
            return self._items(hint, raw, key)
        if origin is not None and origin is not Literal:
            return self._mapping(hint, raw, key)
        self._expect(hint, raw, key)
        self._remember(key)
        return float(raw) if hint is float else raw

    def table(self, kind: Any, raw: Any, key: KeyPath) -> Any:
        """A dataclass from a table: unknown keys refused, missing ones at their defaults."""
        if not isinstance(raw, dict):
            raise self.wrong(key, f"{name(key)} must be a table, not {shown(raw)}")
        known = {one.name: one for one in keys(kind)}
        for word in raw:
            if word not in known:
                raise self.unknown((*key, word), word, f"{within(key)} has no key {word!r}", known)
        values = {word: self._field(kind, one, raw, (*key, word)) for word, one in known.items()}
        try:
            return kind(**values)
        except ConfigError as error:  # what the type itself found wrong with its values; it knows no place
            raise self.wrong(key, error.message, error.hint) from error

    def _field(self, kind: Any, one: Field[Any], raw: Mapping[str, Any], key: KeyPath) -> Any:
        hint = hints(kind)[one.name]
        variable = variable_of(key)
        text = self.source.environ.get(variable, "") if scalar(hint) else ""
        if scalar(hint):
            self.listening.add(variable)
        if text:
            given = {**self.source.given, key: variable}
            source = Source(self.source.file, self.source.data, self.source.lines, self.source.prefix, given=given)
            return Reader(source, self.origins).value(hint, from_text(hint, text), key)
        if one.name in raw:
            return self.value(hint, raw[one.name], key)
        if required(one, hint):
            raise self.wrong(key[:-1], f"{within(key[:-1])} needs a {one.name!r}", example_of(one))
        return self._default(one, hint, key)

    def _default(self, one: Field[Any], hint: Any, key: KeyPath) -> Any:
        """A default, each of its leaves marked as one; nested tables still listen to their variables."""
        if is_dataclass(hint) and not hasattr(hint, "parse"):
            return self.table(hint, {}, key)
        self.origins[name(key)] = "default"
        return default(one)

    def _custom(self, hint: Any, raw: Any, key: KeyPath) -> Any:
        try:
            parsed = hint.parse(raw, self.source.where(key))
        except (ValueError, TypeError) as error:
            raise self.wrong(key, f"{name(key)}: {error}") from error
        self._remember(key)
        return parsed

    def _items(self, hint: Any, raw: Any, key: KeyPath) -> tuple[Any, ...]:
        self._expect(hint, raw, key)
        self._remember(key)
        inner = get_args(hint)[0]
        quiet = Reader(self.source)  # a list is one value to whoever asks where it came from
        return tuple(quiet.value(inner, item, (*key, index)) for index, item in enumerate(raw))

    def _mapping(self, hint: Any, raw: Any, key: KeyPath) -> dict[str, Any]:
        self._expect(hint, raw, key)
        allowed, inner = get_args(hint)
        if get_origin(allowed) is Literal:
            for word in raw:
                if word not in get_args(allowed):
                    raise self.unknown((*key, word), word, f"{within(key)} has no {word!r}", get_args(allowed))
        return {word: self.value(inner, item, (*key, word)) for word, item in raw.items()}

    def _arm(self, hint: Any, raw: Any, key: KeyPath) -> Any:
        for arm in get_args(hint):
            if accepts(arm, raw):
                return arm
        raise self._mismatch(hint, raw, key)

    def _expect(self, hint: Any, raw: Any, key: KeyPath) -> None:
        if not accepts(hint, raw):
            raise self._mismatch(hint, raw, key)

    def _mismatch(self, hint: Any, raw: Any, key: KeyPath) -> ConfigError:
        hints = [arm for arm in arms(hint) if get_origin(arm) is Literal]
        if hints and isinstance(raw, str):
            return self.unknown(key, raw, f"{name(key)} cannot be {raw!r}", get_args(hints[0]))
        if secret(name(key)):
            return self.wrong(key, f"{name(key)} must be {described(hint)}", "text stands in quotes")
        return self.wrong(key, f"{name(key)} must be {described(hint)}, not {shown(raw)}", remedy(hint, raw))

    def _remember(self, key: KeyPath) -> None:
        self.origins[name(key)] = self.source.origin(key)

    def unknown(self, key: KeyPath, word: str, message: str, known: Iterable[str]) -> ConfigError:
        """The error for a word that is not among the known ones."""
        return self.wrong(key, message, did_you_mean(str(word), known))

    def wrong(self, key: KeyPath, message: str, hint: str = "") -> ConfigError:
        """The error for a key, at its place."""
        return ConfigError(f"{self.source.where(key)}: {message}", hint=hint)


@cache
def hints(kind: Any) -> dict[str, Any]:
    """The resolved type hints of a dataclass."""
    return get_type_hints(kind)


def keys(kind: Any) -> tuple[Field[Any], ...]:
    """The fields of a dataclass that a file may set."""
    return tuple(one for one in fields(kind) if one.init)


def default(one: Field[Any]) -> Any:
    """A field's default value."""
    if one.default_factory is not MISSING:
        return one.default_factory()
    return None if one.default is MISSING else one.default


def required(one: Field[Any], hint: Any) -> bool:
    """Whether a file must set it: it has no default, and nothing is not one of its values."""
    return default(one) is None and type(None) not in arms(hint)


def accepts(hint: Any, raw: Any) -> bool:
    """Whether a TOML value has the shape of a hint; what is inside it is looked at later."""
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return any(accepts(arm, raw) for arm in get_args(hint))
    if origin is Literal:
        return raw in get_args(hint)
    if origin in (tuple, list):
        return isinstance(raw, list)
    if origin is not None:
        return isinstance(raw, dict)
    if hint in (str, bool):
        return isinstance(raw, hint)
    if hint in (int, float):
        return isinstance(raw, (int, hint)) and not isinstance(raw, bool)
    if is_dataclass(hint) and not hasattr(hint, "parse"):
        return isinstance(raw, dict)
    return hint is not type(None)


def scalar(hint: Any) -> bool:
    """Whether one word can set it, so that an `ENVCTL_…` variable may."""
    return any(
        arm in (str, int, float, bool) or get_origin(arm) is Literal or hasattr(arm, "parse") for arm in arms(hint)
    )


def from_text(hint: Any, text: str) -> Any:
    """A variable's text as the TOML value it stands for; left as text where it is none, for the error to show."""
    if bool in arms(hint) and text.lower() in ("true", "false", "1", "0"):
        return text.lower() in ("true", "1")
    for number in (int, float):
        if number in arms(hint):
            try:
                return number(text)
            except ValueError:
                continue
    return text


def variable_of(key: KeyPath) -> str:
    """The variable that overrides a key."""
    if any(isinstance(part, int) for part in key):
        return ""
    return PREFIX + "_".join(str(part) for part in key).upper().replace("-", "_")
