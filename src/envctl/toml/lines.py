"""Where every key of a TOML file stands, so that an error can name its line; `tomllib` keeps no lines."""

from __future__ import annotations

import os
import re
import tomllib
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import field
from pathlib import Path
from typing import Any

from envctl.errors import ConfigError
from envctl.values import dataclass

KeyPath = tuple[str | int, ...]

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_BASIC = r'"(?:[^"\\\n]|\\.)*"'
_LITERAL = r"'[^'\n]*'"
_KEY = re.compile(rf"{_BASIC}|{_LITERAL}|[A-Za-z0-9_-]+")
_LONG_BASIC = r'"""(?:\\.|[^\\])*?"""(?:"{0,2})'
_LONG_LITERAL = r"'''.*?'''(?:'{0,2})"
_VALUE = re.compile(rf"{_LONG_BASIC}|{_LONG_LITERAL}|{_BASIC}|{_LITERAL}|[^,\]}}\n#]+", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Source:
    """A project's settings as written: the tables, and for each key the place it came from."""

    file: Path
    data: Mapping[str, Any]
    lines: Mapping[KeyPath, int]
    prefix: KeyPath = ()
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    given: Mapping[KeyPath, str] = field(default_factory=dict)
    """Keys that did not come from the file, with the flag or variable that set them."""

    def origin(self, key: KeyPath) -> str:
        """Where a key's value comes from, as `envctl config` shows it."""
        return self.given.get(key) or f"{self.file.name}:{self.line(key)}"

    def where(self, key: KeyPath) -> str:
        """The place an error names: a flag, a variable, or a path that an editor can open, with the line."""
        return self.given.get(key) or f"{shown(self.file)}:{self.line(key)}"

    def line(self, key: KeyPath) -> int:
        """The line of a key, or of the nearest table around it."""
        path = self.prefix + key
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def read(file: Path) -> Source:
    """Read `envctl.toml`, or the `[tool.envctl]` of a `pyproject.toml`."""
    try:
        text = file.read_bytes().decode()
        data: Mapping[str, Any] = tomllib.loads(text)
    except OSError as error:
        raise ConfigError(f"{shown(file)} cannot be read", cause=error.strerror or str(error)) from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{shown(file)}:{line}: this is not UTF-8 text", hint="save the file as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise _broken(file, text, error) from error
    prefix: KeyPath = ("tool", "envctl") if file.name == "pyproject.toml" else ()
    for part in prefix:
        data = data.get(str(part), {}) if isinstance(data, dict) else {}
    return Source(file, data, locate(text), prefix)


def mentions(file: Path, tool: str) -> bool:
    """Whether a `pyproject.toml` has `[tool.NAME]`; a broken one that says so has, so that its error is shown."""
    try:
        text = file.read_text()
        return tool in tomllib.loads(text).get("tool", {})
    except tomllib.TOMLDecodeError:
        return f"[tool.{tool}" in text
    except (OSError, UnicodeDecodeError):
        return False


def shown(file: Path) -> str:
    """A path as short as it can be and still be opened from here."""
    try:
        return os.fspath(file.relative_to(Path.cwd()))
    except (ValueError, OSError):
        return os.fspath(file)


def locate(text: str) -> dict[KeyPath, int]:
    """The line of every table, key and array item of a TOML text that `tomllib` accepts."""
    return _Scanner(text).document()


def _broken(file: Path, text: str, error: tomllib.TOMLDecodeError) -> ConfigError:
    message = str(error)
    found = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", message)
    reason = message[: found.start()] if found else message
    last = max(1, len(text.splitlines()))
    line = int(found.group(1)) if found and found.group(1) else last
    said, hint = _explained(reason)
    return ConfigError(f"{shown(file)}:{line}: broken TOML: {said}", hint=hint)


def _explained(reason: str) -> tuple[str, str]:
    """What tomllib says, in our words where it is one of the usual faults, and what to do."""
    twice = re.fullmatch(r"Cannot (?:declare|redefine namespace) \((.*?),?\)(?: twice)?", reason)
    if twice:
        table = ".".join(part.strip().strip("\"'") for part in twice[1].split(","))
        return f"the table {table} is there twice", f"put the keys of both under one [{table}]"
    if reason in ("Cannot overwrite a value", "Duplicate inline table key"):
        return "this key is there twice", "keep one of the two"
    usual = "text values stand in quotes, lists in [ ], and a table's name in [ ] on a line of its own"
    return f"{reason[:1].lower()}{reason[1:]}", usual


class _Scanner:
    """Walks a valid TOML text once. It only has to know where things end, not what they mean."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.breaks = [index for index, char in enumerate(text) if char == "\n"]
        self.found: dict[KeyPath, int] = {}
        self.arrays: dict[KeyPath, int] = {}

    def document(self) -> dict[KeyPath, int]:
        table: KeyPath = ()
        while self.peek(_BLANK):
            if self.text.startswith("[", self.at):
                table = self.header()
            else:
                self.pair(table)
        return self.found

    def header(self) -> KeyPath:
        """`[table]`, or `[[table]]`, each of which opens one more item."""
        line, array = self.line, self.text.startswith("[[", self.at)
        self.at += 2 if array else 1
        *parents, last = self.keys()
        self.at += 2 if array else 1
        path: KeyPath = ()
        for key in parents:
            path = self.inside((*path, key))
            self.found.setdefault(path, line)
        path = (*path, last)
        if array:
            self.found.setdefault(path, line)
            self.arrays[path] = self.arrays.get(path, -1) + 1
            path = self.inside(path)
        self.found[path] = line
        return path

    def inside(self, path: KeyPath) -> KeyPath:
        """The path's newest item where it is an array of tables."""
        return (*path, self.arrays[path]) if path in self.arrays else path

    def pair(self, table: KeyPath) -> None:
        line, path = self.line, table
        for key in self.keys():
            path = (*path, key)
            self.found.setdefault(path, line)
        self.at += 1  # the equals sign
        self.value(path)

    def keys(self) -> list[str]:
        """A dotted key, each part quoted or bare."""
        parts = []
        while True:
            self.peek(_SPACE)
            raw = self.take(_KEY)
            parts.append(tomllib.loads(f"key = {raw}")["key"] if raw[0] in "\"'" else raw)
            self.peek(_SPACE)
            if not self.text.startswith(".", self.at):
                return parts
            self.at += 1

    def value(self, path: KeyPath) -> None:
        self.peek(_SPACE)
        if self.text.startswith("[", self.at):
            self.items(path)
        elif self.text.startswith("{", self.at):
            self.inline(path)
        else:
            self.take(_VALUE)

    def items(self, path: KeyPath) -> None:
        for index, _ in enumerate(self.until("]")):
            self.found[(*path, index)] = self.line
            self.value((*path, index))

    def inline(self, path: KeyPath) -> None:
        for _ in self.until("}"):
            self.pair(path)

    def until(self, end: str) -> Iterator[None]:
        """Stop at every item between here and the closing bracket."""
        self.at += 1
        while self.peek(_BLANK) != end:
            if self.text.startswith(",", self.at):
                self.at += 1
            else:
                yield
        self.at += 1

    def peek(self, blank: re.Pattern[str]) -> str:
        """Skip blanks; the character that follows, empty at the end."""
        self.take(blank)
        return self.text[self.at : self.at + 1]

    def take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self.text, self.at)
        if match is None:  # tomllib accepted the text, so only a form newer than this scanner comes here
            raise ValueError(f"envctl cannot follow this TOML on line {self.line}")
        self.at = match.end()
        return match.group()

    @property
    def line(self) -> int:
        return bisect_right(self.breaks, self.at - 1) + 1
