"""Command lines are values."""

from __future__ import annotations

from pathlib import Path

from envctl import containers, runtimes
from envctl.containers import Stack

DOCKER = runtimes.named("docker compose")
PODMAN_COMPOSE = runtimes.named("podman-compose")
STACK = Stack(DOCKER, "shop", (Path("/w/a b/compose.yaml"), Path("/w/a b/compose.override.yaml")), Path("/w/a b"))


def test_up_keeps_what_is_there_unless_it_may_recreate() -> None:
    place = ("-f", "/w/a b/compose.yaml", "-f", "/w/a b/compose.override.yaml", "--project-directory", "/w/a b")
    start = ("docker", "compose", "-p", "shop", *place)
    assert containers.up(STACK, ["db"]).argv == (*start, "up", "-d", "--no-recreate", "db")
    assert containers.up(STACK, ["db"], recreate=True).argv == (*start, "up", "-d", "db")
    assert containers.up(STACK, ["db"]).cwd == Path("/w/a b")


def test_podman_compose_gets_no_option_that_it_does_not_know() -> None:
    stack = Stack(PODMAN_COMPOSE, "shop", (Path("/w/compose.yaml"),), Path("/w"), profiles=("dev",))
    command = containers.services(stack)
    assert command.argv[:1] + command.argv[1:3] == ("podman-compose", "-p", "shop")
    assert command.argv[3:] == ("-f", "/w/compose.yaml", "--profile", "dev", "config", "--services")


def test_no_command_removes_volumes_orphans_or_running_containers() -> None:
    commands = [
        containers.up(STACK, ["db"], recreate=True),
        containers.stop(DOCKER, ["a"]),
        containers.remove(DOCKER, ["a"]),
    ]
    words = {word for command in commands for word in command.argv}
    assert not words & {"down", "-v", "--volumes", "--remove-orphans", "-f=true", "--force"}
    assert containers.remove(DOCKER, ["a"]).argv == ("docker", "rm", "a")


def test_secrets_go_by_environment_and_not_by_argv() -> None:
    stack = Stack(DOCKER, "shop", (Path("f"),), Path("/w"), environment={"ENVCTL_PASSWORD": "hidden"})
    command = containers.up(stack, ["db"])
    assert command.env["ENVCTL_PASSWORD"] == "hidden"
    assert "hidden" not in " ".join(command.argv)
    assert "hidden" not in repr(stack)
