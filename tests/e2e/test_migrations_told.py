"""What a failing migration of a real tool says: Alembic, in `dev up` and in `test`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from checkouts import Envctl

pytestmark = pytest.mark.embedded
WRONG = """
from alembic import op

revision, down_revision = "0020", "0019"


def upgrade():
    op.execute({statement!r})
"""
NEW = "migrations/versions/0020_new.py"
LEFT_OUT = re.compile(r"… (\d+) lines are left out; -v shows them all")


def written(shop: Path, statement: str) -> Path:
    """The shop with its database alone, and one revision more."""
    config = shop / "envctl.toml"
    text = config.read_text()
    for service in ("s3", "redis"):
        text = re.sub(rf"\[services\.{service}\]\n(?:\w.*\n)*", "", text)
    config.write_text(
        text[: text.index("[variables]")] + '[variables]\nDATABASE_URL = "{postgres.url:postgresql+asyncpg}"\n'
    )
    (shop / NEW).write_text(WRONG.format(statement=statement))
    return shop


@pytest.mark.parametrize(("words", "code"), [(("dev", "up"), 1), (("test",), 125)])
def test_a_failed_migration_shows_its_error_and_not_all_of_its_traceback(
    envctl: Envctl, shop: Path, words: tuple[str, ...], code: int
) -> None:
    written(shop, "CREATE TABLE wrong (id no_such_type)")
    said = envctl(*words, cwd=shop, code=code).err
    error = said[said.index("error: ") :].splitlines()
    assert 'type "no_such_type" does not exist' in said
    assert len(error) <= 16
    assert "Traceback" not in said
    left = LEFT_OUT.search(said)
    assert left
    whole = envctl(*words, "-v", cwd=shop, code=code).err
    assert "Traceback (most recent call last)" in whole
    assert len(whole.splitlines()) > int(left[1]) > 30


def test_a_revision_that_is_gone_names_the_command_that_makes_the_dev_data_anew(envctl: Envctl, shop: Path) -> None:
    written(shop, "CREATE TABLE mine (id int)")
    envctl("dev", "up", cwd=shop)
    (shop / NEW).unlink()
    said = envctl("dev", "up", cwd=shop, code=1).err
    assert "Can't locate revision identified by '0020'" in said
    assert "envctl dev reset" in said[said.index("hint:") :]
    envctl("dev", "reset", "--yes", cwd=shop)
    envctl("dev", "up", cwd=shop)
