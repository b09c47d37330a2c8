"""Servers that are the tests' own, as containers: in memory, apart from those of `dev`, and gone after their stop."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from envctl import containers, leases, locks, runtimes, servers
from envctl.engines.compose import own
from envctl.engines.compose.own import HOME
from envctl.errors import ConfigError, EnvctlError, PortTakenError, UnavailableError
from envctl.project import Project, open_project
from envctl.server_set import Running
from envctl.servers import Servers
from envctl.services.postgres import link

pytestmark = pytest.mark.docker
OWN_FILE = """
services:
  db:
    image: postgres:16-alpine
    container_name: {project}-the-db
    restart: always
    environment: {{POSTGRES_PASSWORD: "ge$$heim", POSTGRES_DB: app}}
    command: ["postgres", "-c", "max_connections=77", "-c", "fsync=on"]
    ports: ["127.0.0.1:{port}:5432"]
    volumes: ["data:/var/lib/postgresql/data", "./etc:/etc/shop"]
    networks: [back]
    labels: {{reverse.proxy: "yes"}}
    depends_on: [helper]
  helper:
    image: busybox
    command: ["sh", "-c", "trap 'exit 0' TERM; echo > /kept/file; sleep 1000 & wait"]
    volumes: ["kept:/kept"]
  bystander:
    image: busybox
    command: ["sleep", "1000"]
volumes: {{data: {{}}, kept: {{}}}}
networks: {{back: {{name: {project}-back}}}}
"""
HOLD = """
import sys
from pathlib import Path
from envctl import leases, servers
from envctl.project import open_project
project = open_project(Path(sys.argv[1]), "test", {"BRANCH_NAME": "main"}, engine="compose")
own = servers.choose(project, "test", alone="main")
common = {"namespace": "main", "workspace": "/w", "command": "test", "wait": 60, "talk": lambda line: None}
with leases.hold(own.set, own.engine, **common):
    print("up", flush=True)
    sys.stdin.readline()
"""
Make = Callable[..., Project]


@pytest.fixture
def make(client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    monkeypatch.setenv("ENVCTL_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("ENVCTL_ENGINE", "compose")
    monkeypatch.delenv("ENVCTL_COMPOSE", raising=False)
    project = f"own{secrets.token_hex(3)}"
    root = tmp_path / "checkout"
    (root / "etc").mkdir(parents=True)

    def make(text: str = "[services.redis]\n", *, compose: str = "", port: int = 0) -> Project:
        (root / "envctl.toml").write_text(f'project = "{project}"\n[services.postgres]\n{text}')
        if compose:
            (root / "compose.yaml").write_text(compose.format(project=project, port=port or free_port()))
        return open_project(root, "test", {"BRANCH_NAME": "main"}, engine="compose")

    yield make
    _remove(client, project)


def _remove(client: Any, project: str) -> None:
    """Everything that the project has in this Docker, whatever made it."""
    for container in client.containers.list(all=True):
        if str(container.labels.get("com.docker.compose.project", "")).startswith(project):
            container.remove(force=True, v=True)
    for kind in (client.networks, client.volumes):
        for one in kind.list():
            if one.name.startswith(project):
                one.remove()


def hold(chosen: Servers, said: list[str] | None = None) -> Any:
    talk = (said if said is not None else []).append
    return leases.hold(chosen.set, chosen.engine, namespace="n", workspace="/w", command="t", wait=60, talk=talk)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def mine(client: Any, chosen: Servers) -> dict[str, Any]:
    """The set's containers, as the Docker SDK sees them."""
    found = client.containers.list(all=True, filters={"label": f"{HOME}={chosen.set.home}"})
    return {one.labels["com.docker.compose.service"]: one for one in found}


def left(client: Any, chosen: Servers) -> list[str]:
    networks = client.networks.list(filters={"label": f"{HOME}={chosen.set.home}"})
    return [*mine(client, chosen), *(one.name for one in networks)]


def setting(running: Running, name: str) -> str:
    with link.admin(running.servers["postgres"].address) as connection:
        row = connection.execute("SELECT current_setting(%s)", (name,)).fetchone()
    assert row is not None
    return str(row[0])


def stop(chosen: Servers) -> None:
    assert leases.stop_all(chosen.set.home, chosen.engine)


def test_without_a_compose_file_they_are_the_same_images_in_memory(make: Make, client: Any) -> None:
    project = make('[services.redis]\n[services.s3]\n[test]\nserver = "own"\n')
    chosen = servers.choose(project, "test")
    with hold(chosen) as running:
        assert {name: setting(running, name) for name in ("fsync", "full_page_writes", "max_connections")} == {
            "fsync": "off",
            "full_page_writes": "off",
            "max_connections": "200",
        }
        assert all(need.kind.check(running.servers[name].address) for name, need in chosen.set.needs.items())
        there = mine(client, chosen)
        assert set(there) == {"postgres", "redis", "s3"}
        for one in there.values():
            assert one.attrs["HostConfig"]["Tmpfs"]
            assert not [mount for mount in one.attrs["Mounts"] if mount["Type"] == "volume"]
        assert {one.state for one in chosen.engine.look(running)} == {"running"}
    stop(chosen)
    assert not left(client, chosen)
    assert not [one.name for one in client.volumes.list() if project.config.project in one.name]


