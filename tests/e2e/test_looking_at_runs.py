"""Runs as they are seen from beside them, from inside of them, and after they failed."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from checkouts import BIN, Envctl
from till import CONFIG, till

pytestmark = pytest.mark.embedded


def test_status_shows_the_tests_servers_runs_and_what_was_kept(envctl: Envctl, tmp_path: Path) -> None:
    place = till(tmp_path / "till", tests="def test_wrong(): assert False\n")
    before = envctl("dev", "status", "--json", cwd=place).data["tests"]
    assert before == {"servers": [], "runs": [], "kept": [], "templates": {"count": 0, "bytes": 0}}
    envctl("test", "--keep", cwd=place, code=1)
    seen = envctl("dev", "status", "--json", cwd=place).data["tests"]
    assert [(one["set"], one["state"]) for one in seen["servers"]] == [("test-embedded", "running")]
    assert seen["runs"] == []
    assert seen["templates"]["count"] == 1
    assert seen["templates"]["bytes"] > 1_000_000
    (kept,) = seen["kept"]
    count = envctl(*kept["open"].split()[1:], "--", "-Atc", "SELECT count(*) FROM sales", cwd=place)
    assert count.out == "0\n"
    assert kept["name"] in envctl("dev", "psql", "another", cwd=place, code=2).err
    envctl("dev", "down", "--all", "--yes", cwd=place)
    after = envctl("dev", "status", "--json", cwd=place).data["tests"]
    assert [one["state"] for one in after["servers"]] == ["stopped"]
    assert after["kept"] == []


def test_status_shows_the_run_that_it_is_asked_in(envctl: Envctl, tmp_path: Path) -> None:
    place = till(tmp_path / "till")
    done = envctl("run", "--", str(BIN / "envctl"), "dev", "status", "--json", cwd=place)
    (run,) = done.data["tests"]["runs"]
    assert (run["slot"], run["environment"], run["workspace"]) == (1, "test", str(place))
    assert run["command"].startswith("envctl run -- ")


@pytest.mark.parametrize("environment", ["test", "ci"])
def test_inside_of_a_run_env_and_psql_mean_the_run(envctl: Envctl, tmp_path: Path, environment: str) -> None:
    config = CONFIG + '\n[environments.ci]\nengine = "embedded"\n'
    place, other = till(tmp_path / "till", config=config), till(tmp_path / "other", config=config)
    script = """
        envctl env --format json
        envctl dev psql -- -Atc 'SELECT current_database()'
        cd "$OTHER" && envctl env || echo "and elsewhere $?"
    """
    words = [str(BIN / "envctl"), "run", "--environment", environment, "--", "sh", "-c", script]
    environ = {**envctl.environment, "OTHER": str(other)}
    envctl("ns", cwd=place)
    done = subprocess.run(words, cwd=place, env=environ, capture_output=True, text=True, check=True)
    *written, name, elsewhere = done.stdout.splitlines()
    assert f'/{name}"' in "".join(written)
    assert name.startswith("till_test")
    assert elsewhere == "and elsewhere 4"
    assert "the dev environment of" in done.stderr


def test_a_run_that_exports_nothing_of_ours_is_known_by_its_process(envctl: Envctl, tmp_path: Path) -> None:
    config = CONFIG + '\n[variables]\nDATABASE_URL = "{postgres.url}"\n'
    place = till(tmp_path / "till", config=config)
    envctl("dev", "up", cwd=place)
    script = """
        echo "$DATABASE_URL"
        envctl env --format json
        envctl dev psql -- -Atc 'SELECT current_database()'
        envctl dev reset --yes || echo "reset $?"
    """
    done = envctl("run", "--", "sh", "-c", script, cwd=place)
    url, *written, name, reset = done.out.splitlines()
    assert name.startswith("till_test")
    assert url.endswith(f"/{name}")
    assert url in "".join(written)
    assert reset == "reset 2"
    assert "till_dev" in envctl("env", cwd=place).out
