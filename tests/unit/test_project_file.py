"""Where the file of a project is looked for."""

from __future__ import annotations

from pathlib import Path

import pytest
from config_files import SHORT, written

from envctl import project_file
from envctl.errors import ConfigError


def test_the_file_is_found_from_any_folder_below(tmp_path: Path) -> None:
    file = written(tmp_path, SHORT)
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert project_file.find(tmp_path / "a" / "b") == (tmp_path.resolve(), file.resolve())


def test_envctl_toml_goes_before_pyproject(tmp_path: Path) -> None:
    written(tmp_path, '[tool.envctl]\nproject = "other"', "pyproject.toml")
    file = written(tmp_path, SHORT)
    assert project_file.find(tmp_path)[1] == file.resolve()


def test_a_pyproject_without_our_table_is_passed_by(tmp_path: Path) -> None:
    file = written(tmp_path, '[tool.envctl]\nproject = "shop"', "pyproject.toml")
    (tmp_path / "a").mkdir()
    written(tmp_path / "a", '[project]\nname = "x"', "pyproject.toml")
    assert project_file.find(tmp_path / "a")[1] == file.resolve()


@pytest.mark.parametrize("marker", ["folder", "file"])
def test_the_search_stops_at_the_checkout(tmp_path: Path, marker: str) -> None:
    written(tmp_path, SHORT)
    checkout = tmp_path / "checkout"
    (checkout / "deep").mkdir(parents=True)
    git = checkout / ".git"
    git.mkdir() if marker == "folder" else git.write_text("gitdir: elsewhere")
    with pytest.raises(ConfigError, match=r"no envctl\.toml in .*deep or above it, up to .*checkout") as caught:
        project_file.find(checkout / "deep")
    assert "envctl init" in caught.value.hint
    assert caught.value.exit_code == 2


def test_no_file_says_how_to_get_one(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    with pytest.raises(ConfigError, match=r"no envctl\.toml in") as caught:
        project_file.find(tmp_path)
    assert caught.value.hint == "write one with `envctl init`"
