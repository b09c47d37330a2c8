"""The six environments, and the patterns that are refused because they would mix them."""

from __future__ import annotations

from typing import Any

import pytest

from envctl import environments
from envctl.environments import DEFAULTS, SIX, Kind, Patterns
from envctl.errors import ConfigError
from envctl.namespace import Names


def changed(**patterns: str) -> Patterns:
    """The defaults with some changed: `test_bucket="{bucket}-t-{namespace}"`."""
    merged: dict[Kind, dict[Any, str]] = {"database": dict(DEFAULTS.database), "bucket": dict(DEFAULTS.bucket)}
    for key, pattern in patterns.items():
        environment, _, kind = key.partition("_")
        merged["bucket" if kind == "bucket" else "database"][environment] = pattern
    return Patterns(merged["database"], merged["bucket"])


def test_there_are_six_and_two_of_them_share_servers() -> None:
    assert list(SIX) == ["dev", "test", "ci", "preview", "staging", "production"]
    assert [spec.name for spec in SIX.values() if spec.local] == ["dev", "test"]


@pytest.mark.parametrize("buckets", [[], ["statements"], ["files", "files-old", "user_files"]])
def test_the_defaults_keep_the_environments_apart(buckets: list[str]) -> None:
    assert environments.collisions(DEFAULTS, "finance_report", buckets) == []
    environments.check(DEFAULTS, "finance_report", buckets)


@pytest.mark.parametrize(
    ("patterns", "fault"),
    [
        (changed(test_database="{project}_dev_{namespace}"), "same name shop_dev_{namespace}"),
        (changed(test_bucket="{bucket}-dev-{namespace}"), "same name files-dev-{namespace}"),
        (changed(ci_database="{project}_test_{namespace}"), "test database and ci database"),
        (changed(staging_database="{project}_production"), "staging database and production database"),
        (changed(test_database="{project}_tests"), "lacks {namespace}"),
        (changed(dev_bucket="{bucket}-dev"), "lacks {namespace}"),
        (changed(test_database="test_{namespace}"), "lacks {project}"),
        (changed(test_database="{project}_{ns}_{namespace}"), "unknown hole {ns}; known are project, namespace"),
        (changed(test_database="{project}_{bucket}_{namespace}"), "unknown hole {bucket}"),
        (changed(test_database="{project}_{pr}_{namespace}"), "unknown hole {pr}"),
        (changed(test_database="{project}_{}_{namespace}"), "unknown hole {}"),
        (changed(test_database="{project}_{namespace}_{namespace}"), "{namespace} twice"),
        (changed(test_database="{project}{namespace}"), "parted"),
        (changed(test_database="{project}_t{namespace}"), "parted"),
        (changed(test_database="{project}__{namespace}"), "parted"),
        (changed(test_database="{project}_{namespace}_"), "parted"),
        (changed(test_database="{project}-{namespace}"), "may have"),
        (changed(test_database='{project}_";drop_{namespace}'), "may have"),
        (changed(test_database="{project}_{namespace"), "may have"),
        (changed(test_bucket="{bucket}_{namespace}"), "may have"),
        (changed(test_bucket="{bucket}.{namespace}"), "may have"),
        (changed(test_bucket="{bucket}-Test-{namespace}"), "may have"),
        (changed(test_database=""), "parted"),
        (changed(test_bucket="{bucket}-dev-{namespace}-x"), "could have the same name"),
        (Patterns(database={"dev": "{project}_dev_{namespace}"}), "test has no database pattern"),
    ],
)
def test_patterns_that_mix_environments_are_refused(patterns: Patterns, fault: str) -> None:
    assert any(fault in sentence for sentence in environments.collisions(patterns, "shop", ["files"]))
    with pytest.raises(ConfigError):
        environments.check(patterns, "shop", ["files"])


@pytest.mark.parametrize(
    ("buckets", "fault"),
    [
        (["files", "files-dev"], "dev bucket files and test bucket files-dev"),
        (["user-files", "user_files"], "dev (primary checkout) bucket user-files"),
        (["files", "files"], "same name"),
    ],
)
def test_buckets_that_meet_in_one_name_are_refused(buckets: list[str], fault: str) -> None:
    assert any(fault in sentence for sentence in environments.collisions(DEFAULTS, "shop", buckets))


def test_one_name_for_all_buckets_is_refused_where_there_are_several() -> None:
    patterns = changed(test_bucket="testing-{namespace}")
    assert environments.collisions(patterns, "shop", ["files"]) == []
    assert environments.collisions(patterns, "shop", ["files", "media"])


def test_a_pattern_may_put_the_namespace_first() -> None:
    patterns = changed(test_bucket="{namespace}-{bucket}-test", dev_bucket="{namespace}-{bucket}-dev")
    assert environments.collisions(patterns, "shop", ["files"]) == []
    assert "files" in environments.reserved(patterns, "shop", ["files"])
    assert Names("shop", "a_b", patterns).bucket("files", "test") == "a-b-files-test"