def test_they_are_made_of_the_projects_own_file_and_meet_nothing_of_dev(make: Make, client: Any) -> None:
    project = make("[test]\nserver = 'own'\n", compose=OWN_FILE)
    dev, tests = servers.choose(project), servers.choose(project, "test")
    with hold(dev) as theirs, hold(tests) as running:
        there = mine(client, tests)
        assert set(there) == {"db", "helper"}, "what it depends on comes with it, a bystander does not"
        database = there["db"]
        assert database.name != f"{project.config.project}-the-db"
        assert set(database.attrs["NetworkSettings"]["Networks"]) == {
            f"{database.labels['com.docker.compose.project']}_default"
        }
        assert database.attrs["HostConfig"]["RestartPolicy"]["Name"] in ("", "no")
        assert "reverse.proxy" not in database.labels
        assert {(one["Destination"], one["RW"]) for one in database.attrs["Mounts"]} == {("/etc/shop", False)}
        assert list(database.attrs["HostConfig"]["Tmpfs"]) == ["/var/lib/postgresql/data"]
        assert running.servers["postgres"].address.password == "ge$heim"
        assert running.servers["postgres"].address.port != theirs.servers["postgres"].address.port
        assert (setting(running, "max_connections"), setting(theirs, "max_connections")) == ("77", "77")
        assert (setting(running, "synchronous_commit"), setting(theirs, "synchronous_commit")) == ("off", "on")
        assert setting(running, "fsync") == "on", "what the file says itself goes before"
        assert tests.engine.differences(tests.set, running) == ()
        stop(tests)
        assert not left(client, tests)
        assert dev.engine.alive(theirs)
    stop(dev)


def test_a_run_has_its_own_and_leaves_nothing(make: Make, client: Any) -> None:
    project = make()
    one, two = (servers.choose(project, "test", alone=name) for name in ("main", "main__s2"))
    with hold(one) as first, hold(two) as second:
        assert first.servers["redis"].address.port != second.servers["redis"].address.port
        assert not servers.forget(one.set.home)
    assert not left(client, one)
    for chosen in (one, two):
        assert servers.forget(chosen.set.home)
        assert not chosen.set.home.exists()


def test_a_killed_runs_containers_go_by_themselves(make: Make, client: Any) -> None:
    project = make()
    chosen = servers.choose(project, "test", alone="main")
    holder = holding(project)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "up\n"
    holder.kill()
    holder.communicate()
    watcher = psutil.wait_procs(watchers(chosen), timeout=60)
    assert not watcher[1]
    assert not left(client, chosen)
    assert servers.forget(chosen.set.home)
    assert not chosen.set.home.exists()


def test_what_compose_goes_on_to_make_for_a_killed_run_is_found_too(make: Make, client: Any) -> None:
    project = make()
    chosen = servers.choose(project, "test", alone="main")
    holder = holding(project)
    while not locks.held(chosen.set.home / "up.lock"):
        assert holder.poll() is None
    holder.kill()
    holder.communicate()
    assert servers.forget(chosen.set.home)
    assert not left(client, chosen)
    assert not chosen.set.home.exists()


def test_a_start_that_fails_leaves_nothing_and_spares_what_ran(make: Make, client: Any) -> None:
    port = free_port()
    project = make(f"[services.redis]\n[test]\nserver = 'own'\nports = {{ redis = {port} }}\n")
    whole = servers.choose(project, "test")
    with socket.create_server(("127.0.0.1", port)), pytest.raises(PortTakenError) as caught, hold(whole):
        pass
    assert "in envctl.toml" in caught.value.hint
    assert not left(client, whole)
    small = servers.choose(make("[test]\nserver = 'own'\n"), "test")
    with hold(small) as running:
        with socket.create_server(("127.0.0.1", port)), pytest.raises(PortTakenError), hold(whole):
            pass
        assert set(mine(client, small)) == {"postgres"}
        assert setting(running, "fsync") == "off"
        with hold(whole) as both:
            assert both.servers["redis"].address.port == port
            assert both.servers["postgres"].address == running.servers["postgres"].address
    stop(whole)
    assert not left(client, whole)


def test_a_container_that_was_stopped_is_made_anew_with_the_data_of_nobody(make: Make, client: Any) -> None:
    chosen = servers.choose(make("[test]\nserver = 'own'\n"), "test")
    with hold(chosen):
        before = mine(client, chosen)["postgres"]
    before.stop()
    with hold(chosen) as running:
        assert mine(client, chosen)["postgres"].id != before.id
        assert setting(running, "fsync") == "off"
    stop(chosen)


def test_a_fixed_port_of_dev_is_the_containers_and_must_be_the_files(make: Make) -> None:
    port = free_port()
    chosen = servers.choose(make(f"port = {port}\n"))
    with hold(chosen) as running:
        assert running.servers["postgres"].address.port == port
    stop(chosen)
    with pytest.raises(ConfigError) as caught, hold(servers.choose(make(f"port = {port}\n", compose=OWN_FILE))):
        pass
    assert str(port) in caught.value.message


def test_another_compose_program_is_told_that_it_cannot(make: Make) -> None:
    chosen = servers.choose(make("[test]\nserver = 'own'\n"), "test")
    runtime = runtimes.named("podman-compose")
    with pytest.raises(EnvctlError) as caught:
        own.stack(chosen.set, containers.Stack(runtime, "p", (), chosen.set.checkout))
    assert caught.value.code == "no_own_server"
    assert not isinstance(caught.value, UnavailableError)


def holding(project: Project) -> subprocess.Popen[str]:
    argv = (sys.executable, "-c", HOLD, str(project.root))
    return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=dict(os.environ))


def watchers(chosen: Servers) -> list[psutil.Process]:
    found = []
    for one in psutil.process_iter():
        with suppress(psutil.Error):
            if "envctl.idle" in one.cmdline() and str(chosen.set.home) in one.cmdline():
                found.append(one)
    return found
