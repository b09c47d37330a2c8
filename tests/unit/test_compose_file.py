"""The compose file of a project, or the one that envctl writes for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from envctl import compose_file, services
from envctl.compose_file import Declared
from envctl.config import Compose
from envctl.errors import ConfigError
from envctl.server_set import Container, Need


class Kind:
    """A server kind of which only the container is asked for."""

    def __init__(self, container: Container) -> None:
        self._container = container

    def container(self, settings: Any) -> Container:
        return self._container


def generated(**changes: Any) -> dict[str, str]:
    """Key → text of the one service in a generated file."""
    fields = {"image": "img:1", "port": 80, "environment": {}, "command": (), "volume": "/data"}
    text = compose_file.generate("shop", {"web": Need(Kind(Container(**{**fields, **changes})), None)})  # type: ignore[arg-type]
    body = text[text.index("  web:\n") : text.index("volumes:\n  web-data")] if "  web-data: " in text else text
    return dict(line.strip().split(": ", 1) for line in body.splitlines()[1:] if ": " in line)


def test_ports_are_on_loopback_and_picked_by_the_engine() -> None:
    assert generated(port=5432)["ports"] == '["127.0.0.1::5432"]'


def test_data_lie_in_a_named_volume() -> None:
    assert generated()["volumes"] == '["web-data:/data"]'


def test_server_without_data_has_no_volume() -> None:
    text = compose_file.generate("shop", {"web": Need(Kind(Container("i", 80, {}, (), "")), None)})  # type: ignore[arg-type]
    assert "web-data" not in text


def test_password_is_a_variable_and_every_other_dollar_is_itself() -> None:
    environment = generated(environment={"PASSWORD": "${ENVCTL_PASSWORD}", "PRICE": "$5 and ${HOME}"})["environment"]
    assert json.loads(environment) == {"PASSWORD": "${ENVCTL_PASSWORD}", "PRICE": "$$5 and $${HOME}"}


@pytest.mark.parametrize("text", ['say "hi"', "a: b #c", "line\nbreak", "ünï ✓", "back\\slash", "{x}", "- y", ""])
def test_any_text_survives(text: str) -> None:
    assert json.loads(generated(command=("sh", "-c", text))["command"]) == ["sh", "-c", text]


def test_no_engine_spends_anything_on_asking_for_the_health_of_an_idle_server() -> None:
    assert generated()["healthcheck"].startswith("{disable: true}")


def test_labels_say_whose_it_is() -> None:
    assert json.loads(generated()["labels"]) == {"envctl.project": "shop", "envctl.service": "web"}


def test_every_service_has_an_image_that_the_testbed_stands_in_for() -> None:
    text = compose_file.generate(
        "shop", {name: Need(services.get(name), services.get(name).settings()) for name in services.REGISTRY}
    )
    images = [json.loads(line.split(": ", 1)[1]) for line in text.splitlines() if line.startswith("    image: ")]
    testbed = (Path(__file__).parents[2] / "scripts" / "testbed" / "images.py").read_text()
    assert len(images) == len(services.REGISTRY)
    assert [image for image in images if f'"{image}"' not in testbed] == []


@pytest.mark.parametrize("name", compose_file.NAMES)
def test_usual_names_are_found(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("services: {}\n")
    assert compose_file.project_file(Compose(), tmp_path) == tmp_path / name


def test_no_compose_file_is_no_error(tmp_path: Path) -> None:
    assert compose_file.project_file(Compose(), tmp_path) is None
    assert compose_file.project_file(None, tmp_path) is None


def test_named_file_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not there"):
        compose_file.project_file(Compose(file="dev/compose.yaml"), tmp_path)


@pytest.mark.parametrize(
    ("name", "override"),
    [("docker-compose.yml", "docker-compose.override.yml"), ("compose.yaml", "compose.override.yaml")],
)
def test_override_belongs_to_a_file_of_a_usual_name(tmp_path: Path, name: str, override: str) -> None:
    (tmp_path / override).write_text("services: {}\n")
    assert compose_file.with_override(tmp_path / name) == (tmp_path / name, tmp_path / override)
    (tmp_path / override).unlink()
    assert compose_file.with_override(tmp_path / name) == (tmp_path / name,)


def test_file_of_another_name_stands_alone(tmp_path: Path) -> None:
    (tmp_path / "compose.override.yaml").write_text("services: {}\n")
    assert compose_file.with_override(tmp_path / "servers.yaml") == (tmp_path / "servers.yaml",)


def test_real_services_are_recognised_by_what_they_are_not_by_their_names() -> None:
    there = {
        one.name: one
        for one in (
            Declared(
                "storage", "minio/minio:latest", {"MINIO_ROOT_USER": "a", "MINIO_ROOT_PASSWORD": "b"}, ports=(9000,)
            ),
            Declared("cache", "redis:7-alpine", ports=(6379,)),
            Declared("main-db", "postgres:16", {"POSTGRES_PASSWORD": "p"}, ports=(5432,)),
            Declared("app", "", {"POSTGRES_HOST": "main-db"}, ports=(8000,)),
        )
    }
    needs = {name: Need(services.get(name), services.get(name).settings()) for name in services.REGISTRY}
    chosen = compose_file.choose(needs, Compose(), there)
    assert chosen == {"postgres": "main-db", "s3": "storage", "redis": "cache"}


def test_mapping_goes_before_recognition() -> None:
    db = {"POSTGRES_PASSWORD": "p"}
    there = {name: Declared(name, "postgres:16", db, ports=(5432,)) for name in ("db", "warehouse")}
    needs = {"postgres": Need(services.get("postgres"), services.get("postgres").settings())}
    assert compose_file.choose(needs, Compose(services={"postgres": "warehouse"}), there) == {"postgres": "warehouse"}
    with pytest.raises(ConfigError, match="2 compose services could be postgres"):
        compose_file.choose(needs, Compose(), there)


def test_closure_follows_dependencies_round_a_circle() -> None:
    there = {
        "a": Declared("a", depends_on=("b",)),
        "b": Declared("b", depends_on=("c", "a")),
        "c": Declared("c"),
        "d": Declared("d"),
    }
    assert compose_file.closure(["a"], there) == ("a", "b", "c")
