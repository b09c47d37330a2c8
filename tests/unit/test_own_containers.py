"""The compose file of `dev` as its throw-away twin, as a value."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from envctl import hosts, runtimes, services
from envctl.compose_file import declared_in
from envctl.containers import Stack
from envctl.engines.compose import errors, own
from envctl.server_set import Container, Need, ServerSet

DATA = "/var/lib/postgresql/data"
POSTGRES = Container("i", 5432, {}, ("postgres", "-c", "a=b"), DATA, hasty=("-c", "fsync=off"))


def twin(body: dict[str, Any], *, port: int = 0, others: dict[str, Any] | None = None) -> dict[str, Any]:
    """The twin of a compose service that is postgres."""
    kind = services.get("postgres")
    needs = {"postgres": Need(kind, kind.settings(), port)}
    wanted = ServerSet("shop", "test", "compose", Path("/state/test-compose"), needs, Path("/checkout"), 0)
    document = {"services": {"db": {"image": "postgres:16", **body}, **(others or {})}}
    made = own.derived(document, wanted, {"postgres": "db"}, "shop")
    assert declared_in(json.loads(json.dumps(made))).keys() == made["services"].keys()
    return made


def mount(kind: str, target: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "target": target, "source": "x", **more}


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ((), ("postgres", "-c", "fsync=off")),
        (("postgres", "-c", "fsync=on"), ("postgres", "-c", "fsync=off", "-c", "fsync=on")),
        (("-c", "x=y"), ("-c", "fsync=off", "-c", "x=y")),
        (("sh", "-c", "exec postgres"), ("sh", "-c", "exec postgres")),
    ],
)
def test_flags_stand_before_those_of_the_file(command: tuple[str, ...], expected: tuple[str, ...]) -> None:
    assert own.hasty(command, POSTGRES) == expected


@pytest.mark.parametrize(
    ("mounts", "memory", "kept"),
    [
        ([], [DATA], []),
        ([mount("volume", DATA)], [DATA], []),
        ([mount("volume", f"{DATA}/pgdata")], [f"{DATA}/pgdata"], []),
        ([mount("bind", DATA)], [DATA], []),
        ([mount("bind", "/var/lib/postgresql")], [DATA], []),
        ([mount("volume", "/cache")], ["/cache", DATA], []),
        ([mount("bind", "/docker-entrypoint-initdb.d")], [DATA], ["/docker-entrypoint-initdb.d"]),
    ],
)
def test_no_data_of_dev_are_in_reach(mounts: list[dict[str, Any]], memory: list[str], kept: list[str]) -> None:
    made = twin({"volumes": mounts})["services"]["db"]
    assert made["tmpfs"] == memory
    assert [(one["target"], one["read_only"]) for one in made["volumes"]] == [(one, True) for one in kept]


def test_its_health_is_asked_for_only_where_another_container_waits_for_it() -> None:
    checked = {"healthcheck": {"test": ["CMD", "true"], "interval": "10s"}}
    assert twin(checked)["services"]["db"]["healthcheck"] == {"disable": True}
    for condition, expected in (("service_started", {"disable": True}), ("service_healthy", {"test": ["CMD", "true"]})):
        other = {"image": "x", "depends_on": {"db": {"condition": condition}}}
        needing = {**checked, "depends_on": {"other": {"condition": "service_started"}}}
        found = twin(needing, others={"other": other})["services"]["db"]["healthcheck"]
        assert found == expected | ({**own.PATIENCE} if "test" in expected else {})


def test_it_meets_nothing_of_dev_and_says_whose_it_is() -> None:
    body = {
        "container_name": "db",
        "networks": {"back": None},
        "labels": {"proxy": "yes"},
        "restart": "always",
        "ports": [{"target": 5432, "published": "5432", "host_ip": "0.0.0.0"}],
        "environment": {"POSTGRES_PASSWORD": "a$$b"},
    }
    made = twin(body)["services"]["db"]
    assert not made.keys() & {"container_name", "networks", "restart"}
    assert made["ports"] == ["127.0.0.1::5432"]
    assert made["labels"] == {
        "envctl.home": "/state/test-compose",
        "envctl.host": hosts.this_host(),
        "envctl.project": "shop",
        "envctl.service": "postgres",
    }
    assert made["environment"] == {"POSTGRES_PASSWORD": "a$$b"}


def test_its_fixed_port_is_that_of_the_server_and_the_others_are_picked() -> None:
    ports = [{"target": 8008}, {"target": 5432, "published": "1"}]
    assert twin({"ports": ports}, port=5433)["services"]["db"]["ports"] == ["127.0.0.1:5433:5432", "127.0.0.1::8008"]


def test_what_it_depends_on_comes_with_it_and_is_built_once() -> None:
    others = {"init": {"build": {"context": "/c"}, "volumes": [mount("volume", "/kept")]}, "web": {"image": "w"}}
    made = twin({"depends_on": {"init": {"condition": "service_started"}}}, others=others)
    assert set(made["services"]) == {"db", "init"}
    assert made["services"]["init"]["image"] == "shop-init"
    assert made["services"]["init"]["tmpfs"] == ["/kept"]
    labels = {"envctl.home": "/state/test-compose", "envctl.host": hosts.this_host(), "envctl.project": "shop"}
    assert made["networks"] == {"default": {"labels": labels}}


def test_a_port_that_the_projects_file_does_not_publish_is_an_error_with_the_line_to_write() -> None:
    stack = Stack(runtimes.named("docker compose"), "shop", (Path("/c/compose.yaml"),), Path("/c"))
    error = errors.unpublished(stack, "postgres", "db", 5433)
    assert "compose.yaml" in error.message
    assert "127.0.0.1:5433:" in error.hint
