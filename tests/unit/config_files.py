"""Small settings of our own, and a way to write a project's file, for the tests of the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from envctl import config
from envctl.errors import ConfigError
from envctl.settings import setting

SHORT = """\
project = "shop"
[services.postgres]
extensions = ["vector"]
migrate = "alembic upgrade head"
watch = ["migrations/**", "alembic.ini"]
[services.s3]
buckets = ["statements"]
[services.redis]
[dev.processes.api]
command = "uvicorn shop.main:app --reload --port {port}"
health = "/health"
[variables]
DATABASE_URL = "{postgres.url:postgresql+asyncpg}"
"""


@dataclass(frozen=True)
class Steps:
    """A type with a written form of its own."""

    commands: tuple[str, ...] = setting("The commands.", default=())
    retries: int = setting("How often.", default=0)

    @classmethod
    def parse(cls, value: Any, where: str) -> Steps:
        if isinstance(value, str):
            return cls((value,))
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return cls(tuple(value))
        raise ValueError("must be a command or a list of commands")


@dataclass(frozen=True)
class Tuning:
    """A table inside a table."""

    memory: int = setting("MiB.", default=64)
    fsync: bool = setting("Whether to sync.", default=True)
    factor: float = setting("A factor.", default=1.0)


@dataclass(frozen=True)
class Postgres:
    """The kind of table that a service has."""

    version: Literal["16", "17", "18"] = setting("The major version.", default="18")
    extensions: tuple[str, ...] = setting("Extensions.", default=())
    migrate: Steps = setting("How to migrate.", default=Steps())
    watch: tuple[str, ...] = setting("What migrations are made of.", default=())
    tuning: Tuning = setting("Tuning.", factory=Tuning)
    roles: Mapping[str, Tuning] = setting("Roles.", factory=dict)
    password: str = setting("A password.", default="")

    def __post_init__(self) -> None:
        if self.version == "16" and self.extensions:
            raise ConfigError(f"{self.extensions[0]} needs version 17", hint="raise the version")


@dataclass(frozen=True)
class S3:
    """Buckets."""

    buckets: tuple[str, ...] = setting("Buckets.", default=())


@dataclass(frozen=True)
class Redis:
    """Nothing to set."""


KINDS: Mapping[str, type] = {"postgres": Postgres, "s3": S3, "redis": Redis}
GIVES = {"postgres": ("url", "host", "password"), "s3": ("endpoint", "bucket.statements"), "redis": ("url",)}


def written(folder: Path, text: str, name: str = "envctl.toml") -> Path:
    """A project's file with this text."""
    file = folder / name
    file.write_text(text)
    return file


def loaded(folder: Path, text: str, *, environ: Mapping[str, str] | None = None, engine: str = "") -> config.Config:
    """The settings that a text comes to."""
    return config.load(
        written(folder, text),
        KINDS,
        environ=environ or {},
        engine_flag=engine,
        placeholders=lambda service, settings: GIVES[service],
        logical_names=lambda service, settings: [("bucket", one) for one in getattr(settings, "buckets", ())],
    )
