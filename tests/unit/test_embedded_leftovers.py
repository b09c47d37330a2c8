"""Data folders of local servers: all are found, and only what nobody can need goes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from envctl import engines, locks, state
from envctl.engines.embedded import daemon, folders, leftovers
from envctl.errors import EnvctlError
from envctl.model import Command, Resource
from envctl.unprivileged import Way

ENGINE = engines.get("embedded")


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands for /dev/shm, with room."""
    memory = tmp_path / "shm"
    memory.mkdir(mode=0o1777)
    monkeypatch.setattr(folders, "MEMORY", memory)
    monkeypatch.setattr(folders, "ROOM", 0)
    return memory


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, memory: Path) -> Path:
    """The state folder of a project."""
    monkeypatch.setenv("ENVCTL_STATE_DIR", str(tmp_path / "state"))
    return state.folder(tmp_path / "state" / "projects" / "shop")


def durable(project: Path) -> Path:
    return filled(folders.data(state.folder(project / "dev-embedded"), "valkey-9", Way(), durable=True))


def throw_away(project: Path, name: str = "test-embedded") -> Path:
    return filled(folders.data(state.folder(project / name), "valkey-9", Way(), durable=False))


def filled(data: Path) -> Path:
    data.mkdir()
    (data / "dump").write_bytes(b"x" * 100_000)
    return data


def found() -> dict[str, Resource]:
    return {one.name: one for one in ENGINE.leftovers("shop")}


def states() -> dict[str, str]:
    return {name: one.owner.notes["state"] if one.owner else "" for name, one in found().items()}


def discard(path: Path) -> None:
    ENGINE.discard(found()[str(path)])


def lose(home: Path) -> None:
    state.remove(home, last="lock")


def test_all_data_are_found_with_their_bytes_and_their_set(project: Path) -> None:
    kept, scratch = durable(project), throw_away(project).parent
    alone = throw_away(project, "run-shop_test_a-embedded").parent
    state.folder(project.parent / "shop_two" / "dev-embedded" / "data" / "postgres-18")
    there = found()
    assert set(there) == {str(kept), str(scratch), str(alone)}
    assert states() == dict.fromkeys(there, "stopped")
    assert {one.owner.environment for one in there.values() if one.owner} == {"dev", "test"}
    assert all((one.bytes or 0) >= 100_000 for one in there.values())
    assert all(one.owner and Path(one.owner.notes["home"]).is_dir() for one in there.values())
    assert all(one.bytes is None for one in ENGINE.leftovers("shop", sizes=False))


def test_what_is_stopped_goes_and_twice_is_once(project: Path) -> None:
    kept, scratch = durable(project), throw_away(project).parent
    seen = found()
    for path in (kept, scratch):
        for _ in range(2):
            ENGINE.discard(seen[str(path)])
        assert not path.exists()
    assert found() == {}


def test_data_of_a_server_that_runs_stay(project: Path) -> None:
    kept = durable(project)
    server = daemon.at(project / "dev-embedded", "redis")
    descriptor = daemon.claim(server)
    daemon.start(server, Command(("sleep", "600")), descriptor)
    locks.free(descriptor)
    assert states() == {str(kept): "running"}
    with pytest.raises(EnvctlError) as caught:
        discard(kept)
    assert caught.value.code == "in_use"
    daemon.stop(server, signal=9)
    discard(kept)
    assert not kept.exists()


def test_data_that_somebody_holds_or_starts_stay(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, home = durable(project), project / "dev-embedded"
    lease = locks.claim(home / "leases" / "mine")
    assert lease is not None
    with pytest.raises(EnvctlError, match="in use"):
        discard(kept)
    locks.free(lease)
    starting = locks.claim(home / "lock")
    assert starting is not None
    monkeypatch.setattr(leftovers, "WAIT", 0)
    with pytest.raises(EnvctlError, match="busy"):
        discard(kept)
    locks.free(starting)
    assert (kept / "dump").exists()


def test_throw_away_data_whose_state_folder_is_gone_are_found_and_go(project: Path) -> None:
    scratch = throw_away(project).parent
    lose(project / "test-embedded")
    assert states() == {str(scratch): "gone"}
    discard(scratch)
    assert not scratch.exists()


def test_a_server_that_lost_its_state_folder_keeps_its_data(project: Path) -> None:
    data = throw_away(project)
    lose(project / "test-embedded")
    with subprocess.Popen(["sleep", "600"], cwd=data) as process:
        assert states() == {str(data.parent): "running"}
        with pytest.raises(EnvctlError, match="in use"):
            discard(data.parent)
        process.kill()
    discard(data.parent)
    assert not data.exists()


def test_data_of_another_state_folder_are_nobodys_that_we_know(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = throw_away(project).parent
    known = found()[str(scratch)]
    monkeypatch.setenv("ENVCTL_STATE_DIR", str(tmp_path / "another"))
    assert found()[str(scratch)].owner is None
    for one in (known, found()[str(scratch)]):
        with pytest.raises(EnvctlError, match="left alone"):
            ENGINE.discard(one)
    assert scratch.exists()


def test_links_and_folders_without_a_mark_are_not_followed(project: Path, tmp_path: Path, memory: Path) -> None:
    precious = tmp_path / "precious"
    filled(precious)
    (project / "dev-embedded").symlink_to(tmp_path)
    (state.folder(project / "test-embedded" / "data") / "valkey-9").symlink_to(precious)
    mine = folders.memory()
    mine.mkdir(mode=0o700)
    (mine / "link").symlink_to(precious)
    (mine / "unmarked").mkdir(mode=0o700)
    lie = mine / "lie"
    lie.mkdir(mode=0o700)
    (lie / "home").write_text(str(project / ".." / "bank" / "test-embedded"))
    assert found() == {}
    with pytest.raises(EnvctlError, match="left alone"):
        ENGINE.discard(Resource("embedded", "data", str(precious), None))
    assert (precious / "dump").exists()


def test_a_removal_that_was_killed_is_finished_by_the_next(project: Path) -> None:
    kept = durable(project)
    kept.rename(kept.with_name(kept.name + leftovers.OLD))
    (half,) = found()
    assert half.endswith(leftovers.OLD)
    discard(Path(half))
    scratch = throw_away(project).parent
    for one in ("boot", "valkey-9/dump"):
        (scratch / one).unlink()
    lose(project / "test-embedded")
    assert states() == {str(scratch): "gone"}
    discard(scratch)
    assert found() == {}
