"""What the audit says of the state folder itself."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest

from envctl import state
from envctl.leaks import local
from envctl.leaks.rows import Row
from envctl.project import Project, open_project


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("ENVCTL_STATE_DIR", str(tmp_path / "state"))
    (tmp_path / "envctl.toml").write_text('project = "shop"\n[services.redis]\n')
    return open_project(tmp_path, "dev", {"BRANCH_NAME": "main"})


def seen(project: Project, *, start: bool = False) -> dict[str, Row]:
    found, unseen = local.look(project, start=start, wait=10, talk=lambda line: None)
    assert unseen == ()
    return {row.name: row for row in found if row.place == "state"}


def test_nothing_was_ever_made_here(project: Project) -> None:
    assert [row.verdict for row in seen(project).values()] == ["live"]
    assert not (project.home / "dev-embedded").exists()


def test_servers_that_were_never_made_are_not_started_to_be_looked_into(project: Project) -> None:
    assert list(seen(project, start=True)) == [str(project.home)]


def test_what_a_dead_writer_left_is_an_orphan_and_what_a_live_one_has_is_not(project: Project) -> None:
    state.write(project.home / "record.json", {})
    dead, live = (project.home / f".record.json.{number}.0123abcd" for number in (1, 2))
    dead.write_text("half")
    with live.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        found = seen(project)
    assert found[str(dead)].verdict == "orphan"
    assert found[str(dead)].remedy == f"rm {dead}"
    assert str(live) not in found


def test_a_link_out_of_the_state_folder_is_not_followed(project: Project, tmp_path: Path) -> None:
    (tmp_path / "big").mkdir()
    (tmp_path / "big" / "file").write_bytes(b"x" * 5_000_000)
    state.folder(project.home)
    (project.home / "folder").symlink_to(tmp_path / "big")
    (project.home / "file").symlink_to(tmp_path / "big" / "file")
    assert (seen(project)[str(project.home)].bytes or 0) < 100_000


def test_the_folders_of_servers_are_findings_of_their_own(project: Project) -> None:
    for folder, marked in (("some/set", True), ("some/other", False)):
        state.folder(project.home / folder)
        (project.home / folder / "data").write_bytes(b"x" * 5_000_000)
        if marked:
            (project.home / folder / "servers.json").write_text("{}")
    assert 4_000_000 < (seen(project)[str(project.home)].bytes or 0) < 6_000_000
