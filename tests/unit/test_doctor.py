"""The doctor finds what is wrong, says what to do, and changes nothing."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from envctl import doctor, workspaces
from envctl.doctor import machine as machine_checks
from envctl.doctor.findings import Check, Finding, Patient
from envctl.model import Namespace

GOOD = """
project = "shop"
engine = "embedded"
[services.postgres]
migrate = "alembic upgrade head"
watch = ["migrations/**"]
[dev.processes.api]
command = "MODE=dev ./serve --port {port}"
"""


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "state"
    monkeypatch.setenv("ENVCTL_STATE_DIR", str(root))
    return root


@pytest.fixture
def checkout(tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small project in which all is well, in a git repository that no configuration outside of it reaches."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    root = tmp_path / "checkout"
    (root / "migrations").mkdir(parents=True)
    (root / "migrations" / "1.py").write_text("")
    program(root / ".venv" / "bin" / "alembic")
    program(root / "serve")
    (root / "envctl.toml").write_text(GOOD)
    subprocess.run(["git", "init", "--quiet", "--initial-branch=main", root], check=True)
    return root


def program(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)


def examine(directory: Path, *checks: Check, **environ: str) -> tuple[Finding, ...]:
    """All checks but the container engine's, which asks a daemon; its tests name it."""
    chosen = checks or tuple(one for one in doctor.CHECKS if one.__name__ != "containers_engine")
    ours = {name: value for name, value in os.environ.items() if not name.startswith("ENVCTL_REQUIRE_")}
    return doctor.examine(directory, {**ours, **environ}, checks=chosen, patience=30)


def of(check: str, findings: tuple[Finding, ...]) -> Finding:
    (found,) = [one for one in findings if one.check == check]
    return found


def named(name: str) -> Check:
    (found,) = [one for one in doctor.CHECKS if one.__name__ == name]
    return found


def test_good_project_is_found_good(checkout: Path) -> None:
    findings = [one for one in examine(checkout) if not one.check.startswith("server ")]
    machine = {"disk", "shared memory", "ports", "user"}  # of these we know only that they were looked at
    assert [one for one in findings if one.level != "ok" and one.check not in machine] == []
    assert {one.check for one in findings} >= {
        *{"system", "python", "user", "disk", "state folder", "ports", "git", "project", "namespace"},
        *{"postgres migrate", "process api", "leftovers"},
    }


def test_looking_changes_nothing(checkout: Path, state: Path, tmp_path: Path) -> None:
    def everything() -> list[tuple[Path, int]]:
        return sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*"))

    before = everything()
    examine(checkout)
    assert everything() == before
    assert not state.exists()


def test_findings_are_plain_data(checkout: Path) -> None:
    findings = [doctor.as_json(one) for one in examine(checkout)]
    assert json.loads(json.dumps(findings)) == findings
    assert all(set(one) == {"check", "level", "message", "remedy"} for one in findings)


def test_what_is_not_well_has_a_remedy_or_says_what_it_means(checkout: Path) -> None:
    (checkout / "envctl.toml").write_text(GOOD.replace("alembic", "no-such-program").replace("migrations/", "gone/"))
    for one in examine(checkout):
        assert one.level == "ok" or one.remedy or ":" in one.message, one


# The project


def test_folder_without_a_project_is_told_how_to_get_one(tmp_path: Path, state: Path) -> None:
    found = of("project", examine(tmp_path))
    assert (found.level, "envctl init" in found.remedy) == ("warning", True)


def test_broken_configuration_is_a_problem_with_its_line(checkout: Path) -> None:
    (checkout / "envctl.toml").write_text('project = "shop"\nengin = "auto"\n')
    found = of("project", examine(checkout))
    assert found.level == "problem"
    assert "envctl.toml" in found.message
    assert "engine" in found.message + found.remedy


