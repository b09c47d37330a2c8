"""Which servers tests get, and that nothing stays of those that were made for one run."""

from __future__ import annotations

import fcntl
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil
import pytest

from envctl import containers, engines, leases, ports, runtimes, servers, state, unprivileged
from envctl.containers import Stack
from envctl.engines.embedded import folders
from envctl.errors import ConfigError, EnvctlError, PortTakenError
from envctl.model import Address, Holder
from envctl.project import Project, open_project
from envctl.server_set import Running, Server
from envctl.servers import Servers

Make = Callable[..., Project]
HOLD = """
import os, sys
from pathlib import Path
from envctl import leases, servers
from envctl.project import open_project
project = open_project(Path(sys.argv[1]), "test", {"BRANCH_NAME": "main"})
own = servers.choose(project, "test", alone="shop_test_main")
common = {"namespace": "main", "workspace": "/w", "command": "test", "wait": 60, "talk": lambda line: None}
with leases.hold(own.set, own.engine, **common) as running:
    print(own.set.home, running.servers["redis"].address.port, flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    monkeypatch.setenv("ENVCTL_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.delenv("ENVCTL_COMPOSE", raising=False)
    root = tmp_path / "checkout"
    root.mkdir()

    def make(text: str = "", *, engine: str = "embedded") -> Project:
        (root / "envctl.toml").write_text(f'project = "shop"\n[services.redis]\n{text}')
        return open_project(root, "test", {"BRANCH_NAME": "main"}, engine=engine)

    yield make
    for home in (tmp_path / "state" / "projects" / "shop").glob("*-embedded"):
        leases.stop_all(home, engines.get("embedded"))
        folders.forget_scratch(home)


def hold(chosen: Servers) -> Any:
    return leases.hold(
        chosen.set, chosen.engine, namespace="n", workspace="/w", command="t", wait=60, talk=lambda line: None
    )


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.mark.parametrize(
    ("engine", "asked", "name"),
    [
        ("embedded", "auto", "test"),
        ("embedded", "own", "test"),
        ("embedded", "shared", "dev"),
        ("compose", "auto", "dev"),
        ("compose", "own", "test"),
        ("compose", "shared", "dev"),
        ("external", "auto", "dev"),
        ("external", "shared", "dev"),
    ],
)
def test_tests_use_their_own_servers_where_that_is_cheap_or_asked_for(
    make: Make, engine: str, asked: str, name: str
) -> None:
    project = make(f'[test]\nserver = "{asked}"\n', engine=engine)
    chosen = servers.choose(project, "test").set
    assert (chosen.name, chosen.engine) == (name, engine)
    assert chosen.home == project.home / f"{name}-{engine}"
    assert chosen.durable == (name == "dev")
    assert servers.choose(project).set.name == "dev"


@pytest.mark.parametrize("engine", ["embedded", "compose"])
def test_a_run_of_its_own_has_a_folder_of_its_own_and_ends_at_once(make: Make, engine: str) -> None:
    project = make(engine=engine)
    chosen = servers.choose(project, "test", alone="shop_test_main__s2").set
    assert (chosen.name, chosen.idle, chosen.durable) == ("run", 0, False)
    assert chosen.home == project.home / f"run-shop_test_main__s2-{engine}"


@pytest.mark.parametrize(("text", "alone"), [('[test]\nserver = "own"\n', ""), ("", "shop_test_main")])
def test_servers_of_somebody_else_are_not_made_anew(make: Make, text: str, alone: str) -> None:
    with pytest.raises(ConfigError) as caught:
        servers.choose(make(text, engine="external"), "test", alone=alone)
    assert caught.value.code == "no_own_server"
    assert "asks for it" in caught.value.cause


def test_tests_follow_the_engine_that_dev_runs_on_and_dev_never_theirs(make: Make) -> None:
    project = make(engine="auto")
    with socket.create_server(("127.0.0.1", 0)) as there:
        address = Address("127.0.0.1", there.getsockname()[1])
        record = Running("compose", {"redis": Server(address)}, ready=True)
        leases.write_record(project.home / "test-compose", record)
        assert servers.choose(project, "test").engine.name == "compose"
        assert servers.choose(project, "dev").engine.name == "embedded"
        (project.home / "test-compose" / "servers.json").rename(project.home / "test-compose" / "gone")
        leases.write_record(project.home / "dev-compose", record)
        assert {servers.choose(project, one).engine.name for one in ("dev", "test")} == {"compose"}


def test_servers_that_are_down_and_pinned_are_not_left_for_others(make: Make) -> None:
    """A container that died must not lead to an empty database, nor tests to another server."""
    project = make(engine="auto")
    with socket.create_server(("127.0.0.1", 0)) as there:
        answering = Server(Address("127.0.0.1", there.getsockname()[1]))
        leases.write_record(project.home / "test-compose", Running("compose", {"redis": answering}, ready=True))
        assert servers.choose(project, "test").engine.name == "compose"
        pinned = Holder("pinned", "main", str(project.root), "dev up", "")
        state.write(leases._pins(project.home / "dev-embedded") / "main", asdict(pinned))
        assert {servers.choose(project, one).engine.name for one in ("dev", "test")} == {"embedded"}
        assert "down" in servers.choose(project).reason


def test_what_a_shell_has_of_a_sandbox_makes_no_server(make: Make) -> None:
    text = '[variables]\nDB_PASSWORD = "{redis.password}"\nMODE = "test"\n'
    (make().root / "compose.yaml").write_text("services: {}\n")
    assert servers.choose(make(text, engine="compose")).set.exported == ("DB_PASSWORD",)
    stack = Stack(runtimes.named("docker compose"), "shop", (Path("compose.yaml"),), Path(), without=("DB_PASSWORD",))
    assert containers.up(stack, ["db"]).without == containers.config(stack).without == ("DB_PASSWORD",)


def test_a_fixed_port_is_devs_and_the_tests_own_server_has_another(make: Make) -> None:
    project = make("port = 5433\n[test.ports]\nredis = 5434\n")
    assert servers.choose(project).set.needs["redis"].port == 5433
    assert servers.choose(project, "test").set.needs["redis"].port == 5434
    assert servers.choose(make("port = 5433\n"), "test").set.needs["redis"].port == 0
    assert servers.choose(make('port = 5433\n[test]\nserver = "shared"\n'), "test").set.needs["redis"].port == 5433


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("port = 70000\n[test]\nserver = 'shared'\n", "70000"),
        ("port = 5433\n[test.ports]\nredis = 5433\n", "at once"),
        ("[test]\nserver = 'shared'\nports = { redis = 5433 }\n", "those of dev"),
        ("[test.ports]\npostgres = 5433\n", "postgres"),
    ],
)
def test_ports_that_cannot_be_are_refused(make: Make, text: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        servers.choose(make(text), "test")
    assert says in caught.value.message + caught.value.hint


@pytest.mark.embedded
def test_a_server_listens_on_its_fixed_port_or_says_that_it_is_taken(make: Make) -> None:
    port = free_port()
    chosen = servers.choose(make(f"[test.ports]\nredis = {port}\n"), "test")
    with socket.create_server(("127.0.0.1", port)), pytest.raises(PortTakenError) as caught, hold(chosen):
        pass
    assert str(port) in caught.value.message
    with hold(chosen) as running:
        address = running.servers["redis"].address
        assert address.port == port
        assert chosen.set.needs["redis"].kind.check(address)
        other = servers.choose(make(f"[test.ports]\nredis = {port + 1}\n"), "test")
        assert any(str(port + 1) in one for one in other.engine.differences(other.set, running))
        assert chosen.engine.differences(chosen.set, running) == ()


@pytest.mark.embedded
def test_two_runs_have_servers_of_their_own_at_the_same_time_and_leave_nothing(make: Make) -> None:
    project = make()
    one, two = (servers.choose(project, "test", alone=f"shop_test_main{slot}") for slot in ("", "__s2"))
    with hold(one) as first, hold(two) as second:
        assert first.servers["redis"].address.port != second.servers["redis"].address.port
        assert not servers.forget(one.set.home), "it is in use"
        assert first.servers["redis"].address.port in ports.listing().values()
    for chosen in (one, two):
        assert servers.forget(chosen.set.home)
        assert not chosen.set.home.exists()
        assert not servers.forget(chosen.set.home), "and once more is no error"
    assert not ports.listing()
    assert not list(folders.MEMORY.glob(f"envctl-*/{unprivileged.digest(one.set.home)}"))


@pytest.mark.embedded
@pytest.mark.parametrize("record", ["whole", "lost", "damaged"])
def test_a_killed_runs_servers_end_by_themselves_and_are_forgotten(make: Make, tmp_path: Path, record: str) -> None:
    project = make()
    argv = (sys.executable, "-c", HOLD, str(project.root))
    environment = {**os.environ, "ENVCTL_ENGINE": "embedded"}
    holder = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
    assert holder.stdout is not None
    home = Path(holder.stdout.readline().split()[0])
    if record == "lost":
        (home / "servers.json").unlink()
    if record == "damaged":
        (home / "servers.json").write_text("{")
    holder.kill()
    holder.communicate()
    if record == "whole":
        watched_to_the_end(home)
        psutil.wait_procs(processes_of(home), timeout=30)  # the watcher itself, which has nothing left to do
        assert not processes_of(home)
    assert servers.forget(home)
    assert not home.exists()
    psutil.wait_procs(processes_of(home), timeout=30)
    assert not processes_of(home)
    assert not list(folders.MEMORY.glob(f"envctl-*/{unprivileged.digest(home)}"))


def test_only_a_folder_of_one_runs_servers_is_ever_removed(make: Make, tmp_path: Path) -> None:
    project = make()
    others = ("dev-embedded", "test-embedded", "run-x-nothing", "claims", "runs")
    for home in (*(project.home / one for one in others), tmp_path / "run-x-embedded"):
        state.folder(home)
        with pytest.raises(EnvctlError) as caught:
            servers.forget(home)
        assert caught.value.code == "not_ours"
        assert home.is_dir()


def watched_to_the_end(home: Path) -> None:
    """Wait in the kernel until the set's watcher has done its work."""
    with (home / "idle.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)


def processes_of(home: Path) -> list[psutil.Process]:
    found = []
    for one in psutil.process_iter():
        with suppress(psutil.Error):
            if any(file.path.startswith(str(home)) for file in one.open_files()):
                found.append(one)
    return found
