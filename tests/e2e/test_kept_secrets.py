"""`--keep` shows how to open what it kept; its password is shown to whoever called, and stands in no log of others."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from checkouts import BIN, Envctl
from till import till

pytestmark = pytest.mark.embedded


@pytest.fixture
def red(tmp_path: Path) -> Path:
    return till(tmp_path / "till", tests="def test_wrong(): assert False\n")


def told(text: str) -> tuple[str, str]:
    """The line with the URL, and the one behind it."""
    lines = [line.strip() for line in text.splitlines()]
    at = next(number for number, line in enumerate(lines) if "postgresql://" in line)
    return lines[at], lines[at + 1]


def test_the_password_is_in_no_log_of_a_ci_job_nor_in_the_document(envctl: Envctl, red: Path) -> None:
    here = envctl("test", "--keep", "--json", cwd=red, code=1)
    url, _ = told(here.err)
    password = url.rpartition("@")[0].rpartition(":")[2]
    assert len(password) == 40
    (kept,) = here.data["kept"]
    assert password not in here.out
    assert ":***@" in kept["url"]
    assert kept["open"] == f"envctl dev psql {kept['name']}"
    job = envctl("test", "--keep", cwd=red, code=1, CI="true", BRANCH_NAME="job")
    url, hint = told(job.err)
    assert ":***@" in url
    assert password not in job.err
    assert hint.startswith("hint: envctl dev psql till_test_job")
    name = hint.rpartition(" ")[2]
    words = ("dev", "psql", name, "--", "-Atc", "SELECT current_database()")
    assert envctl(*words, cwd=red, BRANCH_NAME="job").out.strip() == name


@pytest.mark.parametrize(("mode", "shown"), [(0o644, False), (0o600, True)])
def test_a_file_that_others_may_read_gets_no_password(
    envctl: Envctl, red: Path, tmp_path: Path, mode: int, shown: bool
) -> None:
    log = tmp_path / "log"
    log.touch()
    log.chmod(mode)
    envctl("ns", cwd=red)
    with log.open("w") as file:
        subprocess.run(
            [BIN / "envctl", "test", "--keep"], cwd=red, env=envctl.environment, stdout=file, stderr=file, check=False
        )
    url, hint = told(log.read_text())
    assert (":***@" not in url, "envctl dev psql" not in hint) == (shown, shown)
