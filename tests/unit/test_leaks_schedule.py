"""The schedule: one line in a crontab whose other bytes stay as they are, or a timer that systemd understands."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envctl.errors import EnvctlError
from envctl.leaks import report, schedule
from envctl.leaks.rows import Audit, Row
from envctl.leaks.schedule import crontab, plan, timer
from envctl.leaks.schedule.plan import Plan
from envctl.project import Project, open_project

PLAN = Plan("shop", Path("/w/shop"), ("/bin/envctl", "leaks"), {"PATH": "/bin"}, Path("/s/log"), True, "shop-12345678")
OTHERS = b"MAILTO=me\n# gr\xfc\xdfe\r\n*/5 * * * * echo 100\\%\n\n17 6 * * * true # envctl leaks shop-00000000\n\n\n"
CRONTAB = """#!/bin/sh
# What every cron's crontab does, with one file instead of a spool; -l shows a carriage return as another letter.
set -eu
case "$1" in
    -l) [ -e "$TABLE" ] || { echo "no crontab for me" >&2; exit 1; }; tr '\\r' r <"$TABLE" ;;
    -e) cp "$TABLE" "$TABLE.edited"; sh -c "$VISUAL $TABLE.edited"; rm "$TABLE.edited" ;;
    -r) rm "$TABLE" ;;
    *) cp "$1" "$TABLE" ;;
esac
"""
Make = Callable[[], Project]


@given(st.binary().filter(lambda table: b"envctl leaks" not in table), st.booleans())
def test_whatever_a_crontab_holds_is_the_same_after_in_and_out(table: bytes, weekly: bool) -> None:
    ours = crontab.line(replace(PLAN, weekly=weekly))
    once = crontab.having(table, ours, PLAN.key)
    assert once.count(ours) == 1
    assert crontab.having(once, ours, PLAN.key) == once
    assert crontab.without(once, PLAN.key) == table


def test_the_line_of_another_project_stays() -> None:
    assert crontab.without(OTHERS, PLAN.key) == OTHERS
    assert crontab.without(crontab.having(OTHERS, crontab.line(PLAN), PLAN.key), PLAN.key) == OTHERS


def test_a_second_install_takes_the_place_of_the_first() -> None:
    daily, weekly = (crontab.line(replace(PLAN, weekly=weekly)) for weekly in (False, True))
    assert crontab.having(daily + OTHERS, weekly, PLAN.key) == weekly + OTHERS


@pytest.mark.parametrize("name", ["plain", "a b", "it's", "50%", "a;b", "$(x)", "ü"])
def test_a_shell_reads_the_line_as_it_was_meant(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    (program := folder / "envctl").write_text('#!/bin/sh\nprintf "%s\\n" "$PWD" "$GIVEN" "$@"\nexit 3\n')
    program.chmod(0o755)
    log = folder / "log"
    one = Plan(
        "shop", folder, (str(program), "leaks", name), {"GIVEN": name, "PATH": "/usr/bin:/bin"}, log, True, "k-1"
    )
    minute, hour, *rest, command = os.fsdecode(crontab.line(one)).split(" ", 5)
    assert (int(minute) in range(60), int(hour), rest) == (True, 6, ["*", "*", "1"])
    unescaped = command.replace(r"\%", "%")
    assert "%" not in command.replace(r"\%", "")
    assert subprocess.run(["sh", "-c", unescaped], cwd="/", check=False).returncode == 3
    assert log.read_text().splitlines() == [str(folder), name, "leaks", name]
    assert log.stat().st_mode & 0o077 == 0


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """A project, and on PATH a crontab with a file of this test's own for its spool."""
    monkeypatch.setenv("ENVCTL_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("TABLE", str(tmp_path / "table"))
    (tmp_path / "bin").mkdir()
    (program := tmp_path / "bin" / "crontab").write_text(CRONTAB)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "envctl.toml").write_text('project = "shop"\n[services.redis]\n')
    return lambda: open_project(tmp_path / "shop", "dev", {"BRANCH_NAME": "main"})


def install(project: Project, *, weekly: bool = False) -> str:
    return schedule.install(project, weekly=weekly, words=(), wait=10, talk=lambda line: None)[0]


