"""Every way in which containers do not come up: one error each, with its cause and the next step."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from docker_ground import WEB, Ground, Web

from envctl import runtimes
from envctl.engines.compose import ENGINE
from envctl.errors import ConfigError, EnvctlError, PortTakenError, UnavailableError
from envctl.model import Address
from envctl.server_set import Need

pytestmark = pytest.mark.docker

BUSY = "    image: busybox\n    init: true\n"


def failure(ground: Ground, content: str, **options: Any) -> EnvctlError:
    with pytest.raises(EnvctlError) as caught:
        ground.start(ground.servers(ground.checkout(content), **options))
    assert caught.value.hint
    return caught.value


def test_image_that_cannot_be_pulled(ground: Ground) -> None:
    error = failure(
        ground,
        f"services:\n  web:{WEB.replace('image: busybox', 'image: 127.0.0.1:9/no/such:1')}",
        services={"web": "web"},
    )
    assert (type(error), error.code) == (UnavailableError, "image")
    assert error.message == "127.0.0.1:9/no/such:1 is not here and could not be pulled"
    assert "connection refused" in error.cause
    assert "pulling 127.0.0.1:9/no/such:1" in ground.said


def test_port_taken_by_a_process(ground: Ground) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        error = failure(ground, f"services:\n  web:{WEB.replace('127.0.0.1::', f'127.0.0.1:{port}:')}")
    assert isinstance(error, PortTakenError)
    assert error.message == f"port {port} is taken"
    assert f"sport = :{port}" in error.hint


def test_port_taken_by_a_container_names_it(ground: Ground) -> None:
    other = ground.start(ground.servers())
    port = other.servers["web"].address.port
    file = f"services:\n  second:{WEB.replace('127.0.0.1::', f'127.0.0.1:{port}:')}"
    error = failure(ground, file)
    assert isinstance(error, PortTakenError)
    assert error.message == f"port {port} is taken by container {ground.project}-web-1"


def test_corrected_port_is_used_by_the_next_start(ground: Ground) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        failure(ground, f"services:\n  web:{WEB.replace('127.0.0.1::', f'127.0.0.1:{taken.getsockname()[1]}:')}")
        running = ground.start(ground.servers(ground.checkout(f"services:\n  web:{WEB}")), ground.records[-1])
    assert ENGINE.alive(running)


def test_unhealthy_container(ground: Ground) -> None:
    sick = '    healthcheck: {test: ["CMD", "false"], interval: 1s, retries: 1}\n'
    error = failure(ground, f"services:\n  web:{WEB}{sick}")
    assert (type(error), error.code, error.message) == (UnavailableError, "container", "web did not come up")
    assert f"container {ground.project}-web-1: unhealthy" in error.cause
    assert "served by busybox" in error.cause


def test_exited_container_shows_the_end_of_its_log(ground: Ground) -> None:
    body = f'{BUSY}    command: ["sh", "-c", "echo data directory is broken; exit 3"]\n    ports: ["127.0.0.1::8080"]\n'
    error = failure(ground, f"services:\n  web:\n{body}")
    assert error.message == "web did not come up"
    assert "exited (3)" in error.cause
    assert "data directory is broken" in error.cause
    assert error.hint == f"all of its log: docker logs {ground.project}-web-1"


def test_server_that_exits_with_0_is_no_server(ground: Ground) -> None:
    body = f'{BUSY}    command: ["true"]\n    ports: ["127.0.0.1::8080"]\n'
    error = failure(ground, f"services:\n  web:\n{body}")
    assert "exited (0)" in error.cause


def test_restarting_container_is_not_waited_for_in_vain(ground: Ground) -> None:
    body = (
        f'{BUSY}    restart: always\n    command: ["sh", "-c", "echo again; exit 1"]\n    ports: ["127.0.0.1::8080"]\n'
    )
    error = failure(ground, f"services:\n  web:\n{body}")
    assert error.code == "container"
    assert "again" in error.cause


def test_failed_one_shot_is_named_with_its_log(ground: Ground) -> None:
    file = f"""services:
  web:{WEB}    depends_on: {{prepare: {{condition: service_completed_successfully}}}}
  prepare: {{image: busybox, command: ["sh", "-c", "echo no such table; exit 2"]}}
"""
    error = failure(ground, file)
    assert error.message == "prepare did not come up"
    assert "exited (2)" in error.cause
    assert "no such table" in error.cause


def test_failed_one_shot_that_nobody_waits_for_is_named_too(ground: Ground) -> None:
    file = f"""services:
  web:{WEB}    depends_on: [prepare]
  prepare: {{image: busybox, command: ["sh", "-c", "echo no such table; exit 2"]}}
