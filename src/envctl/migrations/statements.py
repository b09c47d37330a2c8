"""SQL text, cut into its statements, so that an error can name a line and each can run on its own."""

from __future__ import annotations

import re
from collections.abc import Iterator

from envctl.values import dataclass

_TOKEN = re.compile(
    r"""
      (?P<comment> --[^\n]* )
    | (?P<block> /\* )
    | (?P<text> [eE]'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*' | "(?:[^"]|"")*" )
    | (?P<dollar> \$(?P<tag>(?:[^\W\d]\w*)?)\$ .*? \$(?P=tag)\$ )
    | (?P<word> [^\W\d][\w$]* )
    | (?P<space> \s+ )
    | (?P<psql> \\ )
    | (?P<other> . )
    """,
    re.VERBOSE | re.DOTALL,
)
_ROUTINE = re.compile(r"create\s+(or\s+replace\s+)?(function|procedure)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement, the line it starts on and its first word in capitals."""

    text: str
    line: int
    verb: str


@dataclass(slots=True)
class _Open:
    """The statement being read: where it starts, and what is open inside it."""

    start: int = -1
    verb: str = ""
    parentheses: int = 0
    bodies: int = 0


def split(text: str) -> Iterator[Statement]:
    """The statements of a file, without comments before them; raises ValueError with the line at a psql command."""
    now, position = _Open(), 0
    while found := _TOKEN.match(text, position):
        kind, position = found.lastgroup, found.end()
        if kind == "block":
            position = _comment_end(text, found.start())
        elif kind not in ("comment", "space"):
            if kind == "psql" and now.start < 0:
                raise ValueError(f"line {line(text, found.start())}: a psql command, which only psql understands")
            if _read(now, text, found):
                yield from _statement(text, now, found.start())
                now = _Open()
    yield from _statement(text, now, len(text))


def line(text: str, position: int) -> int:
    """The line, from 1, on which a position stands."""
    return text.count("\n", 0, position) + 1


def _read(now: _Open, text: str, found: re.Match[str]) -> bool:
    """Take one token into the statement; True where it is the semicolon that ends it."""
    part = found[0]
    if part == ";" and not now.parentheses and not now.bodies:
        return True
    if now.start < 0:
        now.start, now.verb = found.start(), part.upper()
    now.parentheses = max(0, now.parentheses + {"(": 1, ")": -1}.get(part, 0))
    if found.lastgroup == "word" and _ROUTINE.match(text, now.start):
        now.bodies = max(0, now.bodies + _opens(part.lower(), inside=now.bodies > 0))
    return False


def _opens(word: str, *, inside: bool) -> int:
    """How a word changes the depth of an SQL-standard body: `begin atomic … end`, with `case … end` in it."""
    if word == "begin" or (word == "case" and inside):
        return 1
    return -1 if word == "end" and inside else 0


def _statement(text: str, now: _Open, end: int) -> Iterator[Statement]:
    if now.start >= 0:
        yield Statement(text[now.start : end].rstrip(), line(text, now.start), now.verb)


def _comment_end(text: str, start: int) -> int:
    """Where a block comment ends; they nest."""
    depth = 0
    for mark in re.compile(r"/\*|\*/").finditer(text, start):
        depth += 1 if mark[0] == "/*" else -1
        if depth == 0:
            return mark.end()
    return len(text)
