"""The services we can provision. A new one is a file in this folder and a line here."""

from __future__ import annotations

from functools import cache
from importlib import import_module

from envctl.services.base import Service

REGISTRY = {
    "postgres": "envctl.services.postgres",
    "s3": "envctl.services.s3",
    "redis": "envctl.services.redis",
}


@cache
def get(name: str) -> Service:
    """The service of that name; its clients are imported only when they are used."""
    service: Service = import_module(REGISTRY[name]).SERVICE
    return service
