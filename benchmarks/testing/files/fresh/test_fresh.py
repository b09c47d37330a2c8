"""Tests that want a database of their own, with all that is in the template."""

# mypy: ignore-errors
import os

import pytest


@pytest.mark.parametrize("number", range(int(os.environ["BENCH_TESTS"])))
def test_has_its_own_database(cursor, number):
    cursor.execute("INSERT INTO wide_00 (code) VALUES ('mine') RETURNING (SELECT count(*) FROM wide_00)")
    assert cursor.fetchone() == (230,)
