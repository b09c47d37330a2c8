"""The command line itself: flags in any place, the one error boundary, and the reference that is made from it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from envctl import __version__
from envctl.cli import manual

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str


Run = Callable[..., Said]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """The console script in a project of its own, with no variable of this machine's that envctl would hear."""
    (tmp_path / "a b").mkdir()
    (tmp_path / "a b" / "envctl.toml").write_text('project = "shop"\n[services.redis]\n')

    def run(*words: str, cwd: Path = tmp_path / "a b", **variables: str) -> Said:
        done = subprocess.run(
            [sys.executable, "-c", "from envctl.cli import main; main()", *words],
            cwd=cwd,
            env={
                "PATH": "/usr/bin:/bin",
                "ENVCTL_STATE_DIR": str(tmp_path / "state"),
                "HOME": str(tmp_path),
                **variables,
            },
            capture_output=True,
            text=True,
            timeout=60,
        )
        return Said(done.returncode, done.stdout, done.stderr)

    return run


def test_the_reference_is_what_help_says() -> None:
    assert (ROOT / "docs" / "cli.md").read_text() == manual.text(), "run scripts/generate"


def test_version_is_printed(run: Run) -> None:
    assert run("--version") == Said(0, f"envctl {__version__}\n", "")


@pytest.mark.parametrize("words", [("--json", "ns"), ("ns", "--json")])
def test_a_global_flag_means_the_same_before_and_after_the_command(run: Run, words: tuple[str, ...]) -> None:
    assert json.loads(run(*words, BRANCH_NAME="feature-auth").out)["data"]["namespace"] == "feature_auth"


def test_a_flag_in_either_place_goes_before_its_variable(run: Run) -> None:
    assert run("--namespace", "mine", "ns", ENVCTL_NAMESPACE="theirs").out == "mine\n"
    assert run("ns", "--namespace", "mine", ENVCTL_NAMESPACE="theirs").out == "mine\n"
    assert run("ns", ENVCTL_NAMESPACE="theirs").out == "theirs\n"


@pytest.mark.parametrize("more", [(), ("-q",)], ids=["at once", "parsed"])
def test_the_short_way_to_a_namespace_hears_what_the_long_one_hears(run: Run, more: tuple[str, ...]) -> None:
    assert run("ns", *more, ENVCTL_NAMESPACE="theirs").out == "theirs\n"
    assert run("ns", *more, BRANCH_NAME="mine", ENVCTL_NAMESPACE="").out == "mine\n"
    assert run("ns", *more, cwd=Path("/"), ENVCTL_PROJECT="/nowhere").code == 2
    assert run("ns", *more, ENVCTL_ENGINE="dokcer").code == 2
    assert run("ns", *more, cwd=Path("/")).code == 2


def test_a_project_elsewhere_is_worked_on_from_anywhere(run: Run, tmp_path: Path) -> None:
    assert run("ns", "--project", str(tmp_path / "a b"), "--namespace", "x", cwd=tmp_path).out == "x\n"


def test_config_shows_values_as_the_file_would_say_them(run: Run, tmp_path: Path) -> None:
    text = """
        project = "shop"
        [services.postgres]
        migrate = ["make db", { run = "make seed", cwd = "seed" }]
        [test.suites.unit]
        services = []
    """
    (tmp_path / "envctl.toml").write_text(text)
    said = run("config", cwd=tmp_path, ENVCTL_TEST_KEEP_FAILED="1", ENVCTL_TEST_STRCIT="1")
    rows = dict(line.split(maxsplit=1) for line in said.out.splitlines() if " " in line)
    values = {key: " ".join(row.split()[:-1]) for key, row in rows.items()}
    assert values["services.postgres.migrate"] == '[{ run = "make db" }, { run = "make seed", cwd = "seed" }]'
    assert (values["test.suites.unit.services"], values["test.keep_failed"]) == ("[]", "true")
    assert values["idle"] == '"10m"'
    assert said.err.splitlines()[1:] == ["warning: ENVCTL_TEST_STRCIT sets nothing: did you mean 'ENVCTL_TEST_STRICT'?"]


