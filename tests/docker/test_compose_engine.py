"""Containers of one compose project that all checkouts share."""

from __future__ import annotations

import json
import stat
from dataclasses import replace

import pytest
from docker_ground import WEB, Ground, Web

from envctl.engines.compose import ENGINE
from envctl.server_set import Need, Running

pytestmark = pytest.mark.docker


def test_project_file_is_used_and_its_ports_are_asked_of_the_engine(ground: Ground) -> None:
    running = ground.start(ground.servers(ground.checkout(f"services:\n  site:{WEB}")))
    (binding,) = ground.containers()["site"].ports["8080/tcp"]
    assert running.ready
    assert running.servers["web"].address.port == int(binding["HostPort"])
    assert running.servers["web"].detail["version"] == "hello"
    assert ENGINE.alive(running)


def test_generated_file_serves_a_project_without_one(ground: Ground) -> None:
    running = ground.start(ground.servers())
    container = ground.containers()["web"]
    password = running.servers["web"].address.password
    (binding,) = container.ports["8080/tcp"]
    assert binding["HostIp"] == "127.0.0.1"
    assert container.labels["envctl.project"] == "shop"
    assert f"PASSWORD={password}" in container.attrs["Config"]["Env"]
    assert password not in (ground.folder / "home" / "compose.yaml").read_text()
    assert stat.S_IMODE((ground.folder / "home" / "compose-password.json").stat().st_mode) == 0o600


def test_record_stands_before_anything_is_started_and_is_enough_to_stop(ground: Ground) -> None:
    there_when_recorded: list[int] = []
    servers = ground.servers(ground.checkout(f"services:\n  web:{WEB}"))

    def record(running: Running) -> None:
        ground.records.append(running)
        there_when_recorded.append(len(ground.containers()))

    ENGINE.start(servers, None, record, ground.said.append)
    assert there_when_recorded == [0]
    assert not ground.records[0].ready
    ground.stop(ground.records[0])
    assert ground.containers()["web"].status == "exited"


def test_checkouts_of_different_directory_names_share_one_container(ground: Ground) -> None:
    file = f"services:\n  web:{WEB}"
    first = ground.start(ground.servers(ground.checkout(file, "shop")))
    second = ground.start(ground.servers(ground.checkout(file, "shop-feature-x")), first)
    assert second.servers == first.servers
    assert len(ground.containers()) == 1


@pytest.mark.parametrize("name", ["with space", "ünï-✓", "qu\"ote's", "d$llar"])
def test_checkout_may_have_any_path(ground: Ground, name: str) -> None:
    checkout = ground.checkout(f"services:\n  web:{WEB}    volumes: ['./seed:/seed:ro']\n", name)
    (checkout / "seed").mkdir()
    (checkout / "seed" / "file").write_text("from the checkout")
    ground.start(ground.servers(checkout))
    assert ground.containers()["web"].exec_run("cat /seed/file").output == b"from the checkout"


def test_only_needed_services_and_what_they_depend_on_are_started(ground: Ground) -> None:
    file = f"""services:
  web:{WEB}    depends_on: {{prepare: {{condition: service_completed_successfully}}}}
  prepare: {{image: busybox, command: "true"}}
  other: {{image: busybox, command: sleep 600, init: true}}
"""
    ground.start(ground.servers(ground.checkout(file)))
    assert {name: one.status for name, one in ground.containers().items()} == {"web": "running", "prepare": "exited"}


def test_override_file_beside_the_compose_file_counts(ground: Ground) -> None:
    checkout = ground.checkout(f"services:\n  web:{WEB}")
    (checkout / "compose.override.yaml").write_text("services: {web: {labels: {from: override}}}\n")
    ground.start(ground.servers(checkout))
    assert ground.containers()["web"].labels["from"] == "override"


def test_mapped_service_is_used_whatever_its_image_is_called(ground: Ground) -> None:
    ground.client.images.get("busybox").tag("envctl-test/own-build", "1")
    try:
        file = f"services:\n  front:{WEB.replace('image: busybox', 'image: envctl-test/own-build:1')}"
        running = ground.start(ground.servers(ground.checkout(file), services={"web": "front"}))
        assert running.servers["web"].detail["version"] == "hello"
    finally:
        ground.remove()
        ground.client.images.remove("envctl-test/own-build:1")