@pytest.mark.parametrize(
    ("change", "check", "words"),
    [
        (('"alembic upgrade head"', '"no-such-program up"'), "postgres migrate", "no-such-program"),
        (('"alembic upgrade head"', '{ run = "true", cwd = "gone" }'), "postgres migrate", "gone"),
        (('"alembic upgrade head"', '{ sql = ["gone/*.sql"] }'), "postgres migrate", "gone/*.sql"),
        (("migrations/**", "gone/**"), "postgres watch", "gone/**"),
        (("./serve", "./gone"), "process api", "./gone"),
        (("./serve", "no-such-program"), "process api", "no-such-program"),
    ],
)
def test_what_the_project_names_and_is_not_there_is_named(
    change: tuple[str, str], check: str, words: str, checkout: Path
) -> None:
    assert change[0] in GOOD
    (checkout / "envctl.toml").write_text(GOOD.replace(*change))
    found = of(check, examine(checkout))
    assert found.level in ("warning", "problem")
    assert words in found.message
    assert found.remedy


@pytest.mark.parametrize("command", ["cd x && y", "exec gone", "$TOOL run", "A=1 B=2", "'unfinished"])
def test_commands_that_only_the_shell_understands_are_not_judged(command: str, checkout: Path) -> None:
    (checkout / "envctl.toml").write_text(GOOD.replace("MODE=dev ./serve --port {port}", command))
    assert of("process api", examine(checkout)).level == "ok"


def test_a_mistyped_variable_is_a_warning_with_what_was_meant(checkout: Path) -> None:
    heard = {
        "ENVCTL_TEST_STRICT": "1",
        "ENVCTL_REDIS_URL": "x",
        "ENVCTL_SANDBOX": "x",
        "ENVCTL_COMPOSE": "podman compose",
    }
    found = of("variables", examine(checkout, named("variables"), **heard, ENVCTL_TEST_STRCIT="1"))
    assert (found.level, found.message) == ("warning", "ENVCTL_TEST_STRCIT sets nothing")
    assert found.remedy == "did you mean 'ENVCTL_TEST_STRICT'?"
    assert not examine(checkout, named("variables"), **heard)


def test_unwatched_migrations_are_pointed_out(checkout: Path) -> None:
    (checkout / "envctl.toml").write_text(GOOD.replace('watch = ["migrations/**"]', ""))
    assert of("postgres watch", examine(checkout)).level == "warning"


def test_hooks_that_somebody_else_has_are_told(checkout: Path) -> None:
    subprocess.run(["git", "-C", checkout, "config", "core.hooksPath", ".husky/_"], check=True)
    found = of("git hooks", examine(checkout))
    assert "husky" in found.message
    assert ".git/config" in found.message


