"""What is shown of a failed command's output: the lines that say why, and how many are left out."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

import pytest

from envctl.migrations.excerpt import SHOWN, excerpt, lost


def raised(statement: str, *, frames: int) -> Sequence[str]:
    """What Python prints where that is raised so many functions deep."""
    functions = [f"def f{number}(): f{number + 1}()" for number in range(frames)]
    code = "\n".join([*functions, f"def f{frames}(): {statement}", "f0()"])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    return done.stderr.splitlines()


def test_a_short_output_is_shown_as_it_is() -> None:
    lines = [f"line {number}" for number in range(SHOWN)]
    assert excerpt(lines).splitlines() == lines
    assert excerpt([]) == ""


def test_of_a_long_one_the_last_lines_are_shown_and_the_rest_is_counted() -> None:
    lines = [f"line {number}" for number in range(SHOWN + 1)]
    assert excerpt(lines).splitlines() == ["… 1 line is left out; -v shows them all", *lines[1:]]
    assert excerpt(lines, 40).splitlines()[0] == "… 41 lines are left out; -v shows them all"


def test_a_traceback_ends_with_its_error_and_shows_few_of_its_frames() -> None:
    lines = raised("raise LookupError('no such table')", frames=40)
    first, *shown = excerpt(lines).splitlines()
    assert first == f"… {len(lines) - SHOWN} lines are left out; -v shows them all"
    assert shown == lines[-SHOWN:]
    assert shown[-1] == "LookupError: no such table"


@pytest.mark.parametrize(
    "error", ["ValueError('it is wrong' + chr(10) * 2 + sql)", "type('Odd', (Exception,), {})(sql)"]
)
def test_an_error_with_a_long_statement_behind_it_keeps_its_beginning_and_its_end(error: str) -> None:
    lines = raised(f"sql = chr(10).join(f'column {{one}}' for one in range(30)); raise {error}", frames=5)
    start = next(number for number, line in enumerate(lines) if line[0].isalpha() and line[0] != "T")
    first, *shown = excerpt(lines).splitlines()
    half = SHOWN // 2
    assert first == f"… {start} lines are left out; -v shows them all"
    assert shown[:half] == list(lines[start : start + half])
    assert shown[half] == f"… {len(lines) - start - SHOWN} lines are left out"
    assert shown[half + 1 :] == list(lines[-half:])


def test_what_went_on_after_a_traceback_is_shown_to_its_end() -> None:
    lines = [*raised("1 / 0", frames=3), *(f"trying again: {number}" for number in range(50)), "gave up"]
    shown = excerpt(lines).splitlines()
    assert "ZeroDivisionError: division by zero" in shown
    assert shown[-1] == "gave up"
    assert len(shown) == SHOWN + 2


@pytest.mark.parametrize(
    "line",
    [
        "  FAILED: Can't locate revision identified by '0020'",
        "django.db.migrations.exceptions.InconsistentMigrationHistory: Migration a.2 is applied before its dependency",
        "error: no migration found for version 20240101: read down for version 20240101 .: file does not exist",
        "error: migration 20240101 was previously applied but is missing in the resolved migrations",
        "error: migration 20240101 was previously applied but has been modified",
    ],
)
def test_a_migration_that_the_database_has_seen_and_the_checkout_has_not_is_recognised(line: str) -> None:
    assert lost(["starting", line])
    assert not lost(["starting", 'relation "revision" does not exist'])
