from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from alarmed import within

from envctl import locks, state
from envctl.errors import LockTimeoutError


def silent(_: str) -> None: ...


def test_a_file_is_held_until_the_last_copy_of_the_descriptor_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "alive"
    assert not locks.held(path)
    descriptor = locks.claim(path)
    assert descriptor is not None
    copy = os.dup(descriptor)
    locks.free(descriptor)
    assert locks.held(path)
    assert locks.claim(path) is None
    os.close(copy)
    assert not locks.held(path)


def test_asking_whether_a_file_is_held_never_makes_a_claim_fail(tmp_path: Path) -> None:
    path = tmp_path / "alive"
    path.touch()
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            locks.held(path)

    askers = [threading.Thread(target=ask) for _ in range(3)]
    for asker in askers:
        asker.start()
    try:
        for _ in range(300):
            descriptor = locks.claim(path)
            assert descriptor is not None
            locks.free(descriptor)
    finally:
        over.set()
        for asker in askers:
            asker.join()


def test_a_wait_says_for_whom_before_it_waits_and_gives_up_in_time(tmp_path: Path) -> None:
    said: list[str] = []
    with (
        locks.locked(tmp_path / "lock", what="the servers", wait=1, talk=silent, who="`dev up` of a"),
        pytest.raises(LockTimeoutError) as caught,
        locks.locked(tmp_path / "lock", what="the servers", wait=0.6, talk=said.append),
    ):
        pass
    holder = f"`dev up` of a, process {os.getpid()}"
    assert said == [f"waiting for the servers (held by {holder})"]
    assert holder in caught.value.message
    assert "--wait" in caught.value.hint


def test_a_lock_is_free_again_after_its_block_failed(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), locks.locked(tmp_path / "lock", what="x", wait=1, talk=silent):
        raise ZeroDivisionError
    with locks.locked(tmp_path / "lock", what="x", wait=0, talk=silent):
        pass


def test_folders_are_private_whatever_the_umask_is(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        made = state.folder(tmp_path / "state" / "projects" / "shop")
        state.write(made / "a.json", {})
        with locks.locked(made / "lock", what="it", wait=1, talk=print):
            pass
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o077 for path in (tmp_path / "state").rglob("*")} == {0}


def test_a_link_in_the_place_of_a_note_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "theirs").write_text("kept")
    (tmp_path / "lock.holder").symlink_to(tmp_path / "theirs")
    with locks.locked(tmp_path / "lock", what="it", wait=1, talk=print):
        pass
    assert (tmp_path / "theirs").read_text() == "kept"


def test_a_pipe_in_the_place_of_a_note_is_neither_read_nor_written(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "lock.holder")
    said: list[str] = []
    with (
        within(5),
        locks.locked(tmp_path / "lock", what="it", wait=1, talk=silent),
        pytest.raises(LockTimeoutError),
        locks.locked(tmp_path / "lock", what="it", wait=0.5, talk=said.append),
    ):
        pass
    assert said == ["waiting for it"]


def test_a_pipe_is_never_waited_for_to_see_whether_it_is_held(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "alive")
    with within(5):
        assert not locks.held(tmp_path / "alive")
