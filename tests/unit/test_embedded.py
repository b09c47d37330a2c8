from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from envctl import engines, leases, locks, services, shell, state, unprivileged
from envctl.engines.embedded import daemon, folders, proof
from envctl.engines.embedded.daemon import Daemon
from envctl.errors import EnvctlError
from envctl.model import Command
from envctl.server_set import Need, Program, Running, ServerSet
from envctl.unprivileged import Way

ENGINE = engines.get("embedded")
SLEEP = Command(("sleep", "600"))
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="giving up root needs root")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ENVCTL_STATE_DIR", str(tmp_path))
    return state.folder(tmp_path / "shop" / "test-embedded")


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands for /dev/shm, with room."""
    memory = tmp_path / "shm"
    memory.mkdir(mode=0o1777)
    monkeypatch.setattr(folders, "MEMORY", memory)
    monkeypatch.setattr(folders, "ROOM", 0)
    return memory


@pytest.fixture
def public(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A machine without user namespaces, and where it keeps what `nobody` must reach."""
    base = Path(tempfile.mkdtemp(dir="/var/tmp"))
    base.chmod(0o711)
    monkeypatch.setattr(unprivileged, "PUBLIC", base / "envctl")
    monkeypatch.setattr(unprivileged, "namespaces", lambda: False)
    yield base / "envctl"
    shutil.rmtree(base)


@pytest.fixture
def running(home: Path) -> Iterator[Daemon]:
    """A daemon that sleeps."""
    found = daemon.at(home, "sleeper")
    launch(found, SLEEP)
    yield found
    daemon.stop(found, signal=9)


def launch(found: Daemon, command: Command) -> None:
    descriptor = daemon.claim(found)
    daemon.start(found, command, descriptor)
    locks.free(descriptor)


def test_a_daemon_is_known_by_its_lock_and_its_pid_is_proven(running: Daemon) -> None:
    assert daemon.runs(running)
    while not daemon.leads(running):
        assert daemon.runs(running)
    (process,) = proof.members(running)
    assert proof.pid(running) == process.pid != os.getpid()
    assert os.getsid(process.pid) == process.pid
    assert process.cwd() == str(Path.cwd()) or process.cwd() == "/"


def test_a_daemon_knows_nothing_of_the_shell_that_started_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", "my own")
    found = daemon.at(home, "printer")
    launch(found, replace(SLEEP, argv=("env",), env={"ASKED_FOR": "this"}))
    while daemon.runs(found):
        pass
    said = daemon.last_lines(found, 0) + found.log.read_text()
    assert "PGPASSWORD" not in said
    assert "ASKED_FOR=this" in said
    assert "PATH=" in said


def test_what_a_daemon_reads_is_in_no_file_that_has_a_name(home: Path) -> None:
    found = daemon.at(home, "reader")
    launch(found, Command(("sh", "-c", "cat; exec sleep 600"), stdin="a secret\n"))
    while "a secret" not in daemon.last_lines(found):
        assert daemon.runs(found)
    named = [path for path in found.alive.parent.rglob("*") if path.is_file()]
    assert {path.name for path in named} == {"reader.alive", "reader.pid"}
    assert all("secret" not in path.read_text() for path in named)
    daemon.stop(found, signal=15)
    assert found.log.stat().st_mode & 0o777 == 0o600


def test_stopping_what_is_gone_is_success(home: Path) -> None:
    daemon.stop(daemon.at(home, "never"), signal=15)


def test_a_daemon_that_will_not_end_is_killed(home: Path) -> None:
    found = daemon.at(home, "stubborn")
    launch(found, Command(("sh", "-c", "trap '' TERM; echo armed; while :; do sleep 600; done")))
    while "armed" not in daemon.last_lines(found):
        assert daemon.runs(found)
    daemon.stop(found, signal=15, patience=0.05)
    assert not daemon.runs(found)


def test_a_second_claim_names_who_is_in_the_way(running: Daemon) -> None:
    with pytest.raises(EnvctlError) as caught:
        daemon.claim(running)
    assert caught.value.code == "server_stuck"
    assert str(proof.pid(running)) in caught.value.cause


