"""Values as a person may see them: without their passwords."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator

MASK = "***"
SHORTEST = 5
"""A secret below this is a word such as `true`, and hiding it would hide the text that it stands in."""

_SECRET_NAME = re.compile(
    r"""passw | passphrase | passcode | pass$ | pwd | secret | token | credential
    | (?:api|private)[_-]?key(?![_-]?id$)
    | (?<!public)(?<!public[_-])(?<!publishable[_-])keys?$
    | auth(?!or(?!i[sz]))  # an author and an authority are no secrets, an authorization is
    """,
    re.IGNORECASE | re.VERBOSE,
)
_SCHEME = r"(?<![A-Za-z0-9+.-])[A-Za-z0-9+.-]+://"
"""From its first letter on: looked for from every letter, it would cost the square of a long word."""
_UP_TO_AT = re.compile(r"(?<!\S)\S+@")
"""Of a word, all that can hold a URL's password."""
_URL = rf"{_SCHEME}[^\s:]*:"
_IN_URL = re.compile(rf"{_URL}(?P<secret>\S+)(?=@)")
"""Up to the last `@`: a password may have any character that its writer forgot to escape."""
_WHOLE_URL = re.compile(rf"\s*{_URL}(?P<secret>.+)(?=@)", re.DOTALL)
_LONE = re.compile(rf"(?!(?:git\+)?ssh:){_SCHEME}(?P<secret>[^\s/?#@:]+)(?=:?@)")
"""A name without a password may be a token; but for ssh, where it is only ever a login."""
_TORN = re.compile(
    r"\s*[A-Za-z][A-Za-z0-9+.-]*://[^\s/?#@\[]*?:(?P<secret>(?!(?:\d|\{[^{}]*\})*(?:[,/?#\s]|$))[^@]+)$", re.DOTALL
)
"""What stands where a port should, in a URL whose host was forgotten."""
_ADDRESS = re.compile(
    r"(?=\S*\Z)"
    r"[a-z][a-z0-9+.-]*://(?:\S*@)?(?:\[[0-9a-f:.%]+\]|[\w.-]*)(?::\d*)?(?:[/?#]\S*)?",
    re.IGNORECASE | re.DOTALL,
)
_ASSIGNED = re.compile(
    r"""(?:^|[?&;,\s"'])(?P<name>[\w.-]+)\s*=\s*(?P<secret>(?:'[^']*'|"[^"]*")?[^&\s]*)""", re.MULTILINE
)
_PLACEHOLDERS = re.compile(r"(?:\{[^{}\s\"']+\})+")


def masked(value: str, name: str = "", spelled: Collection[str] = ()) -> str:
    """The value with passwords in URLs and these secrets hidden; all of it where its name says that it is a secret."""
    if secret(name):
        return _hidden(value)
    shown, after = "", 0
    for start, end in _joined(sorted((*_places(value), *_occurrences(value, spelled)))):
        shown, after = shown + value[after:start] + _hidden(value[start:end]), end
    return shown + value[after:]


def masked_url(value: str) -> str:
    """What should be a URL, with its passwords hidden; all of what is none, since nobody can tell them in it."""
    return masked(value) if _ADDRESS.fullmatch(value) else _hidden(value)


def secret(name: str) -> bool:
    """Whether a key's name says that its value is a secret."""
    return _SECRET_NAME.search(name.rpartition(".")[2]) is not None


def spellings(secrets: Iterable[str]) -> frozenset[str]:
    """Every way in which a line of output may show these secrets: a part of them, or escaped."""
    parts = {part for one in secrets for line in (one, *one.splitlines()) for part in (line, line.strip())}
    return frozenset(one for part in parts for one in _escaped(part) if len(one) >= SHORTEST)


def _escaped(text: str) -> Iterator[str]:
    """As JSON, Python and URLs write it, and as it is."""
    import json
    from urllib.parse import quote

    yield from (text, json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1], repr(text)[1:-1])
    yield quote(text, safe="", errors="replace")


def _occurrences(value: str, spelled: Iterable[str]) -> Iterator[tuple[int, int]]:
    for one in spelled:
        start = value.find(one)
        while start >= 0:
            yield start, start + len(one)
            start = value.find(one, start + len(one))


def _places(value: str) -> Iterator[tuple[int, int]]:
    """Where the secrets stand. They are looked for in the value as it came: a mask could hide another's end."""
    if "://" in value:
        yield from _in_urls(value)
    for found in _ASSIGNED.finditer(value):
        if secret(found["name"]):
            yield found.span("secret")


def _in_urls(value: str) -> Iterator[tuple[int, int]]:
    if whole := _WHOLE_URL.match(value):
        yield whole.span("secret")
    if "@" not in value and (torn := _TORN.match(value)):
        yield torn.span("secret")
    for word in _UP_TO_AT.finditer(value):
        for found in (*_IN_URL.finditer(value, *word.span()), *_LONE.finditer(value, *word.span())):
            yield found.span("secret")


def _joined(places: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Places that overlap, as one."""
    joined: list[tuple[int, int]] = []
    for start, end in places:
        if joined and start < joined[-1][1]:
            start, before = joined.pop()
            end = max(before, end)
        joined.append((start, end))
    return joined


def _hidden(secret: str) -> str:
    """A placeholder is the name of a secret, not the secret itself."""
    return secret if not secret or _PLACEHOLDERS.fullmatch(secret) else MASK
