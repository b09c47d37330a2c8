"""A migration that fails, at each revision: its own words, exit 125, and every older template as it was."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from checkouts import Envctl, opened
from inside import databases, templates
from leavings import leavings
from till import till, write

pytestmark = pytest.mark.embedded
COUNT = 6
WRONG = "CREATE TABLE fine_{0} (id int);\n\nCREATE TABLE wrong_{0} (id no_such_type);\n"
CONFIG = """
project = "till"
engine = "embedded"

[services.postgres]
migrate = [{migrate}]
watch = ["db/**"]

[test]
command = "python -m pytest -q"
"""
SQL = CONFIG.format(migrate='{ sql = ["db/*.sql"] }')
TOOL = CONFIG.format(migrate='"python db/tool.py"')
TABLES = "SELECT 'tables: ' || coalesce(string_agg(tablename, ' ' ORDER BY tablename), '') FROM pg_tables"
LOOK = f"""exec psql "$DATABASE_URL" -Atc "{TABLES} WHERE schemaname = 'public'" """
MIGRATOR = """
    import os, pathlib, sys

    import psycopg

    # As such tools do: a table of what ran, and each revision in a transaction of its own.
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS version (name text)")
        done = {name for name, in connection.execute("SELECT name FROM version")}
        for path in sorted(pathlib.Path("db").glob("*.rev")):
            if path.name in done:
                continue
            print("upgrading to", path.name, flush=True)
            if path.read_text().startswith("die"):
                print("cannot go on at", path.name, "with", os.environ["DATABASE_URL"], file=sys.stderr)
                os._exit(7)
            with connection.transaction():
                connection.execute(path.read_text())
                connection.execute("INSERT INTO version VALUES (%s)", (path.name,))
"""


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Envctl]:
    """One set of servers for all of these."""
    with opened(tmp_path_factory.mktemp("failing") / "state") as ready:
        yield ready


def project(folder: Path, upto: int, *, config: str = SQL, suffix: str = "sql") -> Path:
    """A checkout with the revisions 1 to `upto`; each test's are its own, so that it begins without a template."""
    made = {revision(number, suffix): good(folder, number) for number in range(1, upto + 1)}
    return till(folder, config=config, **made, **{"db/1_sales.sql": "", "db/tool.py": MIGRATOR})


def revision(number: int, suffix: str = "sql") -> str:
    return f"db/{number}_table.{suffix}"


def good(folder: Path, number: int) -> str:
    return f"-- for {folder.parent.name}\nCREATE TABLE table_{number} (id int);\n"


def green(envctl: Envctl, place: Path, tables: int, *more: str) -> Any:
    """A run that finds just these tables; what it says of its template."""
    done = envctl("run", "--json", "--", "sh", "-c", LOOK, cwd=place)
    found = " ".join([*(f"table_{number}" for number in range(1, tables + 1)), *more])
    assert f"tables: {found}\n" in done.err
    return done.data["templates"]["postgres"]


def red(envctl: Envctl, place: Path, *words: str) -> str:
    """A run whose migrations fail, so that its command never starts; what it says on stderr."""
    before, there = templates(envctl), databases(envctl)
    done = envctl(*(words or ("run", "--", "echo", "started")), cwd=place, code=125)
    assert done.out == ""
    assert templates(envctl) == before, "a failing migration touches no template"
    assert databases(envctl) == there
    assert not leavings(envctl, place)
    return done.err


def test_each_new_sql_file_may_fail_and_runs_once_it_is_mended(warm: Envctl, tmp_path: Path) -> None:
    place = project(tmp_path / "till", 0)
    green(warm, place, 0)
    for number in range(1, COUNT + 1):
        write(place / revision(number), WRONG.format(number))
        assert f'{revision(number)}, line 3: type "no_such_type" does not exist' in red(warm, place)
        write(place / revision(number), good(place, number))
        mended = green(warm, place, number)
        assert (mended["how"], mended["ran"]) == ("extended", [revision(number)])


@pytest.mark.parametrize("number", range(1, COUNT + 1) if os.environ.get("ENVCTL_NIGHTLY") else (1, 4, COUNT))
def test_any_one_of_six_may_be_broken_and_mended_again(warm: Envctl, tmp_path: Path, number: int) -> None:
    place = project(tmp_path / "till", COUNT)
    whole = green(warm, place, COUNT)
    write(place / revision(number), WRONG.format(number))
    assert f"{revision(number)}, line 3" in red(warm, place, "test")
    write(place / revision(number), good(place, number))
    again = green(warm, place, COUNT)
    assert (again["how"], again["digest"], again["ran"]) == ("reused", whole["digest"], [])


def test_a_tool_may_die_at_each_revision_and_is_shown_without_its_password(warm: Envctl, tmp_path: Path) -> None:
    place = project(tmp_path / "till", 0, config=TOOL)
    green(warm, place, 0, "version")
    for number in range(1, COUNT + 1):
        write(place / revision(number, "rev"), "die")
        write(place / revision(number + 1, "rev"), good(place, number + 1))
        said = red(warm, place)
        assert f"cannot go on at {number}_table.rev with postgresql://" in said
        assert f"upgrading to {number + 1}_table.rev" not in said
        assert "ended with 7" in said
        assert not re.search(r"://\w+:[^*@]+@", said), "a password is shown"
        (place / revision(number + 1, "rev")).unlink()
        write(place / revision(number, "rev"), good(place, number))
        assert green(warm, place, number, "version")["how"] == "extended"


def test_what_a_failing_file_committed_before_it_failed_is_in_nobodys_database(warm: Envctl, tmp_path: Path) -> None:
    place = project(tmp_path / "till", 2)
    green(warm, place, 2)
    write(place / revision(3), "-- envctl: no-transaction\nDROP TABLE table_1;\nSELECT 1 / 0;\n")
    assert "division by zero" in red(warm, place)
    (place / revision(3)).unlink()
    assert green(warm, place, 2)["how"] == "reused"