def test_a_long_log_is_set_aside(home: Path) -> None:
    found = daemon.at(home, "writer")
    state.folder(found.log.parent)
    with found.log.open("wb") as log:
        log.truncate(daemon.LOG_LIMIT + 1)
    daemon.rotate(found)
    assert daemon.size(found) == 0
    assert found.log.with_suffix(".log.1").stat().st_size == daemon.LOG_LIMIT + 1


def test_throw_away_data_are_in_memory_where_there_is_room(home: Path, memory: Path, monkeypatch: Any) -> None:
    assert folders.data(home, "toy-1", Way(), durable=False).is_relative_to(memory)
    assert folders.data(home, "toy-1", Way(), durable=True) == home / "data" / "toy-1"
    folders.forget_scratch(home)
    assert list(memory.iterdir()) == []
    monkeypatch.setattr(folders, "ROOM", 1 << 62)
    assert folders.data(home, "toy-1", Way(), durable=False) == home / "scratch" / "toy-1"


def test_a_folder_in_memory_that_somebody_prepared_is_not_used(home: Path, memory: Path, tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    trap.mkdir(mode=0o700)
    link = memory / f"envctl-{os.geteuid()}"
    link.symlink_to(trap)
    assert folders.data(home, "toy-1", Way(), durable=False) == home / "scratch" / "toy-1"
    link.unlink()
    link.mkdir()
    link.chmod(0o777)
    assert folders.data(home, "toy-1", Way(), durable=False) == home / "scratch" / "toy-1"
    assert list(trap.iterdir()) == list(link.iterdir()) == []


def test_throw_away_data_are_deleted_only_where_they_are_marked_as_this_sets(home: Path, memory: Path) -> None:
    mine = folders.data(home, "toy-1", Way(), durable=False)
    mine.mkdir()
    (mine.parent / "home").write_text("/somebody/else")
    folders.forget_scratch(home)
    assert mine.is_dir()
    (mine.parent / "home").write_text(str(home))
    real = mine.parent.rename(memory / "moved")
    mine.parent.symlink_to(real)
    folders.forget_scratch(home)
    assert real.is_dir()


def test_throw_away_data_from_before_the_last_boot_are_not_used_again(home: Path, memory: Path) -> None:
    old = folders.data(home, "toy-1", Way(), durable=False)
    old.mkdir()
    folders.forget_old_scratch(home)
    assert old.is_dir()
    (old.parent / "boot").write_text("another")
    folders.forget_old_scratch(home)
    assert not old.exists()


def test_only_a_server_that_refuses_root_is_run_in_another_way() -> None:
    assert unprivileged.way(Program("redis")) == Way()
    if os.geteuid() != 0:
        assert unprivileged.way(Program("postgres", unprivileged=True)) == Way()


@root_only
def test_root_seems_somebody_else_to_a_server_that_refuses_it() -> None:
    if not unprivileged.namespaces():
        pytest.skip("this kernel or container allows no user namespaces")
    way = unprivileged.way(Program("postgres", unprivileged=True))
    assert shell.run(unprivileged.wrap(way, Command(("id", "-u")))).out.strip() == "65534"


@root_only
def test_without_user_namespaces_a_program_is_copied_to_where_nobody_can_run_it(tmp_path: Path, public: Path) -> None:
    closed = tmp_path / "closed"
    (closed / "bin").mkdir(parents=True)
    (closed / "lib").mkdir()
    (closed / "lib" / "word").write_text("found its neighbour")
    script = closed / "bin" / "who"
    script.write_text('#!/bin/sh\nid -u\ncat "${0%/*}/../lib/word"\n')
    script.chmod(0o755)
    program = Program("who", unprivileged=True, files=(closed / "bin", closed / "lib"))
    for _ in range(2):
        way = unprivileged.way(program)
        assert shell.run(unprivileged.wrap(way, Command((str(script),)))).out == "65534\nfound its neighbour"
    assert len(list((public / "programs").iterdir())) == 1


@root_only
def test_without_user_namespaces_data_are_nobodys_and_outside_of_roots_home(home: Path, public: Path) -> None:
    way = unprivileged.way(Program("who", unprivileged=True))
    data = folders.data(home, "who-1", way, durable=True)
    new = folders.fresh(data, way)
    shell.run(unprivileged.wrap(way, Command(("touch", str(new / "mine")))))
    folders.publish(new, data)
    assert (data / "mine").stat().st_uid == data.stat().st_uid == 65534
    assert data.stat().st_mode & 0o777 == 0o700
    assert data.is_relative_to(public)


@root_only
def test_a_server_that_gave_up_root_is_stopped_even_by_a_root_that_may_not_look_into_it(
    home: Path, public: Path
) -> None:
    if shell.which("setpriv") is None:
        pytest.skip("setpriv takes the capability away, and is not here")
    found = daemon.at(home, "sleeper")
    launch(found, unprivileged.wrap(unprivileged.way(Program("who", unprivileged=True)), SLEEP))
    script = (
        "import sys; from pathlib import Path; from envctl.engines.embedded import daemon, proof;"
        "d = daemon.at(Path(sys.argv[1]), 'sleeper');"
        "print(proof.pid(d)); daemon.stop(d, signal=15)"
    )
    while [one.name() for one in proof.members(found)] != ["sleep"]:
        assert daemon.runs(found)
    argv = ("setpriv", "--bounding-set", "-sys_ptrace", sys.executable, "-c", script, str(home))
    said = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    assert int(said) > 0
    assert not daemon.runs(found)


def real(home: Path, name: Any = "test") -> ServerSet:
    needs = {one: Need(services.get(one), services.get(one).settings()) for one in services.REGISTRY}
    return ServerSet("shop", name, "embedded", home, needs, home, 0)


def hold(servers: ServerSet) -> Any:
    return leases.hold(servers, ENGINE, namespace="n", workspace="/w", command="t", wait=30, talk=lambda _: None)


def versions(servers: ServerSet, running: Running) -> dict[str, str]:
    return {name: need.kind.check(running.servers[name].address) for name, need in servers.needs.items()}


@pytest.mark.embedded
def test_the_real_servers_start_answer_and_end_without_a_trace(home: Path) -> None:
    servers = real(home)
    with hold(servers) as running:
        assert set(versions(servers, running)) == set(servers.needs)
        assert {one.state for one in ENGINE.look(running)} == {"running"}
        assert list(ENGINE.logs(running, "postgres", follow=False))
        passwords = {one.address.password for one in running.servers.values()}
        lines = " ".join(" ".join(psutil.Process(one.pid).cmdline()) for one in ENGINE.look(running))
        assert not any(word in lines for word in passwords)
    assert {one.state for one in ENGINE.look(running)} == {"stopped"}
    assert not Path(running.servers["postgres"].detail["data"]).parent.exists()


@pytest.mark.embedded
@pytest.mark.parametrize("victim", ["postgres", "s3", "redis"])
def test_a_real_server_that_was_killed_is_back_for_the_next_caller(home: Path, victim: str) -> None:
    servers = real(home, "dev")
    with hold(servers) as before:
        found = daemon.at(home, victim)
        psutil.Process(proof.pid(found)).kill()
        while daemon.leads(found):
            pass
        with hold(servers) as running:
            assert versions(servers, running)[victim]
            assert {name: one.address for name, one in running.servers.items()} == {
                name: one.address for name, one in before.servers.items()
            }


@pytest.mark.embedded
@root_only
def test_real_postgres_runs_under_root_without_user_namespaces(home: Path, public: Path) -> None:
    servers = real(home, "dev")
    servers = replace(servers, needs={"postgres": servers.needs["postgres"]})
    with hold(servers) as running:
        assert versions(servers, running)["postgres"]
        assert psutil.Process(proof.pid(daemon.at(home, "postgres"))).uids().real == 65534
