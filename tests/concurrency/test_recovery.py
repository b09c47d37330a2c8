"""Whoever starts servers may die on any line; the next caller goes on, and nothing foreign is ever touched."""

from __future__ import annotations

import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from crew import Crew, gone, until
from toy import Settings, ask, toy_set

from envctl import engines, leases, ports
from envctl.engines.embedded import daemon, launch, proof
from envctl.errors import EnvctlError, PortTakenError, UnavailableError
from envctl.server_set import ServerSet

ENGINE = engines.get("embedded")


def hold(servers: ServerSet, talk: Any = lambda _: None) -> Any:
    return leases.hold(servers, ENGINE, namespace="here", workspace="/w", command="t", wait=30, talk=talk)


def gate(tmp_path: Path, step: str) -> Path:
    shut = tmp_path / "gate" / step
    shut.parent.mkdir(exist_ok=True)
    shut.touch()
    return shut


def reached(shut: Path) -> bool:
    return shut.with_suffix(".reached").exists()


def data_files(home: Path) -> set[str]:
    return {path.name for path in (home / "data" / "toy-1").iterdir()}


@contextmanager
def stranger(answer: bytes = b"") -> Iterator[socket.socket]:
    """Somebody else's server, on any port."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        yield server
        server.close()


@pytest.mark.parametrize("step", ["recorded", "init", "published", "serve"])
def test_killed_at_any_step_of_a_start_is_made_good_by_the_next_caller(crew: Crew, tmp_path: Path, step: str) -> None:
    shut = gate(tmp_path, step)
    first = crew.start(toys={"toy": {"gate": str(shut.parent)}})
    until(lambda: reached(shut))
    first.kill()
    second = crew.start()
    if step == "serve":
        shut.unlink()  # A server that is on its way is adopted, so let it be.
    answer = second.said()
    assert answer["toy"].startswith("toy 1 ")
    assert data_files(crew.home()) == {"password"}
    assert not (crew.home() / "data" / "toy-1.new").exists()
    found = proof.members(daemon.at(crew.home(), "toy"))
    assert [f"toy 1 {one.pid}" for one in found] == [answer["toy"]]


@pytest.mark.parametrize("step", ["init", "serve"])
def test_what_a_killed_starter_left_goes_even_if_nobody_comes(crew: Crew, tmp_path: Path, step: str) -> None:
    shut = gate(tmp_path, step)
    first = crew.start(idle=0, toys={"toy": {"gate": str(shut.parent)}})
    until(lambda: reached(shut))
    assert not gone(crew.home())
    first.kill()
    until(lambda: gone(crew.home()))


@pytest.mark.parametrize("step", ["init", "serve"])
def test_ctrl_c_during_a_start_stops_what_it_started(crew: Crew, tmp_path: Path, step: str) -> None:
    shut = gate(tmp_path, step)
    first = crew.start(toys={"toy": {"gate": str(shut.parent)}})
    until(lambda: reached(shut))
    first.process.send_signal(signal.SIGINT)
    first.process.communicate(timeout=60)
    assert first.process.returncode == -signal.SIGINT
    assert gone(crew.home())
    assert leases.holders(crew.home()) == ()
    assert not any((crew.home() / "leases").iterdir())


def test_a_server_on_its_way_that_never_gets_there_is_replaced(
    crew: Crew, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shut = gate(tmp_path, "serve")
    first = crew.start(toys={"toy": {"gate": str(shut.parent)}})
    until(lambda: reached(shut))
    stuck = proof.pid(daemon.at(crew.home(), "toy"))
    first.kill()
    monkeypatch.setattr(launch, "ADOPT_WITHIN", 0.1)
    with hold(toy_set(crew.home())) as running:
        assert ask(running.servers["toy"].address) != f"toy 1 {stuck}"
    assert not psutil.pid_exists(stuck) or psutil.Process(stuck).status() == psutil.STATUS_ZOMBIE


def test_after_a_reboot_servers_start_again_and_a_reused_pid_is_left_alone(crew: Crew) -> None:
    with hold(toy_set(crew.home())) as running:
        before = ask(running.servers["toy"].address)
    found = daemon.at(crew.home(), "toy")
    daemon.stop(found, signal=9)
    with subprocess.Popen(["sleep", "600"]) as foreign:
        found.pid_file.write_text(f"{foreign.pid}\n{foreign.pid} (toy) S{' 0' * 40}\n")
        record = leases.record(crew.home())
        assert record is not None
        assert record.ready
        assert not ENGINE.alive(record)
        assert proof.pid(found) == 0
        assert not leases.stop_all(crew.home(), ENGINE)
        ENGINE.stop(record, print)
        with hold(toy_set(crew.home())) as running:
            assert ask(running.servers["toy"].address) != before
        assert foreign.poll() is None
        foreign.kill()


def test_a_living_server_with_a_strangers_pid_on_file_is_stopped_and_the_stranger_is_not(crew: Crew) -> None:
    with hold(toy_set(crew.home())):
        found = daemon.at(crew.home(), "toy")
        with subprocess.Popen(["sleep", "600"]) as foreign:
            found.pid_file.write_text(f"{foreign.pid}\n")
            assert leases.stop_all(crew.home(), ENGINE)
            assert gone(crew.home())
            assert foreign.poll() is None
            foreign.kill()


def test_a_server_that_was_killed_under_its_users_is_started_again_with_its_data(crew: Crew) -> None:
    with hold(toy_set(crew.home())) as running:
        first = running
        daemon.stop(daemon.at(crew.home(), "toy"), signal=9)
        assert not ENGINE.alive(running)
        (crew.home() / "data" / "toy-1" / "mine").touch()
        with hold(toy_set(crew.home())) as running:
            assert running.servers["toy"].address == first.servers["toy"].address
            assert data_files(crew.home()) == {"password", "mine"}


def test_children_that_do_not_end_are_killed_with_their_server(crew: Crew) -> None:
    with hold(toy_set(crew.home(), toys={"toy": Settings(child="child")})):
        found = daemon.at(crew.home(), "toy")
        assert len(proof.members(found)) == 2
        daemon.stop(found, signal=15, patience=0.1)
        assert proof.members(found) == []


def test_a_port_that_is_taken_between_look_and_bind_is_replaced(crew: Crew, tmp_path: Path) -> None:
    shut = gate(tmp_path, "serve")
    port = ports.take(f"{crew.home()}:toy:0")
    first = crew.start(toys={"toy": {"gate": str(shut.parent)}})
    until(lambda: reached(shut))
    with socket.create_server(("127.0.0.1", port)) as taken:
        threading.Thread(target=_turn_away, args=(taken,), daemon=True).start()
        shut.unlink()
        assert first.said()["toy"].startswith("toy 1 ")
        record = leases.record(crew.home())
        assert record is not None
        assert record.servers["toy"].address.port == ports.lookup(f"{crew.home()}:toy:0") != port
        assert f"toy: port {port} is taken" in (tmp_path / "talk.log").read_text()


def _turn_away(server: socket.socket) -> None:
    try:
        while True:
            server.accept()[0].close()
    except OSError:
        return


def test_a_server_that_never_gets_a_port_says_so(crew: Crew) -> None:
    broken = Settings(serve='raise SystemExit("bind: Address already in use")')
    with pytest.raises(PortTakenError) as caught, hold(toy_set(crew.home(), toys={"toy": broken})):
        pass
    assert "Address already in use" in caught.value.cause


def test_a_server_that_fails_shows_its_last_words_and_takes_the_others_of_this_start_with_it(crew: Crew) -> None:
    toys = {"good": Settings(version="good-1"), "bad": Settings(serve='raise SystemExit("no such locale")')}
    with pytest.raises(UnavailableError) as caught, hold(toy_set(crew.home(), toys=toys)):
        pass
    assert caught.value.message == "bad ended while it started"
    assert "no such locale" in caught.value.cause
    assert str(crew.home() / "logs" / "bad.log") in caught.value.hint
    assert gone(crew.home(), "good")
    assert leases.holders(crew.home()) == ()


def test_a_failed_start_leaves_those_that_ran_before_as_they_were(crew: Crew) -> None:
    with hold(toy_set(crew.home())) as running:
        toys = {"toy": Settings(), "bad": Settings(version="bad-1", init="raise SystemExit(3)")}
        with (
            pytest.raises(UnavailableError, match="bad could not make its data folder"),
            hold(toy_set(crew.home(), toys=toys)),
        ):
            pass
        assert leases.record(crew.home()) == running
        assert ask(running.servers["toy"].address)


def test_a_service_that_only_another_checkout_needs_is_added_beside_the_running_ones(crew: Crew) -> None:
    with hold(toy_set(crew.home())) as before:
        toys = {"more": Settings(version="more-1")}
        with hold(toy_set(crew.home(), toys=toys)) as running:
            assert running.servers["toy"] == before.servers["toy"]
            assert ENGINE.alive(running)
            assert set(running.servers) == {"toy", "more"}


def test_another_version_is_told_and_the_running_one_is_kept(crew: Crew) -> None:
    with hold(toy_set(crew.home())) as before:
        other = toy_set(crew.home(), toys={"toy": Settings(version="toy-2"), "more": Settings(version="more-1")})
        with hold(other) as running:
            assert running.servers["toy"] == before.servers["toy"]
            assert ENGINE.differences(other, running) == ("toy: toy-1 is running, this checkout asks for toy-2",)


def test_recreate_follows_this_checkout_but_not_under_a_running_user(crew: Crew) -> None:
    other = toy_set(crew.home(), toys={"toy": Settings(version="toy-2")})
    with hold(toy_set(crew.home())), pytest.raises(UnavailableError, match="in use"):
        leases.recreate(other, ENGINE)
    leases.recreate(other, ENGINE)
    with hold(other) as running:
        assert running.servers["toy"].detail["program"] == "toy-2"


def test_throw_away_data_are_gone_after_the_stop_and_durable_ones_stay(crew: Crew) -> None:
    kept, thrown = toy_set(crew.home("a"), idle=0), toy_set(crew.home("b"), idle=0, name="test")
    for servers in (kept, thrown):
        with hold(servers) as running:
            (Path(running.servers["toy"].detail["data"]) / "mine").touch()
        assert gone(servers.home)
    for servers, expected in ((kept, True), (thrown, False)):
        with hold(servers) as running:
            data = Path(running.servers["toy"].detail["data"])
            assert (data / "mine").exists() is expected
            assert data.stat().st_mode & 0o777 == 0o700
    assert not data.parent.exists()


def test_running_servers_are_found_again_when_the_record_was_lost(crew: Crew) -> None:
    with hold(toy_set(crew.home())) as before:
        (crew.home() / "servers.json").unlink()
        with hold(toy_set(crew.home())) as running:
            assert running == before
            assert ask(running.servers["toy"].address)
    assert daemon.at(crew.home(), "toy").log.read_text() == "toy listens\n"


def test_durable_data_still_open_when_the_record_was_lost(crew: Crew) -> None:
    with hold(toy_set(crew.home(), idle=0)):
        pass
    (crew.home() / "servers.json").unlink()
    with hold(toy_set(crew.home(), idle=0)) as running:
        assert ask(running.servers["toy"].address)


def test_a_wait_for_the_lock_that_is_too_long_names_who_has_it(crew: Crew, tmp_path: Path) -> None:
    shut = gate(tmp_path, "recorded")
    first = crew.start(toys={"toy": {"gate": str(shut.parent)}})
    until(lambda: reached(shut))
    said = crew.start(wait=0.5).said()
    assert said["error"] == "lock_timeout"
    assert f"`toy` of ns0 in /, process {first.process.pid}" in said["message"]
    shut.unlink()
    assert first.said()["toy"]


def test_a_full_disk_is_a_clear_error_and_leaves_no_half_record(crew: Crew) -> None:
    said = crew.start(limit="-f 0").said()
    assert said["error"] == "state_unwritable"
    assert gone(crew.home())
    assert leases.record(crew.home()) is None
    assert leases.holders(crew.home()) == ()
    assert crew.start().said()["toy"]


def test_a_state_folder_that_cannot_be_made_is_a_clear_error(crew: Crew, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    said = crew.start(home=tmp_path / "file" / "dev-embedded").said()
    assert said["error"] == "state_unwritable"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ('{"version": 1, "serv', "state_broken"),
        ('{"version": 1, "servers": {}}', "state_broken"),
        ('{"version": 99}', "state_version"),
    ],
)
def test_a_record_that_cannot_be_read_stops_nothing_and_says_so(crew: Crew, content: str, code: str) -> None:
    with hold(toy_set(crew.home())) as running:
        record = crew.home() / "servers.json"
        good = record.read_text()
        record.write_text(content)
        with pytest.raises(EnvctlError) as caught, hold(toy_set(crew.home())):
            pass
        assert caught.value.code == code
        assert str(record) in caught.value.message
        assert ask(running.servers["toy"].address)
        record.write_text(good)
