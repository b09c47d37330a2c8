"""What an engine has of a project: all of it is told, and only what is surely nobody's is removed."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from docker_ground import Web

from envctl import leases, locks, state
from envctl.config import Compose
from envctl.engines.compose import ENGINE, leftovers
from envctl.engines.compose.sizes import parsed
from envctl.errors import EnvctlError
from envctl.model import Resource
from envctl.server_set import Need, Running, ServerSet

pytestmark = pytest.mark.docker


@dataclass
class Ground:
    """A project with a state folder of its own on a real engine."""

    client: Any
    project: str
    root: Path

    @property
    def home(self) -> Path:
        return self.root / "state" / "projects" / self.project

    def start(self, name: Any = "dev", compose: str = "") -> Running:
        """Start a set as its callers do: its record last."""
        checkout = self.root / "checkout"
        checkout.mkdir(exist_ok=True)
        if compose:
            (checkout / "compose.yaml").write_text(compose)
        home = state.folder(self.home / f"{name}-compose")
        needs = {"web": Need(Web(), None)}
        asked = ServerSet(self.project, name, "compose", home, needs, checkout, 0, Compose())
        running = ENGINE.start(asked, None, lambda one: leases.write_record(home, one), lambda line: None)
        leases.write_record(home, running)
        return running

    def stop(self, running: Running) -> None:
        ENGINE.stop(running, lambda line: None)

    def found(self) -> dict[str, Resource]:
        """By kind, of which there is one each in these tests."""
        found = ENGINE.leftovers(self.project)
        kinds = [one.kind for one in found]
        assert len(set(kinds)) == len(kinds)
        return {one.kind: one for one in found}

    def states(self) -> dict[str, str]:
        return {kind: one.owner.notes["state"] if one.owner else "" for kind, one in self.found().items()}

    def remove(self) -> None:
        labels = [f"com.docker.compose.project={self.project}", f"envctl.project={self.project}"]
        for label in labels:
            filters = {"label": label}
            for one in self.client.containers.list(all=True, filters=filters):
                one.remove(force=True, v=True)
            for one in (*self.client.networks.list(filters=filters), *self.client.volumes.list(filters=filters)):
                with suppress(Exception):
                    one.remove()


@pytest.fixture
def shop(client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ground]:
    monkeypatch.setenv("ENVCTL_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.delenv("ENVCTL_COMPOSE", raising=False)
    made = Ground(client, f"left{secrets.token_hex(4)}", tmp_path)
    yield made
    made.remove()


def refused(resource: Resource, code: str) -> None:
    with pytest.raises(EnvctlError) as caught:
        ENGINE.discard(resource)
    assert caught.value.code == code, caught.value


def test_a_running_set_is_told_with_its_state_folder_and_nothing_of_it_goes(shop: Ground) -> None:
    shop.start()
    assert shop.states() == {"container": "running", "volume": "running", "network": "running"}
    for one in shop.found().values():
        assert one.owner
        assert (one.owner.project, one.owner.environment) == (shop.project, "dev")
        assert one.owner.notes["home"] == str(shop.home / "dev-compose")
        assert one.owner.created
        refused(one, "in_use")
    assert len(shop.client.containers.list(filters={"label": f"envctl.project={shop.project}"})) == 1


def test_a_stopped_set_goes_piece_by_piece_and_twice_is_once(shop: Ground) -> None:
    shop.stop(shop.start())
    seen = shop.found()
    assert {one.owner.notes["state"] for one in seen.values() if one.owner} == {"stopped"}
    assert seen["volume"].bytes is not None
    refused(seen["network"], "in_use")
    refused(seen["volume"], "in_use")
    for kind in ("container", "volume", "network"):
        for _ in range(2):
            ENGINE.discard(seen[kind])
        assert kind not in shop.found()
    assert shop.found() == {}


def test_what_was_made_anew_since_it_was_seen_stays(shop: Ground) -> None:
    shop.stop(shop.start())
    seen = shop.found()
    for kind in ("container", "volume", "network"):
        ENGINE.discard(seen[kind])
    shop.stop(shop.start())
    refused(seen["container"], "not_ours")
    refused(seen["network"], "not_ours")
    assert set(shop.found()) == {"container", "volume", "network"}


def test_a_throw_away_set_whose_state_folder_is_gone_goes_though_it_runs(shop: Ground) -> None:
    shop.start("test")
    assert shop.states() == {"container": "running", "network": "running"}
    state.remove(shop.home / "test-compose", last="lock")
    seen = shop.found()
    assert shop.states() == {"container": "gone", "network": "gone"}
    assert {one.owner.environment for one in seen.values() if one.owner} == {"test"}
    for kind in ("container", "network"):
        ENGINE.discard(seen[kind])
    assert shop.found() == {}


def test_a_set_of_another_state_folder_or_machine_has_no_owner(shop: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.start("test")
    known = shop.found()
    with monkeypatch.context() as patch:
        patch.setenv("ENVCTL_STATE_DIR", str(shop.root / "another"))
        assert shop.states() == {"container": "", "network": ""}
        for one in (*known.values(), *shop.found().values()):
            refused(one, "not_ours")
    state.remove(shop.home / "test-compose", last="lock")
    with monkeypatch.context() as patch:
        patch.setattr("envctl.hosts.this_host", lambda: "elsewhere")
        assert shop.states() == {"container": "", "network": ""}
        for one in (*known.values(), *shop.found().values()):
            refused(one, "not_ours")


OWN = """
services:
  web:
    image: busybox
    command: ["sh", "-c", "mkdir -p /www; echo hello > /www/index.html; trap 'exit 0' TERM; httpd -f -p 8080 -h /www & wait"]
    ports: ["127.0.0.1::8080"]
    volumes: ["data:/data"]
    labels: {envctl.project: PROJECT}
