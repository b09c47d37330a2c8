"""The owner record survives every text a person's machine can hold, and nothing else reads as one."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envctl import owners
from envctl.model import Owner

OWNER = Owner(
    project="shop",
    environment="dev",
    namespace="feature_auth",
    workspace="/home/me/shop",
    branch="feature/auth",
    host="box",
    created="2026-11-21T10:00:00Z",
    notes={"digest": "abc"},
)

texts = st.text(max_size=40)
some_owner = st.builds(
    Owner,
    project=st.text(min_size=1, max_size=40),
    environment=st.sampled_from(["dev", "test", "ci", "preview", "staging", "production"]),
    namespace=st.text(min_size=1, max_size=40),
    workspace=texts,
    branch=texts,
    host=texts,
    created=texts,
    worker=texts,
    lease=texts,
    notes=st.dictionaries(texts, texts, max_size=3),
)


@given(some_owner)
def test_every_owner_survives_the_way_through_text(owner: Owner) -> None:
    assert owners.from_text(owners.to_text(owner)) == owner


@given(some_owner)
def test_the_text_is_one_line_of_ascii_whatever_the_path_holds(owner: Owner) -> None:
    text = owners.to_text(owner)
    assert text.isascii()
    assert "\n" not in text
    assert "\0" not in text


def test_a_path_that_is_not_utf8_survives() -> None:
    owner = replace(OWNER, workspace=b"/home/m\xfc/shop".decode("utf-8", "surrogateescape"))
    assert owners.from_text(owners.to_text(owner)) == owner


def test_keys_of_a_later_minor_change_are_passed_over() -> None:
    assert owners.from_text(json.dumps({**json.loads(owners.to_text(OWNER)), "colour": "red"})) == OWNER


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "default administrative connection database",
        "{",
        "null",
        "[]",
        "{}",
        '{"project":"shop","environment":"dev","namespace":"x"}',
        "[" * 100_000,
    ],
)
def test_what_is_not_a_record_reads_as_none(text: str | None) -> None:
    assert owners.from_text(text) is None


@pytest.mark.parametrize(
    "change",
    [
        {"envctl": 2},
        {"envctl": "1"},
        {"envctl": True},
        {"envctl": 1.0},
        {"project": ""},
        {"project": 7},
        {"namespace": None},
        {"environment": "moon"},
        {"environment": ["dev"]},
        {"branch": {"name": "x"}},
        {"notes": ["a"]},
        {"notes": {"a": 1}},
    ],
)
def test_a_record_with_one_thing_wrong_reads_as_none(change: dict[str, Any]) -> None:
    assert owners.from_text(json.dumps({**json.loads(owners.to_text(OWNER)), **change})) is None


def test_a_truncated_record_reads_as_none() -> None:
    text = owners.to_text(OWNER)
    assert [owners.from_text(text[:end]) for end in range(len(text))] == [None] * len(text)
