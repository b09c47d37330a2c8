"""A bare `pytest` that opens a run for itself, and the plugin's fixtures on real servers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import sysconfig
import time
import venv
from pathlib import Path

import pytest
from checkouts import Envctl, git
from leavings import leavings, settled
from till import CONFIG, till, write

pytestmark = pytest.mark.embedded

ON = "[pytest]\nenvctl = true\n"
FRESH = """
import os

import psycopg
import pytest


@pytest.mark.parametrize("number", range(3))
def test_a_fresh_database_is_migrated_and_empty(fresh_database, number):
    one = fresh_database
    words = dict(host=one.host, port=one.port, user=one.user, password=one.password, dbname=one.name)
    with psycopg.connect(one.url) as connection:
        connection.execute("INSERT INTO sales (cents) VALUES (1)")
        assert connection.execute("SELECT count(*), current_database() FROM sales").fetchone() == (1, one.name)
    psycopg.connect(**words).close()
    assert one.url != os.environ["DATABASE_URL"]


def test_the_sandbox_says_what_is_ours(envctl_sandbox):
    assert envctl_sandbox.url() == os.environ["DATABASE_URL"]
    assert envctl_sandbox.worker == os.environ.get("PYTEST_XDIST_WORKER", "")
    with psycopg.connect(envctl_sandbox.url()) as connection:
        name = connection.execute("SELECT current_database()").fetchone()[0]
    assert ("postgres", "database", name) in {(it.service, it.kind, it.name) for it in envctl_sandbox.resources}
"""


def bare(envctl: Envctl, place: Path, *words: str, code: int = 0, **env: str) -> subprocess.CompletedProcess[str]:
    """Run pytest there as an IDE does."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words],
        cwd=place,
        env={**envctl.environment, **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    envctl("ns", cwd=place)
    assert done.returncode == code, done.stdout + done.stderr
    return done


@pytest.mark.parametrize("words", [(), ("-n", "2"), ("-W", "error", "--strict-config", "-p", "no:cacheprovider")])
def test_a_bare_pytest_opens_a_run_where_the_project_wants_it(
    envctl: Envctl, tmp_path: Path, words: tuple[str, ...]
) -> None:
    place = till(tmp_path / "till", **{"pytest.ini": ON, "tests/test_fresh.py": FRESH})
    done = bare(envctl, place, *words)
    assert "12 passed" in done.stdout
    assert done.stderr == ""
    assert "envctl" not in done.stdout.replace("plugins: ", "").partition("collected")[2]
    assert not leavings(envctl, place)


def test_a_bare_pytest_is_left_alone_where_the_plugin_is_off(envctl: Envctl, tmp_path: Path) -> None:
    tests = "import os\ndef test_off(): assert 'DATABASE_URL' not in os.environ\n"
    place = till(tmp_path / "till", tests=tests)
    assert "1 passed" in bare(envctl, place).stdout
    assert not (envctl.state / "projects" / "till" / "runs").exists()


@pytest.mark.parametrize("words", [("--help",), ("--version", "--version")])
def test_nothing_is_opened_for_help(envctl: Envctl, tmp_path: Path, words: tuple[str, ...]) -> None:
    place = till(tmp_path / "till", **{"pytest.ini": ON})
    bare(envctl, place, *words)
    assert not (envctl.state / "projects" / "till" / "runs").exists()


def test_the_fixtures_work_under_envctl_test(envctl: Envctl, tmp_path: Path) -> None:
    place = till(tmp_path / "till", tests=FRESH, **{"pytest.ini": ON})
    done = envctl("test", "--", "-n", "2", "-W", "error", cwd=place)
    assert "4 passed" in done.out
    assert not leavings(envctl, place)


def test_a_run_that_cannot_be_opened_says_why(envctl: Envctl, tmp_path: Path) -> None:
    place = till(tmp_path / "till", **{"pytest.ini": ON, "db/2_wrong.sql": "CREATE TABLE wrong (id no_such_type);"})
    done = bare(envctl, place, code=4)
    assert done.stderr.startswith("ERROR: envctl: ")
    assert "no_such_type" in done.stderr
    assert "Traceback" not in done.stderr
    assert not leavings(envctl, place)


def test_a_wrong_configuration_says_where(envctl: Envctl, tmp_path: Path) -> None:
    place = till(tmp_path / "till", config=CONFIG + "\n[tset]\n", **{"pytest.ini": ON})
    done = subprocess.run(
        [sys.executable, "-m", "pytest"], cwd=place, env=envctl.environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 4
    assert "tset" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda one: one.name)
def test_a_stopped_pytest_leaves_nothing(envctl: Envctl, tmp_path: Path, number: signal.Signals) -> None:
    here = tmp_path / "here"
    tests = """
        import os, pathlib, time

        def test_sleep(fresh_database):
            pathlib.Path(os.environ["HERE"]).touch()
            time.sleep(600)
    """
    place = till(tmp_path / "till", tests=tests, **{"pytest.ini": ON})
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest"],
        cwd=place,
        env={**envctl.environment, "HERE": str(here)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    envctl("ns", cwd=place)
    while not here.exists() and process.poll() is None:
        time.sleep(0.02)
    os.killpg(process.pid, number)
    told, _ = process.communicate()
    assert here.exists(), told
    settled(envctl, place)


def test_an_environment_without_envctl_is_served(envctl: Envctl, tmp_path: Path) -> None:
    """The tests' Python has all that ours has, but envctl."""
    environment, own = tmp_path / "environment", Path(sysconfig.get_path("purelib"))
    venv.create(environment, symlinks=True)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(environment)}))
    for found in own.iterdir():
        if "envctl" not in found.name:
            (site / found.name).symlink_to(found)
    tests = FRESH + "\n\ndef test_it_is_not_there():\n    with pytest.raises(ImportError):\n        import envctl\n"
    config = CONFIG.replace("python -m pytest", f"{environment}/bin/python -m pytest")
    place = till(tmp_path / "till", config=config, tests=tests)
    assert "5 passed" in envctl("test", "--", "-n", "2", "-W", "error", cwd=place).out
    assert not leavings(envctl, place)


def test_the_code_of_another_worktree_is_not_tested(envctl: Envctl, tmp_path: Path) -> None:
    tests = "import selling\ndef test_selling(): pass\n"
    place = till(tmp_path / "till", tests=tests, **{"src/selling/__init__.py": ""})
    git(place, "worktree", "add", "-q", "-b", "other", str(tmp_path / "other"))
    own, found = (folder / "src/selling/__init__.py" for folder in (tmp_path / "other", place))
    words = ("test", "--", "tests")
    done = envctl(*words, cwd=tmp_path / "other", code=2, PYTHONPATH=str(place / "src"))
    assert f"error: selling is imported from another checkout\n  here:  {own}\n  there: {found}\n" in done.err
    envctl("test", "--allow-wrong-tree", "--", "tests", cwd=tmp_path / "other", PYTHONPATH=str(place / "src"))
    write(tmp_path / "other/pytest.ini", ON)
    assert str(found) in bare(envctl, tmp_path / "other", "tests", code=2, PYTHONPATH=str(place / "src")).stderr
    assert not leavings(envctl, place)
