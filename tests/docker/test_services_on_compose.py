"""A project's own compose file, as people write them, with the images that they use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from docker_ground import Ground

from envctl import services
from envctl.model import Claim, Owner, Resource
from envctl.server_set import Need, Running

pytestmark = pytest.mark.docker

FILE = """services:
  db:
    image: postgres:16-alpine
    environment: {POSTGRES_USER: app, POSTGRES_PASSWORD: "pass word", POSTGRES_DB: finance}
    ports: ["127.0.0.1::5432"]
    volumes: [pgdata:/var/lib/postgresql/data]
    healthcheck: {test: ["CMD-SHELL", "pg_isready -U $$POSTGRES_USER -h 127.0.0.1"], interval: 1s, retries: 30}
  cache:
    image: redis:7-alpine
    command: redis-server --appendonly yes --requirepass hush-hush
    ports: ["127.0.0.1::6379"]
  storage:
    image: minio/minio:latest
    command: server /data --console-address ":9001"
    environment: {MINIO_ROOT_USER: admin, MINIO_ROOT_PASSWORD: password123}
    ports: ["127.0.0.1::9000", "127.0.0.1::9001"]
    healthcheck: {test: ["CMD", "curl", "-f", "http://localhost:9000/minio/health/live"], interval: 1s, retries: 30}
  app:
    build: .
    environment: {DATABASE_URL: "postgresql://app@db/finance"}
    ports: ["8000:8000"]
    depends_on: [db, cache, storage]
volumes: {pgdata: {}}
"""


def settings(name: str) -> Any:
    kind = services.get(name).settings
    return kind(buckets=("statements",)) if name == "s3" else kind()


def start(ground: Ground, *names: str) -> Running:
    needs = {name: Need(services.get(name), settings(name)) for name in names}
    return ground.start(ground.servers(ground.checkout(FILE), needs))


def claim(name: str, namespace: str, memory: Path) -> Claim:
    owner = Owner("shop", "dev", namespace, f"/w/{namespace}", "main", "laptop", "2026-01-02T03:04:05Z")
    identity = f"shop_dev_{namespace}"
    names = {
        logical: identity if pattern == "database" else f"statements-{namespace}"
        for pattern, logical in services.get(name).logical_names(settings(name))
    }
    memory.mkdir(mode=0o700)
    return Claim(owner, identity, names, f"secret-of-{namespace}-0123456789", memory)


def test_servers_are_found_by_what_they_are_and_the_app_is_not_started(ground: Ground) -> None:
    running = start(ground, *services.REGISTRY)
    assert {name: one.detail["container"] for name, one in running.servers.items()} == {
        "postgres": f"{ground.project}-db-1",
        "redis": f"{ground.project}-cache-1",
        "s3": f"{ground.project}-storage-1",
    }
    assert sorted(ground.containers()) == ["cache", "db", "storage"]


def test_a_service_that_the_configuration_names_is_used_as_its_own_image_says(ground: Ground) -> None:
    """MinIO answers on another port than the S3 server that envctl would start itself."""
    file = """services:
  minio: {image: "minio/minio:latest", command: server /data, ports: ["9000"]}
"""
    needs = {"s3": Need(services.get("s3"), settings("s3"))}
    running = ground.start(ground.servers(ground.checkout(file), needs, services={"s3": "minio"}))
    assert running.servers["s3"].address.user == "minioadmin"
    assert "minio" in running.servers["s3"].detail["version"].lower()


@pytest.mark.parametrize("name", services.REGISTRY)
def test_two_namespaces_share_a_server_of_the_projects_own(ground: Ground, tmp_path: Path, name: str) -> None:
    service, address = services.get(name), start(ground, name).servers[name].address
    one, other = (claim(name, each, tmp_path / each) for each in ("one", "other"))
    made = service.create(address, settings(name), one)
    again = service.create(address, settings(name), one)
    service.create(address, settings(name), other)
    assert (made.created, again.created) == (True, False)
    assert namespaces(service.list(address, "shop")) == {"one", "other"}
    for resource in made.resources:
        service.drop(address, resource)
    assert namespaces(service.list(address, "shop")) == {"other"}


def namespaces(resources: list[Resource]) -> set[str]:
    return {each.owner.namespace for each in resources if each.owner}