def test_stop_keeps_containers_and_data(ground: Ground) -> None:
    servers = ground.servers()
    running = ground.start(servers)
    ground.containers()["web"].exec_run(["sh", "-c", "echo kept > /data/file"])
    ground.stop(running)
    assert not ENGINE.alive(running)
    assert [one.state for one in ENGINE.look(running)] == ["stopped"]
    again = ground.start(servers)
    assert ground.containers()["web"].exec_run("cat /data/file").output == b"kept\n"
    assert again.servers["web"].address.password == running.servers["web"].address.password


def test_stop_leaves_what_somebody_else_had_started(ground: Ground) -> None:
    file = f"services:\n  web:{WEB}"
    theirs = ground.start(ground.servers(ground.checkout(file)))
    ours = ground.start(ground.servers(ground.checkout(file)), before=None)
    ground.stop(ours)
    assert ground.containers()["web"].status == "running"
    ground.stop(theirs)
    assert ground.containers()["web"].status == "exited"


def test_stop_needs_neither_checkout_nor_file(ground: Ground) -> None:
    checkout = ground.checkout(f"services:\n  web:{WEB}")
    running = ground.start(ground.servers(checkout))
    (checkout / "compose.yaml").unlink()
    checkout.rmdir()
    ground.stop(running)
    assert ground.containers()["web"].status == "exited"


def test_killed_container_is_back_with_the_next_start(ground: Ground) -> None:
    servers = ground.servers()
    running = ground.start(servers)
    ground.containers()["web"].kill()
    assert not ENGINE.alive(running)
    again = ground.start(servers, running)
    assert ENGINE.alive(again)
    ground.stop(again)
    assert ground.containers()["web"].status == "exited"


def test_removed_container_is_made_again_and_its_volume_stays(ground: Ground) -> None:
    servers = ground.servers()
    running = ground.start(servers)
    ground.containers()["web"].exec_run(["sh", "-c", "echo kept > /data/file"])
    ground.containers()["web"].remove(force=True)
    ground.start(servers, running)
    assert ground.containers()["web"].exec_run("cat /data/file").output == b"kept\n"


def test_project_renamed_in_the_configuration_stops_the_old_one(ground: Ground) -> None:
    checkout = ground.checkout(f"services:\n  web:{WEB}")
    before = ground.start(ground.servers(checkout))
    renamed = replace(ground, project=f"{ground.project}-renamed")
    try:
        renamed.start(renamed.servers(checkout), before)
        assert ground.containers()["web"].status == "exited"
        assert renamed.containers()["web"].status == "running"
    finally:
        renamed.remove()


def test_published_beyond_loopback_is_warned_of_and_still_used(ground: Ground) -> None:
    file = f"services:\n  web:{WEB.replace('127.0.0.1::8080', '8080')}"
    running = ground.start(ground.servers(ground.checkout(file)))
    port = running.servers["web"].address.port
    warnings = [line for line in ground.said if line.startswith("warning")]
    assert len(warnings) == 1
    assert f"0.0.0.0:{port}" in warnings[0]
    assert running.servers["web"].address.host == "127.0.0.1"


def test_loopback_is_not_warned_of(ground: Ground) -> None:
    ground.start(ground.servers())
    assert not [line for line in ground.said if "warning" in line]


def test_look_names_the_container_and_its_process(ground: Ground) -> None:
    running = ground.start(ground.servers())
    (seen,) = ENGINE.look(running)
    container = ground.containers()["web"]
    assert (seen.service, seen.state, seen.detail) == ("web", "running", container.name)
    assert seen.pid == container.attrs["State"]["Pid"]


def test_logs_are_the_containers_own(ground: Ground) -> None:
    running = ground.start(ground.servers())
    assert list(ENGINE.logs(running, "web", follow=False)) == ["served by busybox"]


def test_followed_logs_come_as_they_are_written_and_end_with_the_reader(ground: Ground) -> None:
    running = ground.start(ground.servers())
    lines = ENGINE.logs(running, "web", follow=True)
    assert next(lines) == "served by busybox"
    ground.containers()["web"].exec_run(["sh", "-c", "echo written later > /proc/1/fd/1"])
    assert next(lines) == "written later"
    lines.close()  # type: ignore[attr-defined]


def test_services_are_added_to_a_running_set(ground: Ground) -> None:
    checkout = ground.checkout(f"services:\n  one:{WEB}\n  two:{WEB}")
    mapping = {"one": "one", "two": "two"}
    first = ground.start(ground.servers(checkout, {"one": Need(Web(), None)}, services=mapping))
    both = {name: Need(Web(), None) for name in mapping}
    second = ground.start(ground.servers(checkout, both, services=mapping), first)
    assert second.servers["one"] == first.servers["one"]
    assert json.loads(second.detail["started"]) == ["one", "two"]
