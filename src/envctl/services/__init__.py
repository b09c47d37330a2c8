"""The services we can provision. A new one is a file in this folder and a line here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from typing import Any

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


class _Kinds(Mapping[str, type[Any]]):
    """The settings of each service by its name; a service that a project does not use is never imported."""

    def __getitem__(self, name: str) -> type[Any]:
        if name not in REGISTRY:
            raise KeyError(name)
        return get(name).settings

    def __contains__(self, name: object) -> bool:
        return name in REGISTRY

    def __iter__(self) -> Iterator[str]:
        return iter(REGISTRY)

    def __len__(self) -> int:
        return len(REGISTRY)


KINDS = _Kinds()