def test_init_says_what_it_wrote_and_why(run: Run, tmp_path: Path) -> None:
    place = tmp_path / "new"
    (place / "sql").mkdir(parents=True)
    (place / "sql" / "1.sql").write_text("SELECT 1;")
    said = run("init", cwd=place)
    assert said.out == f"wrote {place / 'envctl.toml'}; next: envctl dev up, or envctl test\n"
    assert 'sql = ["sql/*.sql"]: SQL files' in said.err


def test_init_where_nothing_is_says_what_to_do_before_anything_can_be_up(run: Run, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    wrote, seen, then = run("init", cwd=tmp_path / "new").out.splitlines()
    assert wrote == f"wrote {tmp_path / 'new' / 'envctl.toml'}"
    assert seen == "no sign of PostgreSQL, S3 or Redis was seen"
    assert then == "next: take the # off the services it needs, then envctl dev up"


def test_a_folder_that_is_not_there_is_wrong_usage(run: Run) -> None:
    said = run("ns", "--project", "/nowhere")
    assert (said.code, said.out) == (2, "")
    assert "no such folder: /nowhere" in said.err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("nss",), "nss"),
        (("ns", "--jason"), "--jason"),
        (("env", "--format", "xml"), "xml"),
        (("--wait", "-1", "ns"), "--wait"),
        (("ns", "--engine", "dokcer"), "dokcer"),
        (("dev", "reset"), "--yes"),
    ],
)
def test_wrong_usage_is_exit_2_and_one_document_under_json(run: Run, words: tuple[str, ...], expected: str) -> None:
    said = run(*words)
    assert (said.code, said.out) == (2, "")
    assert "error: " in said.err
    assert expected in said.err
    document = json.loads(run(*words, "--json").out)
    assert (document["status"], document["exit_code"]) == ("error", 2)
    assert expected in document["errors"][0]["message"] + document["errors"][0]["hint"]


@pytest.mark.parametrize("words", [("ns",), ("config",), ("env",), ("dev", "status"), ("test",), ("run", "--", "true")])
def test_a_state_folder_that_others_may_write_to_is_refused_at_once(
    run: Run, tmp_path: Path, words: tuple[str, ...]
) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state").chmod(0o777)
    said = run(*words)
    assert (said.code, said.out) == (1, "")
    assert f"error: the state folder is not private: {tmp_path / 'state'}" in said.err
    assert f"hint: chmod 700 {tmp_path / 'state'}, or set ENVCTL_STATE_DIR" in said.err
    assert not list((tmp_path / "state").iterdir())
    (tmp_path / "state").chmod(0o755)
    assert run("ns").code == 0


def test_what_is_not_up_is_exit_4_and_says_how_to_get_it(run: Run) -> None:
    said = run("env")
    assert said.code == 4
    assert "envctl dev up" in said.err


def test_no_command_shows_the_help(run: Run) -> None:
    said = run()
    assert "Usage: envctl" in said.out + said.err


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (("help",), ("--help",)),
        (("help", "test"), ("test", "--help")),
        (("help", "dev"), ("dev", "--help")),
        (("help", "dev", "up"), ("dev", "up", "--help")),
        (("dev", "help"), ("dev", "--help")),
        (("dev", "help", "up"), ("dev", "up", "--help")),
    ],
)
def test_help_is_the_flag_s_other_spelling(run: Run, words: tuple[str, ...], meant: tuple[str, ...]) -> None:
    said = run(*words)
    assert said == run(*meant)
    assert said.code == 0
    assert "Usage: envctl" in said.out


def test_help_on_what_is_no_command_says_so(run: Run) -> None:
    said = run("help", "tset")
    assert (said.code, said.out) == (2, "")
    assert "'tset'. Did you mean 'test'?" in said.err


def test_completion_knows_the_commands(run: Run) -> None:
    said = run(_ENVCTL_COMPLETE="complete_bash", COMP_WORDS="envctl dev st", COMP_CWORD="2")
    assert said.out.split() == ["status"]