"""
    error = failure(ground, file.replace("echo served", "sleep 2; echo served"))
    assert error.message == "prepare did not come up"


def test_daemon_that_is_down(ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    error = failure(ground, f"services:\n  web:{WEB}")
    assert (type(error), error.code) == (UnavailableError, "daemon_down")
    assert "no daemon answers" in error.message


def test_no_compose_program(ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    error = failure(ground, f"services:\n  web:{WEB}")
    assert (error.code, error.message) == ("no_compose", "no compose program is installed")
    assert "neither docker nor podman" in error.cause


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("services:\n  web: {image: busybox, prots: []}\n", "prots"),
        ("services:\n  web: {image: busybox\n", "yaml"),
        ('services:\n  web: {image: "busybox:${NO_SUCH_TAG:?set NO_SUCH_TAG}"}\n', "set NO_SUCH_TAG"),
    ],
)
def test_wrong_compose_file_is_told_in_composes_own_words(ground: Ground, content: str, said: str) -> None:
    error = failure(ground, content)
    assert (type(error), error.code, error.exit_code) == (ConfigError, "compose_file", 2)
    assert "compose.yaml" in error.message
    assert said in error.cause
    assert ground.records == []


def test_named_file_that_is_not_there(ground: Ground) -> None:
    error = failure(ground, "", file="deploy/compose.yaml")
    assert error.code == "compose_file"
    assert "deploy/compose.yaml is not there" in error.message


def test_service_that_no_container_matches_lists_what_is_there(ground: Ground) -> None:
    error = failure(ground, "services:\n  front: {image: nginx}\n  own: {build: .}\n")
    assert (type(error), error.code) == (ConfigError, "no_container")
    assert error.message == "no service of the compose file is recognised as web"
    assert error.cause == "its services are front (nginx), own (built here)"
    assert "[compose.services]" in error.hint


def test_mapped_service_that_is_not_there(ground: Ground) -> None:
    error = failure(ground, f"services:\n  web:{WEB}", services={"web": "wbe"})
    assert 'no service "wbe"' in error.message


def test_two_candidates_are_not_guessed_between(ground: Ground) -> None:
    error = failure(ground, f"services:\n  a:{WEB}\n  b:{WEB}")
    assert re.match("2 compose services could be web: a, b", error.message)


def test_container_without_a_published_port(ground: Ground) -> None:
    body = re.sub(r"    ports:.*\n", "", WEB)
    error = failure(ground, f"services:\n  web:{body}")
    assert (type(error), error.code) == (ConfigError, "no_published_port")
    assert f"{ground.project}-web-1" in error.message


def test_container_that_the_machine_cannot_run_is_told_in_the_engines_words(ground: Ground) -> None:
    error = failure(ground, 'services:\n  web: {image: busybox, command: [no-such-program], ports: ["8080"]}\n')
    assert error.code == "container"
    assert '"no-such-program": executable file not found' in error.cause
    assert "docker compose -p" in error.hint


def test_failure_can_be_cleaned_up_from_the_record(ground: Ground) -> None:
    file = f"services:\n  web:{WEB}    depends_on: [other]\n  other:\n{BUSY}    command: sleep 600\n"
    failure(ground, file.replace("httpd -f", "httpd --no-such-flag"))
    ground.stop(ground.records[-1])
    assert {one.status for one in ground.containers().values()} == {"exited"}


def test_asked_for_runtime_that_is_unknown(ground: Ground) -> None:
    error = failure(ground, f"services:\n  web:{WEB}", runtime="docker-compos")
    assert (error.code, error.exit_code) == ("no_compose", 2)
    assert '"docker-compose"' in error.hint


def test_second_observer_reaches_the_engine_that_the_command_line_uses(ground: Ground) -> None:
    runtime = runtimes.named("docker compose")
    assert ground.client.version()["Version"] == runtimes.require_daemon(runtime)


@dataclass
class Thief(Web):
    """A server that is not ready before the container of `web` is gone."""

    ground: Ground
    name: str = "yonder"

    def check(self, address: Address) -> str:
        if one := self.ground.containers().get("web"):
            one.remove(force=True)
            raise UnavailableError("not yet")
        return super().check(address)


def test_a_container_that_is_removed_after_it_was_ready_is_said_to_be_gone(ground: Ground) -> None:
    checkout = ground.checkout(f"services:\n  web:{WEB}\n  yonder:{WEB}")
    needs = {"web": Need(Web(), None), "yonder": Need(Thief(ground), None)}
    with pytest.raises(UnavailableError, match=r"web has no container: .* was removed meanwhile"):
        ground.start(ground.servers(checkout, needs))
