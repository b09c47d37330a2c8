"""A folder without git is named by its path: that is told once, and by the command that is asked for the name."""

from __future__ import annotations

from pathlib import Path

import pytest

from envctl import workspaces
from envctl.cli.edge import Edge, Globals
from envctl.output import Output
from envctl.project import Project


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENVCTL_STATE_DIR", str(tmp_path / "state"))
    for name in ("CI", "GITHUB_ACTIONS", "BRANCH_NAME", "ENVCTL_ENGINE"):
        monkeypatch.delenv(name, raising=False)


def folder(path: Path) -> Path:
    path.mkdir()
    (path / "envctl.toml").write_text('project = "shop"\n[services.redis]\n')
    return path


def opened(path: Path, command: str = "config", *, namespace: str = "", quiet: bool = False) -> Project:
    return Edge(command, Globals(project=path, namespace=namespace, quiet=quiet), Output(quiet=quiet)).project()


def test_it_is_told_once_for_each_folder_and_always_by_ns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def warned(path: Path, command: str = "config", *, quiet: bool = False) -> bool:
        opened(path, command, quiet=quiet)
        return "the namespace comes from the folder's path alone" in capsys.readouterr().err

    one, two = folder(tmp_path / "one"), folder(tmp_path / "two")
    assert not warned(one, quiet=True)
    assert warned(one), "what nobody heard was not told"
    assert not warned(one, "dev up")
    assert warned(one, "ns")
    assert warned(two)
    assert not warned(two)


def test_a_checkout_that_is_forgotten_is_warned_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = folder(tmp_path / "one")
    workspaces.forget("shop", opened(place).namespace.name)
    assert not list(tmp_path.glob("state/projects/shop/workspaces/*"))
    capsys.readouterr()
    opened(place)
    assert "warning:" in capsys.readouterr().err


def test_a_name_that_is_not_what_was_asked_for_is_told_each_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = folder(tmp_path / "one")
    for _ in range(2):
        opened(place, namespace="ž" * 50)
        assert "cannot be kept as it is" in capsys.readouterr().err


def test_a_state_folder_that_cannot_be_written_only_leaves_the_warning_where_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = folder(tmp_path / "one")
    (tmp_path / "state").mkdir(mode=0o700)
    (tmp_path / "state" / "projects").write_text("in the way")
    for _ in range(2):
        opened(place)
        assert "warning:" in capsys.readouterr().err
