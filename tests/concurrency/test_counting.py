"""Real processes come, go and are killed; the servers are there exactly as long as somebody uses them."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import psutil
import pytest
from crew import Crew, gone, until

from envctl import engines, leases, locks
from envctl.engines.embedded import daemon

ENGINE = engines.get("embedded")


def pids(home: Path) -> set[int]:
    return {one.pid for one in leases.holders(home) if one.kind == "held"}


def test_twenty_starters_get_one_server(crew: Crew) -> None:
    holders = [crew.start(idle=0) for _ in range(20)]
    answers = {one.said()["toy"] for one in holders}
    assert len(answers) == 1
    assert daemon.at(crew.home(), "toy").log.read_text() == "toy listens\n"
    assert pids(crew.home()) == {one.process.pid for one in holders}


def test_the_last_one_out_stops_the_servers_and_no_one_before_does(crew: Crew) -> None:
    first, second = crew.start(idle=0), crew.start(idle=0)
    assert first.said()["toy"] == second.said()["toy"]
    first.leave()
    assert not gone(crew.home())
    second.leave()
    assert gone(crew.home())


@pytest.mark.parametrize("seed", range(4))
def test_a_killed_holder_never_leaves_a_wrong_count(crew: Crew, seed: int) -> None:
    chance = random.Random(seed)
    everybody = [crew.start(idle=0) for _ in range(8)]
    for doomed in everybody[:5]:
        time.sleep(chance.random() / 20)
        doomed.kill()
    answers = {one.said()["toy"] for one in everybody[5:]}
    assert len(answers) == 1
    assert pids(crew.home()) == {one.process.pid for one in everybody[5:]}
    for one in everybody[5:]:
        assert not gone(crew.home())
        one.leave()
    assert gone(crew.home())


def test_servers_stop_after_their_only_user_was_killed(crew: Crew) -> None:
    holder = crew.start(idle=0.3)
    holder.said()
    holder.kill()
    until(lambda: gone(crew.home()))
    until(lambda: not locks.held(crew.home() / "idle.lock"))
    assert leases.holders(crew.home()) == ()


def test_somebody_who_comes_back_within_the_idle_time_finds_the_same_server(crew: Crew) -> None:
    first = crew.start(idle=60)
    before = first.said()
    first.leave()
    assert crew.start(idle=60).said() == before


def test_a_pin_keeps_the_servers_without_any_process_of_ours(crew: Crew) -> None:
    pinned = crew.start(action="pin", idle=0)
    pinned.said()
    pinned.leave()
    until(lambda: not locks.held(crew.home() / "idle.lock"))
    holder = crew.start(idle=0)
    holder.said()
    holder.leave()
    assert not gone(crew.home())
    assert [one.kind for one in leases.holders(crew.home())] == ["pinned"]
    assert not leases.stop_unused(crew.home(), ENGINE)


def test_the_last_unpin_lets_the_servers_go(crew: Crew) -> None:
    for pinned in [crew.start(action="pin", idle=0), crew.start(action="pin", idle=0)]:
        pinned.said()
        pinned.leave()
    assert leases.unpin(crew.home(), "ns0")
    assert not leases.stop_unused(crew.home(), ENGINE)
    assert leases.unpin(crew.home(), "ns1")
    assert not leases.unpin(crew.home(), "ns1")
    until(lambda: gone(crew.home()))


def test_a_forked_child_neither_keeps_nor_ends_its_parents_lease(crew: Crew) -> None:
    parent = crew.start(action="fork", idle=0)
    child = psutil.Process(int(parent.said()["child"]))
    assert pids(crew.home()) == {parent.process.pid}
    assert not gone(crew.home())
    os.kill(parent.process.pid, signal.SIGKILL)
    try:
        until(lambda: gone(crew.home()))
        assert child.is_running()
        assert leases.holders(crew.home()) == ()
    finally:
        child.kill()


def test_two_projects_never_touch_each_others_servers(crew: Crew) -> None:
    shop, bank = crew.start(home=crew.home("shop"), idle=0), crew.start(home=crew.home("bank"), idle=0)
    assert shop.said()["toy"] != bank.said()["toy"]
    assert leases.stop_all(crew.home("shop"), ENGINE)
    assert gone(crew.home("shop"))
    shop.leave()
    assert not gone(crew.home("bank"))
    bank.leave()
    assert gone(crew.home("bank"))


def test_the_watcher_keeps_neither_folder_nor_pipe_of_whoever_started_it(crew: Crew) -> None:
    holder = crew.start(idle=60)
    holder.said()
    watchers = [one for one in psutil.Process(holder.process.pid).children() if "envctl.idle" in one.cmdline()]
    holder.leave()  # Its output ends although servers and watcher live on.
    assert len(watchers) == 1
    until(lambda: watchers[0].cwd() == "/")
    assert watchers[0].terminal() is None


def test_a_killed_watcher_is_replaced_by_the_next_who_leaves(crew: Crew) -> None:
    holder = crew.start(idle=0.2)
    holder.said()
    for one in psutil.Process(holder.process.pid).children():
        if "envctl.idle" in one.cmdline():
            one.kill()
    until(lambda: not locks.held(crew.home() / "idle.lock"))
    holder.leave()
    until(lambda: gone(crew.home()))
