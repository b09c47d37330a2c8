"""Which program runs containers is found by looking, in one order."""

from __future__ import annotations

from pathlib import Path

import pytest

from envctl import runtimes
from envctl.errors import EnvctlError, UnavailableError, UsageError


def program(folder: Path, name: str, script: str) -> None:
    """A program on PATH that does what the script says."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with nothing but what a test puts there."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


ANSWERS = 'case "$1 $2" in "compose version") echo 2.29.1 ;; "version --format") echo 27.1 ;; *) exit 1 ;; esac'
PODMAN = 'case "$1 $2" in "info --format") echo 5.2 ;; "compose version") %s ;; *) exit 1 ;; esac'


def test_docker_compose_comes_first(path: Path) -> None:
    program(path, "docker", ANSWERS)
    program(path, "podman", PODMAN % "echo 2.29.1")
    assert runtimes.detect({}).name == "docker compose"


def test_docker_without_its_plugin_is_passed_over(path: Path) -> None:
    program(path, "docker", "exit 1")
    program(path, "podman", PODMAN % "echo 2.29.1")
    assert runtimes.detect({}).name == "podman compose"


def test_podman_compose_is_found_where_podman_has_no_compose_of_its_own(path: Path) -> None:
    program(path, "podman", PODMAN % "exit 125")
    program(path, "podman-compose", "echo 1.3.0")
    assert runtimes.detect({}).name == "podman-compose"


def test_docker_compose_of_the_first_version_is_not_used(path: Path) -> None:
    program(path, "docker", 'case "$1" in compose) exit 1 ;; *) echo 20.10 ;; esac')
    program(path, "docker-compose", "echo 1.29.2")
    with pytest.raises(EnvctlError, match="no compose program is installed") as caught:
        runtimes.detect({})
    assert "docker is there without its compose plugin" in caught.value.cause


def test_variable_goes_before_configuration(path: Path) -> None:
    program(path, "docker", ANSWERS)
    program(path, "podman", PODMAN % "exit 125")
    program(path, "podman-compose", "echo 1.3.0")
    assert runtimes.detect({}, preferred="podman-compose").name == "podman-compose"
    asked = {"ENVCTL_COMPOSE": "docker compose"}
    assert runtimes.detect(asked, preferred="podman-compose").name == "docker compose"


def test_missing_programs_are_not_a_daemon_that_is_down(path: Path) -> None:
    with pytest.raises(EnvctlError) as caught:
        runtimes.detect({})
    assert (caught.value.code, caught.value.exit_code) == ("no_compose", 1)
    with pytest.raises(EnvctlError, match="podman-compose was asked for and is not installed"):
        runtimes.detect({}, preferred="podman-compose")


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (
            "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
            "daemon_down",
        ),
        ("failed to connect to the docker API at unix:///x.sock; check if the path is correct", "daemon_down"),
        ("permission denied while trying to connect to the Docker daemon socket", "daemon_denied"),
        ("something nobody has seen before", "daemon_down"),
    ],
)
def test_daemon_that_is_down_is_told_from_one_that_is_closed(path: Path, said: str, code: str) -> None:
    program(path, "docker", f'case "$1" in compose) echo 2.29.1 ;; *) echo "{said}" >&2; exit 1 ;; esac')
    with pytest.raises(UnavailableError) as caught:
        runtimes.detect({})
    assert (caught.value.code, caught.value.exit_code) == (code, 4)
    assert said in caught.value.cause


def test_unknown_runtime_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError) as caught:
        runtimes.detect({"ENVCTL_COMPOSE": "nerdctl"})
    assert '"podman-compose"' in caught.value.hint


@pytest.mark.parametrize(
    ("endpoint", "host"),
    [
        ("unix:///var/run/docker.sock", "127.0.0.1"),
        ("npipe:////./pipe/docker_engine", "127.0.0.1"),
        ("", "127.0.0.1"),
        ("tcp://10.0.0.5:2376", "10.0.0.5"),
        ("ssh://root@build.example", "build.example"),
    ],
)
def test_ports_are_published_where_the_engine_is(endpoint: str, host: str) -> None:
    assert runtimes.published_host(endpoint) == host
