"""A running container that is not what this checkout's file asks for."""

from __future__ import annotations

from pathlib import Path

import pytest
from docker_ground import WEB, Ground, Web

from envctl.engines.compose import ENGINE
from envctl.server_set import Container, Need, Running

pytestmark = pytest.mark.docker

FILE = f"services:\n  web:{WEB}"


@pytest.fixture
def running(ground: Ground) -> Running:
    return ground.start(ground.servers(ground.checkout(FILE, "first")))


def differences(ground: Ground, running: Running, content: str) -> tuple[str, ...]:
    """What another checkout with this file is told."""
    return ENGINE.differences(ground.servers(ground.checkout(content, "second")), running)


def test_same_file_in_another_checkout_is_no_difference(ground: Ground, running: Running) -> None:
    assert differences(ground, running, FILE) == ()


def test_relative_path_in_another_checkout_is_no_difference(ground: Ground) -> None:
    file = f"{FILE}    volumes: ['./seed:/seed:ro']\n"
    for name in ("first", "second"):
        (ground.checkout(file, name) / "seed").mkdir()
    running = ground.start(ground.servers(ground.checkout(file, "first")))
    assert differences(ground, running, file) == ()


def test_another_image_is_told_by_name(ground: Ground, running: Running) -> None:
    wanted = FILE.replace("image: busybox", "image: busybox:1.36")
    assert differences(ground, running, wanted) == ("web runs image busybox, compose.yaml asks for busybox:1.36",)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ('    environment: {COLOUR: blue, SECRET: "hidden-value"}\n', "environment (COLOUR, SECRET)"),
        ("    mem_limit: 64m\n", "settings"),
    ],
)
def test_other_settings_are_told_without_their_values(ground: Ground, running: Running, more: str, told: str) -> None:
    assert differences(ground, running, FILE + more) == (f"web runs with another {told} than compose.yaml asks for",)


def test_another_command_is_told(ground: Ground, running: Running) -> None:
    (told,) = differences(ground, running, FILE.replace("echo hello", "echo goodbye"))
    assert "another command" in told


def test_variable_of_the_second_checkout_counts(ground: Ground) -> None:
    file = FILE.replace("image: busybox", "image: ${IMAGE:-busybox}")
    running = ground.start(ground.servers(ground.checkout(file, "first")))
    (ground.checkout(file, "second") / ".env").write_text("IMAGE=busybox:2\n")
    assert "asks for busybox:2" in differences(ground, running, file)[0]


def test_checkout_of_the_running_servers_may_be_gone(ground: Ground, running: Running) -> None:
    first = ground.folder / "first"
    (first / "compose.yaml").unlink()
    first.rmdir()
    assert differences(ground, running, FILE) == ()
    assert len(differences(ground, running, f"{FILE}    mem_limit: 64m\n")) == 1


def test_recreate_makes_it_what_this_checkout_asks_for(ground: Ground, running: Running) -> None:
    servers = ground.servers(ground.checkout(f"{FILE}    environment: {{COLOUR: blue}}\n", "second"))
    kept = ground.start(servers, running)
    assert "COLOUR=blue" not in ground.containers()["web"].attrs["Config"]["Env"]
    made = ENGINE.recreate(servers, kept, ground.records.append, ground.said.append)
    assert "COLOUR=blue" in ground.containers()["web"].attrs["Config"]["Env"]
    assert ENGINE.differences(servers, made) == ()


class OtherWeb(Web):
    """The same server as another branch configures it."""

    def container(self, settings: object) -> Container:
        mine = super().container(settings)
        return Container(mine.image, mine.port, {**mine.environment, "COLOUR": "blue"}, mine.command, "/data")


def test_generated_files_are_compared_too_and_not_overwritten(ground: Ground, tmp_path: Path) -> None:
    running = ground.start(ground.servers())
    before = (tmp_path / "home" / "compose.yaml").read_text()
    assert ENGINE.differences(ground.servers(), running) == ()
    (told,) = ENGINE.differences(ground.servers(needs={"web": Need(OtherWeb(), None)}), running)
    assert told == "web runs with another environment (COLOUR) than envctl's own compose file asks for"
    assert (tmp_path / "home" / "compose.yaml").read_text() == before