volumes: {data: {}}
"""  # noqa: E501


def test_what_is_of_a_file_of_their_own_is_the_users_and_stays(shop: Ground) -> None:
    """Also where that is a copy of ours, labels and all."""
    running = shop.start(compose=OWN.replace("PROJECT", shop.project))
    assert shop.states() == {"container": "running", "volume": "running", "network": "running"}
    shop.stop(running)
    assert shop.states() == {"container": "stopped", "volume": "stopped", "network": "stopped"}
    for one in shop.found().values():
        assert one.owner
        assert one.owner.notes["stack"] == shop.project
        assert "home" not in one.owner.notes
        refused(one, "not_ours")
    for one in shop.client.containers.list(all=True, filters={"label": f"envctl.project={shop.project}"}):
        one.remove()
    assert shop.states() == {"volume": "stopped", "network": "stopped"}
    known = shop.found()
    state.remove(shop.home / "dev-compose", last="lock")
    assert shop.states() == {"volume": "", "network": ""}, "nothing says that the file was theirs"
    told = ENGINE.leftovers(shop.project, stack=shop.project)
    assert [one.owner.notes["state"] for one in told if one.owner] == ["stopped", "stopped"]
    for one in (*told, *known.values()):
        refused(one, "not_ours")


def test_a_volume_without_a_container_or_a_record_is_shown_and_stays(shop: Ground) -> None:
    shop.stop(shop.start())
    ENGINE.discard(shop.found()["container"])
    assert shop.states() == {"volume": "stopped", "network": "stopped"}
    known = shop.found()["volume"]
    (shop.home / "dev-compose" / "servers.json").unlink()
    assert shop.states() == {"volume": "", "network": ""}
    refused(known, "not_ours")
    refused(shop.found()["volume"], "not_ours")
    shop.client.volumes.get(known.name)


def test_a_volume_that_a_stranger_uses_stays(shop: Ground) -> None:
    shop.stop(shop.start())
    ENGINE.discard(shop.found()["container"])
    volume = shop.found()["volume"]
    stranger = shop.client.containers.create("busybox", ["true"], volumes=[f"{volume.name}:/data"])
    refused(volume, "in_use")
    stranger.remove()
    ENGINE.discard(volume)


def test_a_volume_without_a_name_goes_with_its_container(shop: Ground) -> None:
    running = shop.start("test")
    (container,) = shop.client.containers.list(filters={"label": f"envctl.project={shop.project}"})
    labels = {**container.labels, "com.docker.compose.service": "extra"}
    extra = shop.client.containers.create("busybox", ["true"], labels=labels, volumes=["/anonymous"])
    (mount,) = [one for one in shop.client.api.inspect_container(extra.id)["Mounts"] if one["Type"] == "volume"]
    found = [one for one in ENGINE.leftovers(shop.project) if one.name in (extra.name, mount["Name"])]
    assert [one.kind for one in found] == ["container", "volume"]
    ENGINE.discard(found[0])
    assert mount["Name"] not in {one.name for one in shop.client.volumes.list()}
    ENGINE.discard(found[1])
    shop.stop(running)


def test_a_resource_without_an_owner_is_refused_unasked(shop: Ground) -> None:
    shop.stop(shop.start())
    refused(replace(shop.found()["volume"], owner=None), "not_ours")


def test_a_set_that_is_being_started_is_waited_for(shop: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.stop(shop.start())
    monkeypatch.setattr(leftovers, "WAIT", 0)
    starting = locks.claim(shop.home / "dev-compose" / "lock")
    assert starting is not None
    with pytest.raises(EnvctlError, match="busy"):
        ENGINE.discard(shop.found()["container"])
    locks.free(starting)
    holding = locks.claim(shop.home / "dev-compose" / "leases" / "somebody")
    assert holding is not None
    refused(shop.found()["container"], "in_use")
    locks.free(holding)
    ENGINE.discard(shop.found()["container"])


def test_sizes_are_read_as_the_engine_writes_them() -> None:
    texts = {"0B": 0, "132MB": 132_000_000, "1.5kB (virtual 33MB)": 1500, "2GB": 2 * 10**9, "N/A": None, "": None}
    assert {text: parsed(text) for text in texts} == texts
