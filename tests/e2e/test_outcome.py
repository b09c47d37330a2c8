"""What a run says in the end: which tests count, what was at fault, and how to open what was kept."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from checkouts import BIN, Envctl, git
from leavings import settled
from till import CONFIG, till, write

pytestmark = pytest.mark.embedded


def outcome(envctl: Envctl, place: Path, *words: str, code: int, **env: str) -> tuple[str, list[str]]:
    """The status of the run's document, and the codes of its errors."""
    found = envctl("test", "--json", *words, cwd=place, code=code, **env).document
    assert found["exit_code"] == code
    return found["status"], [one["code"] for one in found["errors"]]


def test_a_strict_run_fails_only_where_a_test_ran(envctl: Envctl, tmp_path: Path) -> None:
    skipped = "import pytest\n@pytest.mark.skip\ndef test_one(): pass\ndef test_two(): pytest.skip('no')\n"
    place = till(tmp_path / "till", tests=skipped)
    assert outcome(envctl, place, "--strict", code=0) == ("ok", [])
    assert outcome(envctl, place, "--strict", "--", "--collect-only", code=0) == ("ok", [])
    assert outcome(envctl, place, "--strict", "--", "-k", "nothing", code=5) == ("partial", [])
    write(place / "tests/test_sales.py", skipped + "def test_three(): pass\n")
    assert outcome(envctl, place, "--strict", code=1) == ("error", ["wrong_database"])
    assert outcome(envctl, place, code=0) == ("ok", [])
    assert outcome(envctl, place, "--", "-p", "no:envctl_pytest_plugin", code=1) == ("error", ["no_plugin"])


def test_the_document_tells_what_is_wrong_with_the_tree(envctl: Envctl, tmp_path: Path) -> None:
    tests = "import selling\ndef test_selling(): pass\n"
    place = till(tmp_path / "till", tests=tests, **{"src/selling/__init__.py": ""})
    other = tmp_path / "other"
    git(place, "worktree", "add", "-q", "-b", "other", str(other))
    done = envctl("test", "--json", "--", "tests", cwd=other, code=2, PYTHONPATH=str(place / "src"))
    assert done.document["status"] == "error"
    (error,) = done.document["errors"]
    assert (error["code"], error["message"]) == ("wrong_tree", "selling is imported from another checkout")
    assert str(place / "src/selling/__init__.py") in error["cause"]
    assert "PYTHONPATH" in error["hint"]
    assert done.err.count("imported from another checkout") == 1


def test_what_was_kept_can_be_opened_where_psql_is_not_on_path(envctl: Envctl, tmp_path: Path) -> None:
    place, path = till(tmp_path / "till", tests="def test_wrong(): assert False\n"), tmp_path / "bin"
    path.mkdir()
    for folder in envctl.environment["PATH"].split(os.pathsep)[1:]:
        for program in Path(folder).glob("*"):
            if program.name != "psql" and not (path / program.name).is_symlink():
                (path / program.name).symlink_to(program)
    done = envctl("test", "--json", "--keep", cwd=place, code=1, PATH=f"{BIN}{os.pathsep}{path}")
    (kept,) = done.data["kept"]
    line = next(line.strip() for line in done.err.splitlines() if kept["name"] in line and "://" in line)
    psql, url = shlex.split(line)
    assert Path(psql).is_absolute()
    asked = subprocess.run([psql, url, "-Atc", "SELECT current_database()"], capture_output=True, text=True, check=True)
    assert asked.stdout.strip() == kept["name"]
    write(place / "tests/test_sales.py", "")
    envctl("test", cwd=place, code=5)
    settled(envctl, place)


def test_a_bare_pytest_says_how_to_open_what_it_kept(envctl: Envctl, tmp_path: Path) -> None:
    config = CONFIG.replace("[test]", "[test]\nkeep_failed = true")
    place = till(tmp_path / "till", config=config, **{"pytest.ini": "[pytest]\nenvctl = true\n"})
    write(place / "tests/test_wrong.py", "def test_wrong(): assert False\n")
    words = [sys.executable, "-m", "pytest", "-q"]
    envctl("ns", cwd=place)
    done = subprocess.run(words, cwd=place, env=envctl.environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    line = next(line for line in done.stderr.splitlines() if "psql postgresql://" in line)
    count = [*shlex.split(line), "-Atc", "SELECT count(*) FROM sales"]
    assert subprocess.run(count, capture_output=True, text=True, check=True).stdout.strip() == "8"
    (place / "tests/test_wrong.py").unlink()
    done = subprocess.run(words, cwd=place, env=envctl.environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    settled(envctl, place)
