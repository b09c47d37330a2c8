"""The memory of what a claim was given: private, exact, and worth nothing once anything has changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from envctl import recall
from envctl.model import Access, Address, Claim, Owner, Resource

OWNER = Owner("shop", "dev", "main_1", "/shop", "main", "laptop", "2026-01-02T03:04:05+00:00")
ADDRESS = Address("127.0.0.1", 20001, "admin", "hunter2")
ACCESS = Access((Resource("s3", "bucket", "files", OWNER),), {"secret_key": "s3cret"})


@pytest.fixture
def claim(tmp_path: Path) -> Claim:
    return Claim(OWNER, "shop_dev_main_1", {"files": "files"}, "s3cret", tmp_path)


def test_what_was_given_is_recalled_and_only_its_owner_can_read_it(claim: Claim, tmp_path: Path) -> None:
    recall.remember(claim, ADDRESS, "settings", ACCESS)
    assert recall.recalled(claim, ADDRESS, "settings") == ACCESS
    assert [path.stat().st_mode & 0o777 for path in tmp_path.iterdir()] == [0o600]
    assert "hunter2" not in "".join(path.read_text() for path in tmp_path.iterdir())


def test_anything_that_changed_makes_it_forgotten(claim: Claim) -> None:
    recall.remember(claim, ADDRESS, "settings", ACCESS)
    assert recall.recalled(claim, replace(ADDRESS, port=20002), "settings") is None
    assert recall.recalled(claim, ADDRESS, "other settings") is None
    assert recall.recalled(replace(claim, names={"files": "files-2"}), ADDRESS, "settings") is None
    assert recall.recalled(replace(claim, identity="shop_dev_other"), ADDRESS, "settings") is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"version": 99}', '{"version": 1, "asked": {}}'])
def test_a_broken_memory_is_none(claim: Claim, tmp_path: Path, content: str) -> None:
    recall.remember(claim, ADDRESS, "settings", ACCESS)
    (tmp_path / "access.json").write_text(content)
    assert recall.recalled(claim, ADDRESS, "settings") is None


def test_what_has_no_owner_is_not_remembered(claim: Claim) -> None:
    recall.remember(claim, ADDRESS, "settings", Access((replace(ACCESS.resources[0], owner=None),), {}))
    assert recall.recalled(claim, ADDRESS, "settings") is None
