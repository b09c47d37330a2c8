"""Real processes book, wait, shrink and are killed: never more than there is, and nobody waits for ever."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import admitted
import pytest
from crew import until

from envctl import held, locks
from envctl.admission import _entry
from envctl.room import ADMIN, Booked

OWN = 2
Start = Callable[..., "Run"]


class Run:
    """A process that books."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def said(self) -> dict[str, Any]:
        """The next thing it says; waits for it."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "it ended without a word"
        found: dict[str, Any] = json.loads(line)
        return found

    def granted(self) -> int:
        """How many workers it got, when it got them."""
        while "granted" not in (found := self.said()):
            assert "error" not in found, found
        return int(found["granted"])

    def leave(self) -> None:
        """Let it end in good order."""
        self.process.communicate("\n", timeout=300)
        assert self.process.returncode == 0

    def kill(self) -> None:
        """SIGKILL, whatever it is doing."""
        self.process.kill()
        self.process.communicate(timeout=300)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ENVCTL_STATE_DIR", str(tmp_path))
    return tmp_path / "shop" / "test"


@pytest.fixture
def start(home: Path) -> Iterator[Start]:
    """Start a run; `room` is what all runs can have together."""
    runs: list[Run] = []

    def started(*, room: int = 42, workers: int = 8, connections: int = 5, **more: Any) -> Run:
        options = {"limit": room + ADMIN, "workers": workers, "connections": connections, "own": OWN, **more}
        argv = [sys.executable, admitted.__file__, str(home), f"run{len(runs)}", json.dumps(options)]
        pipe = subprocess.PIPE
        runs.append(Run(subprocess.Popen(argv, stdin=pipe, stdout=pipe, text=True)))
        return runs[-1]

    yield started
    for one in runs:
        one.kill()


def entries(home: Path) -> list[Booked]:
    return [_entry(path) for path in held.files(home / "bookings") if locks.held(path)]


def waiting(home: Path, runs: int) -> None:
    until(lambda: sum(one.turn > 0 for one in entries(home)) == runs)


def test_a_killed_run_gives_its_share_to_who_waits_at_once(home: Path, start: Start) -> None:
    first = start()
    assert first.granted() == 8
    second = start()
    assert second.said()["says"].endswith("one worker needs 7 connections, 0 of 46 are free")
    assert second.said()["says"] == "  `suite` of run0 in /w has booked 42"
    first.kill()
    assert second.granted() == 8


def test_those_who_wait_are_served_as_they_came_and_a_small_one_does_not_overtake(home: Path, start: Start) -> None:
    first = start(room=40, workers=6)
    assert first.granted() == 6  # 8 connections are left
    big = start(room=40, workers=2, connections=10)
    waiting(home, 1)
    small = [start(room=40, workers=1, connections=1)]
    waiting(home, 2)
    small.append(start(room=40, workers=1, connections=1))
    waiting(home, 3)
    assert sum(one.turn == 0 for one in entries(home)) == 1
    first.leave()
    assert [big.granted(), small[0].granted(), small[1].granted()] == [2, 1, 1]


def test_one_who_dies_while_he_waits_holds_up_nobody(home: Path, start: Start) -> None:
    first = start()
    assert first.granted() == 8
    second = start()
    waiting(home, 1)
    third = start()
    waiting(home, 2)
    second.kill()
    first.leave()
    assert third.granted() == 8
    assert [(one.run, one.turn) for one in entries(home)] == [("run2", 0)]


def test_who_gives_up_waiting_leaves_no_trace_and_says_why(home: Path, start: Start) -> None:
    first = start()
    assert first.granted() == 8
    second = start(wait=0.1)
    assert second.said() == {
        "error": "no_room",
        "cause": "one worker needs 7 connections, 0 of 46 are free\n`suite` of run0 in /w has booked 42",
    }
    second.leave()
    assert [one.run for one in entries(home)] == ["run0"]


def test_twenty_runs_at_once_never_book_more_than_there_is_and_all_get_their_turn(home: Path, start: Start) -> None:
    room, chance = 60, random.Random(7)
    runs = [
        start(room=room, workers=chance.randint(1, 8), connections=chance.randint(1, 9), rounds=5) for _ in range(20)
    ]
    while any(one.process.poll() is None for one in runs):
        with locks.locked(home / "bookings.lock", what="the bookings", wait=60, talk=print):
            assert sum(one.connections for one in entries(home)) <= room
    said = [[json.loads(line) for line in one.process.communicate()[0].splitlines()] for one in runs]
    assert [sum("granted" in one for one in each) for each in said] == [5] * 20
    assert any(one.get("reason") for each in said for one in each), "there was room for all of them"
    assert entries(home) == []


@pytest.mark.parametrize("seed", range(3))
def test_runs_that_are_killed_at_any_moment_never_leave_a_wrong_count(home: Path, start: Start, seed: int) -> None:
    room, chance = 60, random.Random(seed)
    doomed = [start(room=room, workers=4, rounds=1000) for _ in range(6)]
    for one in doomed:
        for _ in range(chance.randint(1, 12)):
            one.said()
        one.kill()
    assert entries(home) == []
    survivor = start(room=room, workers=8)
    assert survivor.granted() == 8
    assert [one.run for one in entries(home)] == ["run6"]
