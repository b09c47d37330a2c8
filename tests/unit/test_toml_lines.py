"""Every key of a TOML text is found on its line, however it is written."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envctl.toml.lines import KeyPath, locate

EVERY_FORM = '''\
# a comment with a [table] and a "quote
top = 1
"quoted key" = 'it''s' # odd = 1
\'literal."key\' = """
not = "a key"
[nor.a.table]
"""
dotted . "in".parts = { a = 1, b = [ { c = "}" }, { c = "]" } ], "d.e" = \'#\' }

list = [
  "one", # , 2
  [ "two",
    """three
    """ ],
  { four = 4 },
]
when = 1979-05-27 07:32:00
[table.inner] # ]
x = \'\'\'
[[fake]]
\'\'\'
y = """a\\"""b"""""
[table]
z = -inf
[[many]]
a = 1
  [many.sub]
  b = 2
[[many]]
a = 3
  [[many.deep]]
  c = 4
  [[many.deep]]
  c = 5
'''.replace("'it''s'", "'its'")

PLACES: dict[KeyPath, int] = {
    ("top",): 2,
    ("quoted key",): 3,
    ('literal."key',): 4,
    ("dotted", "in", "parts", "b", 1, "c"): 8,
    ("dotted", "in", "parts", "d.e"): 8,
    ("list",): 10,
    ("list", 0): 11,
    ("list", 1, 1): 13,
    ("list", 2, "four"): 15,
    ("when",): 17,
    ("table", "inner", "x"): 19,
    ("table", "inner", "y"): 22,
    ("table",): 23,
    ("table", "z"): 24,
    ("many", 0, "a"): 26,
    ("many", 0, "sub", "b"): 28,
    ("many", 1, "a"): 30,
    ("many", 1, "deep", 0, "c"): 32,
    ("many", 1, "deep", 1, "c"): 34,
}


@pytest.mark.parametrize(("path", "line"), PLACES.items(), ids=str)
def test_key_is_found_on_its_line(path: KeyPath, line: int) -> None:
    assert locate(EVERY_FORM)[path] == line


def test_exactly_the_keys_that_are_there_are_found() -> None:
    assert set(locate(EVERY_FORM)) == set(paths(tomllib.loads(EVERY_FORM)))


def test_an_empty_text_has_no_keys() -> None:
    assert locate("") == locate("\n# nothing\n") == {}


def test_windows_line_ends_count_once() -> None:
    assert locate("a = 1\r\nb = 2\r\n[c]\r\nd = 3") == {("a",): 1, ("b",): 2, ("c",): 3, ("c", "d"): 4}


TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=8)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.integers(-9, 9), st.booleans(), TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=8,
)


@given(st.dictionaries(TEXTS, VALUES, max_size=5))
def test_any_document_is_followed_to_its_end(document: dict[str, Any]) -> None:
    text = "".join(f"{toml(key)} = {toml(value)}\n" for key, value in document.items())
    assert tomllib.loads(text) == document
    found = locate(text)
    assert set(found) == set(paths(document))
    assert [found[(key,)] for key in document] == list(range(1, len(document) + 1))


def toml(value: Any) -> str:
    """A value as TOML writes it inline."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(char):08x}" if char in '"\\' else char for char in value) + '"'
    if isinstance(value, list):
        return f"[{', '.join(toml(item) for item in value)}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{toml(key)} = {toml(item)}' for key, item in value.items())}}}"
    return str(value)


def paths(value: Any, path: KeyPath = ()) -> list[KeyPath]:
    """Every key and index in a parsed document."""
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, item in parts for found in [(*path, key), *paths(item, (*path, key))]]
