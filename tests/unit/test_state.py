from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from alarmed import within

from envctl import state
from envctl.errors import EnvctlError, UsageError


def test_what_was_written_is_read_and_nobody_else_may(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.json"
    state.write(path, {"password": "x"})
    assert state.read(path) == {"version": 1, "password": "x"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in path.parent.iterdir()] == ["b.json"]


def test_a_file_that_is_not_there_is_none(tmp_path: Path) -> None:
    assert state.read(tmp_path / "none.json") is None


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("", "state_broken"),
        ('{"version": 1, "a', "state_broken"),
        ("[" * 100_000, "state_broken"),
        ("[]", "state_version"),
        ('{"version": 2}', "state_version"),
    ],
)
def test_a_truncated_or_newer_file_is_an_error_that_names_it(tmp_path: Path, content: str, code: str) -> None:
    path = tmp_path / "servers.json"
    path.write_text(content)
    with pytest.raises(EnvctlError) as caught:
        state.read(path)
    assert caught.value.code == code
    assert str(path) in caught.value.message
    assert caught.value.hint
    assert path.read_text() == content


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, lambda path: path.symlink_to(path)])
def test_what_is_no_file_is_refused_and_never_waited_for(tmp_path: Path, make: Callable[[Path], None]) -> None:
    path = tmp_path / "restored.json"
    make(path)
    with within(5), pytest.raises(EnvctlError) as caught:
        state.read(path)
    assert caught.value.code == "state_broken"
    assert str(path) in caught.value.message


def test_a_folder_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EnvctlError) as caught:
        state.write(tmp_path / "file" / "servers.json", {})
    assert caught.value.code == "state_unwritable"
    assert "ENVCTL_STATE_DIR" in caught.value.hint


def test_a_folder_that_others_may_write_to_is_refused(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(EnvctlError, match="not private") as caught:
        state.write(tmp_path / "open" / "a.json", {})
    assert "chmod 700" in caught.value.hint


def test_so_is_all_that_is_below_a_state_folder_that_others_may_write_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENVCTL_STATE_DIR", str(tmp_path / "open"))
    state.folder(tmp_path / "open" / "projects")
    (tmp_path / "open").chmod(0o770)
    with pytest.raises(EnvctlError, match=f"not private: {tmp_path / 'open'}$"):
        state.folder(tmp_path / "open" / "projects" / "shop")
    assert not list((tmp_path / "open" / "projects").iterdir())


# writers that were killed


def test_what_a_killed_writer_left_goes_with_the_next_write_and_a_living_writers_file_stays(tmp_path: Path) -> None:
    (tmp_path / ".a.json.77.0000dead").write_text("half")
    (tmp_path / ".b.json.77.0000dead").write_text("another's")
    with state.fresh(tmp_path / "a.json") as (file, name):
        file.write("mine")
        file.flush()
        state.write(tmp_path / "a.json", {"by": "another"})
        assert sorted(one.name for one in tmp_path.iterdir()) == sorted([name.name, ".b.json.77.0000dead", "a.json"])
        name.replace(tmp_path / "a.json")
    assert (tmp_path / "a.json").read_text() == "mine"


def test_what_other_programs_put_beside_a_file_stays(tmp_path: Path) -> None:
    names = ("swp", "bak", "77.dead", "77.0000dead.swp", "x.0000dead", ".0000dead", "77.0000DEAD", "0000dead")
    theirs = [tmp_path / f".a.json.{name}" for name in names]
    for one in theirs:
        one.write_text("kept")
    state.write(tmp_path / "a.json", {})
    assert sorted(tmp_path.iterdir()) == sorted([*theirs, tmp_path / "a.json"])


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        state.write(tmp_path / "a.json", {"no": object()})
    assert not list(tmp_path.iterdir())


def test_writers_at_once_never_lose_their_files_to_each_other(tmp_path: Path) -> None:
    imports = "import sys, pathlib; from envctl import state"
    script = f"{imports}\nfor n in range(200): state.write(pathlib.Path(sys.argv[1]), {{'n': n}})"
    argv = [sys.executable, "-c", script, str(tmp_path / "a.json")]
    writers = [subprocess.Popen(argv) for _ in range(4)]
    assert [one.wait() for one in writers] == [0] * 4
    assert [one.name for one in tmp_path.iterdir()] == ["a.json"]
    assert state.read(tmp_path / "a.json") == {"version": 1, "n": 199}


@pytest.mark.parametrize(
    ("chosen", "said"), [("state", "is no absolute path"), ("file", "is no absolute path"), ("{}/file", "is no folder")]
)
def test_a_state_folder_that_can_be_none_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chosen: str, said: str
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("ENVCTL_STATE_DIR", chosen.format(tmp_path))
    with pytest.raises(UsageError, match=said):
        state.refuse_unfit()
