"""What a project and a bucket may be called, and what is suggested where they may not."""

from __future__ import annotations

import pytest

from envctl import spelling
from envctl.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "expected"), [("shop", "shop"), ("finance-report", "finance_report"), ("a1_b2", "a1_b2")]
)
def test_both_spellings_of_a_project_are_one(text: str, expected: str) -> None:
    assert spelling.project_name(text) == expected


@pytest.mark.parametrize(
    ("text", "suggestion"),
    [
        *(
            ("Shop", "shop"),
            ("1shop", "shop"),
            ("my shop", "my_shop"),
            ("shop_", "shop"),
            ("a__b", "a_b"),
            ("", "my_app"),
        ),
        *(
            ("postgres", "postgres_app"),
            ("pg_shop", "shop_app"),
            ("template1", "template1_app"),
            ("été", "ete"),
            ("shop\n", "shop"),
        ),
    ],
)
def test_a_wrong_project_name_comes_with_a_right_one(text: str, suggestion: str) -> None:
    with pytest.raises(ConfigError) as error:
        spelling.project_name(text)
    assert f'"{suggestion}"' in error.value.hint
    assert spelling.project_name(suggestion) == suggestion


@pytest.mark.parametrize("text", ["statements", "user-files", "user_files", "2024"])
def test_a_bucket_keeps_its_name(text: str) -> None:
    assert spelling.bucket_name(text) == text


@pytest.mark.parametrize("text", ["ab", "", "Files", "a.b.c", "-abc", "abc-", "a--b", "xn--abc", "sthree-x", "日本"])
def test_a_wrong_bucket_name_comes_with_a_right_one(text: str) -> None:
    with pytest.raises(ConfigError) as error:
        spelling.bucket_name(text)
    suggestion = error.value.hint.split('"')[1]
    assert spelling.bucket_name(suggestion) == suggestion