def remove(project: Project) -> list[schedule.How]:
    return schedule.remove(project, wait=10, talk=lambda line: None)


def test_a_crontab_is_the_same_to_the_byte_after_install_and_remove(tmp_path: Path, make: Make) -> None:
    (tmp_path / "table").write_bytes(OTHERS)
    assert install(make(), weekly=True) == "crontab"
    assert install(make()) == "crontab"
    assert (tmp_path / "table").read_bytes().startswith(OTHERS)
    assert (tmp_path / "table").read_bytes().count(b"--scheduled") == 1
    assert remove(make()) == ["crontab"]
    assert (tmp_path / "table").read_bytes() == OTHERS
    assert remove(make()) == []


def test_a_user_without_a_crontab_has_none_afterwards(tmp_path: Path, make: Make) -> None:
    install(make())
    assert (tmp_path / "table").exists()
    assert remove(make()) == ["crontab"]
    assert not (tmp_path / "table").exists()


def test_no_secret_is_written_into_a_crontab(tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GITHUB_TOKEN", "REGISTRY_AUTH", "PGPASSWORD", "ENVCTL_POSTGRES_URL"):
        monkeypatch.setenv(name, "geheim")
    for host in ("tcp://u:geheim@h:2376", "tcp://geheim@h:2376", "ssh://me:geheim@h"):
        monkeypatch.setenv("DOCKER_HOST", host)
        install(make())
        assert b"geheim" not in (tmp_path / "table").read_bytes()
    monkeypatch.setenv("DOCKER_HOST", "ssh://me@h")
    install(make())
    assert b"DOCKER_HOST=ssh://me@h" in (tmp_path / "table").read_bytes()


def test_a_crontab_that_cannot_be_read_is_left_alone(tmp_path: Path, make: Make) -> None:
    (tmp_path / "bin" / "crontab").write_text("#!/bin/sh\necho you are not allowed >&2; exit 1\n")
    with pytest.raises(EnvctlError, match="could not be read"):
        install(make())


def test_a_path_with_a_line_break_cannot_be_scheduled(make: Make) -> None:
    with pytest.raises(EnvctlError, match="cannot stand in a schedule"):
        plan.of(make(), weekly=False, words=("--html", "/tmp/a\nb"))


def test_systemd_understands_the_timer(tmp_path: Path) -> None:
    verify = shutil.which("systemd-analyze")
    if verify is None:
        pytest.skip("no systemd-analyze here to read the units with")
    odd = tmp_path / 'a b$x%y"z'
    odd.mkdir()
    one = replace(PLAN, checkout=odd, command=("/bin/echo", 'a"b\\c$d%e'), variables={"PATH": 'a b%"'}, log=odd / "log")
    for name, text in timer.units(one).items():
        (tmp_path / name).write_text(text)
    files = sorted(str(tmp_path / name) for name in timer.units(one))
    done = subprocess.run([verify, "verify", "--man=no", *files], capture_output=True, text=True, check=False)
    assert (done.returncode, [line for line in done.stderr.splitlines() if "envctl-leaks" in line]) == (0, [])


def test_a_timer_that_cannot_be_started_leaves_no_units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    with pytest.raises(EnvctlError):
        timer.install(PLAN)
    assert list(timer.folder().iterdir()) == []
    assert not timer.remove(PLAN.key)


@pytest.mark.parametrize("program", ["false", "./loud", "./unfit", "nowhere"])
def test_of_a_notify_command_that_fails_the_program_alone_is_named(tmp_path: Path, make: Make, program: str) -> None:
    project = make()
    (loud := tmp_path / "shop" / "loud").write_text('#!/bin/sh\necho "$@" >&2; exit 7\n')
    loud.chmod(0o755)
    (tmp_path / "shop" / "unfit").write_text("")
    config = replace(project.config, leaks=replace(project.config.leaks, notify=f"{program} https://h/geheim"))
    told = list[str]()
    audit = Audit("shop", "2026-11-21T06:00:00+00:00", 1.0, (Row("", "p", "database", "x", "orphan", "r"),), ())
    assert not report.notify(replace(project, config=config), audit, told.append)
    assert len(told) == 1
    assert program in told[0]
    assert "geheim" not in told[0]