def test_namespace_of_another_checkout_is_a_problem(checkout: Path, tmp_path: Path, state: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    register(other, "feature_x")
    found = [one for one in examine(checkout, BRANCH_NAME="feature-x") if one.check == "namespace"]
    assert [one.level for one in found] == ["ok", "problem"]
    assert str(other) in found[1].message


def test_state_of_checkouts_that_are_gone_is_counted(checkout: Path, tmp_path: Path, state: Path) -> None:
    register(checkout, "here")
    register(tmp_path / "gone", "old")
    found = of("leftovers", examine(checkout))
    assert found.level == "warning"
    assert "shop/old" in found.message
    assert "shop/here" not in found.message
    assert "envctl clean" in found.remedy


def test_a_registration_that_nobody_can_read_is_told(checkout: Path, state: Path) -> None:
    register(checkout, "here")
    (state / "projects" / "shop" / "workspaces" / "other.json").write_text("{half")
    found = [one for one in examine(checkout) if one.check == "leftovers" and one.level == "problem"]
    assert ["other.json" in one.message for one in found] == [True]


def register(path: Path, name: str) -> None:
    namespace = Namespace(name=name, source="flag", branch=name, workspace=path)
    workspaces.register("shop", namespace, default_branch="main", wait=5, talk=lambda _: None)


# The machine


def test_state_folder_that_others_can_look_into_is_a_problem(tmp_path: Path, state: Path) -> None:
    state.mkdir()
    state.chmod(0o755)
    found = of("state folder", examine(tmp_path))
    assert (found.level, found.remedy) == ("problem", f"chmod 700 {state}")


def test_state_folder_of_somebody_else_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    strange = Path("/usr")
    if os.geteuid() == 0:
        strange = tmp_path / "strange"
        strange.mkdir(mode=0o700)
        os.chown(strange, 65534, 65534)
    monkeypatch.setenv("ENVCTL_STATE_DIR", str(strange))
    found = of("state folder", examine(tmp_path))
    assert found.level == "problem"
    assert "ENVCTL_STATE_DIR" in found.remedy


@pytest.mark.parametrize(
    ("needed", "wanted", "level"), [(0, 0, "ok"), (0, 1 << 60, "warning"), (1 << 60, 1 << 60, "problem")]
)
def test_room_on_the_disk_is_judged(
    needed: int, wanted: int, level: str, tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine_checks, "ROOM_NEEDED", needed)
    monkeypatch.setattr(machine_checks, "ROOM_WANTED", wanted)
    assert of("disk", examine(tmp_path)).level == level


def test_shared_memory_that_is_not_there_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr(machine_checks, "SHARED_MEMORY", tmp_path / "shm")
    assert of("shared memory", examine(tmp_path, named("shared_memory"))).level == "warning"


def test_outgoing_connections_on_our_ports_are_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "range").write_text("15000\t60999\n")
    monkeypatch.setattr(machine_checks, "OUTGOING", tmp_path / "range")
    found = examine(tmp_path, named("free_ports"))
    assert [one.level for one in found if "outgoing" in one.message] == ["warning"]


def test_windows_is_sent_to_wsl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "win32")
    (found,) = machine_checks.system(Patient(tmp_path, {}, None))
    assert (found.level, "WSL" in found.remedy) == ("problem", True)


@pytest.fixture
def bare_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with nothing on it."""
    (tmp_path / "nothing").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    return tmp_path / "nothing"


def test_machine_without_git_is_told_what_it_misses(checkout: Path, bare_path: Path) -> None:
    findings = examine(checkout)
    assert (of("git", findings).level, of("git", findings).remedy) == ("warning", "install git")
    assert of("namespace", findings).level == "ok"


def test_container_engine_is_only_missed_where_one_is_needed(checkout: Path, bare_path: Path) -> None:
    check = named("containers_engine")
    assert of("containers", examine(checkout, check)).level == "ok"
    (checkout / "compose.yaml").write_text("services: {}\n")
    (checkout / "envctl.toml").write_text(GOOD.replace('"embedded"', '"auto"'))
    assert of("containers", examine(checkout, check)).level == "warning"
    (checkout / "envctl.toml").write_text(GOOD.replace('"embedded"', '"compose"'))
    assert of("containers", examine(checkout, check)).level == "problem"


# The doctor itself


def test_check_that_fails_is_a_finding_and_the_others_go_on(tmp_path: Path, state: Path) -> None:
    def broken_check(patient: Patient) -> Iterator[Finding]:
        yield Finding("first", "ok", "seen")
        raise ZeroDivisionError("nothing to divide")

    findings = examine(tmp_path, broken_check, named("python"))
    assert [one.check for one in findings] == ["first", "broken check", "python"]
    assert "nothing to divide" in findings[1].message


def test_check_that_hangs_is_a_finding(tmp_path: Path, state: Path) -> None:
    release = threading.Event()

    def network_folder(patient: Patient) -> Iterator[Finding]:
        release.wait()
        yield Finding("late", "ok", "")

    try:
        findings = doctor.examine(tmp_path, {}, checks=(network_folder, named("python")), patience=0.3)
    finally:
        release.set()
    assert [(one.check, one.level) for one in findings] == [("network folder", "problem"), ("python", "ok")]
