"""A little project of its own for runs of tests: a database by SQL files, and whatever tests a test writes for it."""

from __future__ import annotations

import textwrap
from pathlib import Path

from checkouts import git

CONFIG = """
project = "till"
engine = "embedded"

[services.postgres]
migrate = { sql = ["db/*.sql"] }

[test]
command = "python -m pytest -q"
"""

TABLES = """
CREATE TABLE sales (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, cents int NOT NULL);
"""

TESTS = """
import os

import psycopg
import pytest


def database():
    return psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)


@pytest.mark.parametrize("number", range(8))
def test_a_sale_is_kept(number):
    with database() as connection:
        connection.execute("INSERT INTO sales (cents) VALUES (%s)", (number,))
        assert connection.execute("SELECT count(*) FROM sales WHERE cents = %s", (number,)).fetchone() == (1,)
"""


def till(folder: Path, *, config: str = CONFIG, tests: str = TESTS, **files: str) -> Path:
    """The project in a fresh repository, with one table and tests that need it."""
    written = {"envctl.toml": config, "db/1_sales.sql": TABLES, "tests/test_sales.py": tests}
    for name, text in {**written, **files}.items():
        write(folder / name, text)
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "The till")
    return folder


def write(path: Path, text: str) -> None:
    """A file, with its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text))
