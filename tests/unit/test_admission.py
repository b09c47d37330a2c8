"""How much room there is, who gets it, and what is said to those who get less."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envctl import admission, held, room
from envctl.admission import Booking
from envctl.errors import UnavailableError
from envctl.model import Capacity, Talk
from envctl.room import Booked, Demand

SERVER = Capacity(connections=60, reserved=3, locks=6400)
DEMAND = Demand("run1", "auth", "/w/auth", "envctl test", workers=8, connections=5, own=2)


def silent(_: str) -> None: ...


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("ENVCTL_STATE_DIR", str(tmp_path))
    yield tmp_path / "shop" / "test"
    assert held.files(tmp_path / "shop" / "test" / "bookings") == []


def book(
    home: Path, demand: Demand, *, capacity: Capacity = SERVER, wait: float = 0, talk: Talk = silent
) -> AbstractContextManager[Booking]:
    return admission.book(home, demand, capacity=lambda: capacity, wait=wait, talk=talk)


def outcome(capacity: Capacity, demand: Demand = DEMAND, *booked: Booked) -> tuple[int, str]:
    found = room.of(capacity, booked, demand.run)
    return found.workers(demand), found.reason(demand)


# the arithmetic


def test_an_empty_server_takes_all_workers_and_there_is_nothing_to_say() -> None:
    assert outcome(SERVER) == (8, "")


def test_a_run_gets_as_many_workers_as_fit_and_is_told_why() -> None:
    busy = replace(SERVER, sessions={"": 34})
    assert outcome(busy) == (3, "8 workers need 42 connections, 19 of 60 are free: 3 workers")


def test_locks_are_booked_like_connections() -> None:
    many = replace(DEMAND, locks=3000)
    assert outcome(SERVER, many) == (2, "8 workers need 24000 locks, 6400 of 6400 are free: 2 workers")
    assert outcome(SERVER, many, room.booked(replace(many, run="run2"), 1))[0] == 1


def test_not_even_one_worker_fits_beside_a_full_run() -> None:
    other = replace(DEMAND, run="run2")
    assert outcome(replace(SERVER, connections=55), DEMAND, room.booked(other, 8)) == (
        0,
        "one worker needs 7 connections, 6 of 55 are free",
    )


def test_a_server_that_is_too_small_for_one_worker_is_had_alone() -> None:
    tiny = Capacity(connections=10, reserved=3, locks=100)
    assert outcome(tiny, replace(DEMAND, locks=500)) == (
        1,
        "8 workers need 42 connections, 3 of 10 are free: 1 worker",
    )
    assert outcome(tiny, DEMAND, room.booked(replace(DEMAND, run="run2"), 1))[0] == 0


def test_a_runs_sessions_are_in_its_booking_and_what_it_has_beyond_that_counts_too() -> None:
    other = room.booked(replace(DEMAND, run="run2"), 2)
    assert other.connections == 12
    free = [
        room.of(replace(SERVER, sessions=sessions), [other], "run1").free
        for sessions in ({}, {"run2": 12}, {"run2": 20}, {"run1": 9}, {"gone": 5}, {"": 5})
    ]
    assert free == [41, 41, 33, 41, 36, 36]


def test_sessions_of_no_run_are_never_taken_for_ones_own() -> None:
    assert room.of(replace(SERVER, sessions={"": 5}), [], "").free == 48


@given(
    limit=st.integers(8, 200),
    sessions=st.integers(0, 100),
    demands=st.lists(st.tuples(st.integers(0, 20), st.integers(0, 10), st.integers(0, 400)), max_size=12),
)
def test_bookings_never_come_to_more_than_there_is(
    limit: int, sessions: int, demands: list[tuple[int, int, int]]
) -> None:
    capacity = Capacity(limit, 3, limit * 64, {"": sessions})
    booked: list[Booked] = []
    for number, (workers, connections, locks) in enumerate(demands):
        demand = replace(DEMAND, run=str(number), workers=workers, connections=connections, locks=locks)
        free = room.of(capacity, booked, demand.run)
        granted = free.workers(demand)
        assert 0 <= granted <= max(1, workers)
        assert (not free.reason(demand)) == (granted == max(1, workers) and _fits(free, demand, granted))
        if granted:
            booked.append(room.booked(demand, granted))
    if len(booked) > 1:  # One that asks for more than there is in all is there alone.
        assert sum(one.connections for one in booked) <= max(1, limit - 3 - room.ADMIN) - sessions
        assert sum(one.locks for one in booked) <= capacity.locks


def _fits(free: room.Room, demand: Demand, workers: int) -> bool:
    return free.free >= demand.connections_for(workers) and free.free_locks >= demand.locks * workers


# the book


def test_a_booking_is_there_for_the_block_and_gone_after_it(home: Path) -> None:
    with book(home, DEMAND) as first:
        assert (first.granted, first.reason) == (8, "")
        with book(home, replace(DEMAND, run="run2")) as second:
            assert (second.granted, second.reason) == (
                1,
                "8 workers need 42 connections, 11 of 60 are free: 1 worker",
            )
    with book(home, DEMAND) as again:
        assert again.granted == 8


def test_what_is_given_back_is_there_for_the_next(home: Path) -> None:
    with book(home, DEMAND) as first:
        first.release()
        first.release()
        with book(home, replace(DEMAND, run="run2")) as second:
            assert second.granted == 8


def test_a_server_without_limits_grants_everything_and_keeps_no_book(home: Path) -> None:
    with admission.book(home, DEMAND, capacity=lambda: None, wait=0, talk=silent) as booking:
        assert (booking.granted, booking.reason) == (8, "")
        assert not (home / "bookings").exists()


def test_who_finds_no_room_in_time_is_told_who_has_it_and_what_helps(home: Path) -> None:
    small = replace(SERVER, connections=55, sessions={"": 3})
    with book(home, DEMAND, capacity=replace(small, sessions={})), pytest.raises(UnavailableError) as caught:
        book(home, replace(DEMAND, run="run2"), capacity=small).__enter__()
    error = caught.value
    assert error.message == "there was no room for this run on the servers of shop/test within 0 s"
    assert error.cause.splitlines() == [
        "one worker needs 7 connections, 3 of 55 are free",
        "`envctl test` of auth in /w/auth has booked 42",
        "3 are sessions of no run that booked them",
    ]
    assert "max_connections" in error.hint
    assert error.code == "no_room"


def test_who_waits_says_for_whom_and_goes_on_when_room_is_made(home: Path) -> None:
    small, said, told = replace(SERVER, connections=55), [], threading.Event()

    def talk(line: str) -> None:
        said.append(line)
        told.set()

    def second() -> None:
        with book(home, replace(DEMAND, run="run2"), capacity=small, wait=60, talk=talk) as booking:
            said.append(str(booking.granted))

    with ExitStack() as stack:
        first = stack.enter_context(book(home, DEMAND, capacity=small))
        waiting = threading.Thread(target=second)
        waiting.start()
        assert told.wait(60)
        first.release()
        waiting.join(60)
    assert said == [
        "waiting for room on the servers of shop/test: one worker needs 7 connections, 6 of 55 are free",
        "  `envctl test` of auth in /w/auth has booked 42",
        "8",
    ]


def test_a_booking_that_cannot_be_read_frees_nobody_and_stops_nobody(home: Path) -> None:
    with book(home, DEMAND) as first:
        [path] = held.files(home / "bookings")
        path.write_text("{")
        with book(home, replace(DEMAND, run="run2"), capacity=replace(SERVER, sessions={"run1": 42})) as second:
            assert second.granted == 1
        first.release()
