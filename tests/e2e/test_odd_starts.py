"""Runs that are started in an unusual way: without streams, or from within another run."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from checkouts import BIN, Envctl
from leavings import leavings
from till import till

pytestmark = pytest.mark.embedded


def test_a_run_needs_none_of_its_streams(envctl: Envctl, tmp_path: Path) -> None:
    tests = """
        import os, subprocess, sys

        def test_streams():
            for number in (0, 1, 2):
                os.fstat(number)
            subprocess.run([sys.executable, "-c", "import os; [os.fstat(one) for one in (0, 1, 2)]"], check=True)
    """
    place = till(tmp_path / "till", tests=tests)
    envctl("test", cwd=place)
    for words in ("test <&-", "test --json >&-", "test 2>&-", "test <&- >&- 2>&- -- -n 1"):
        line = f"{BIN / 'envctl'} {words}"
        done = subprocess.run(["sh", "-c", line], cwd=place, env=envctl.environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
    assert not leavings(envctl, place)


@pytest.mark.parametrize(
    ("words", "files", "variables"),
    [
        (("-p", "plug"), {}, {}),
        (("tests",), {"tests/pytest.ini": "[pytest]\naddopts = -p plug\n"}, {}),
        (("-c", "other.ini"), {"other.ini": "[pytest]\naddopts = -p plug\n"}, {}),
        ((), {}, {"PYTEST_PLUGINS": "plug"}),
    ],
    ids=["typed", "settings below", "settings named", "PYTEST_PLUGINS"],
)
def test_what_pytest_imports_first_has_its_variables(
    envctl: Envctl, tmp_path: Path, words: tuple[str, ...], files: dict[str, str], variables: dict[str, str]
) -> None:
    plug = "import os\nURL = os.environ['DATABASE_URL']\n"
    tests = """
        import os, plug, psycopg

        def test_the_same():
            assert plug.URL == os.environ["DATABASE_URL"]
            psycopg.connect(plug.URL).close()
    """
    place = till(tmp_path / "till", tests=tests, **{"lib/plug.py": plug, **files})
    variables["PYTHONPATH"] = str(place / "lib")
    for _ in range(2):  # In the second the template is there already, and pytest would start at once.
        assert "1 passed" in envctl("test", "--", *words, cwd=place, code=0, **variables).out
