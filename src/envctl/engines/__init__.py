"""The engines that can run servers. A new one is a file in this folder and a line here."""

from __future__ import annotations

from functools import cache
from importlib import import_module

from envctl.engines.base import Engine

REGISTRY = {
    "embedded": "envctl.engines.embedded",
    "compose": "envctl.engines.compose",
    "external": "envctl.engines.external",
}


@cache
def get(name: str) -> Engine:
    """The engine of that name."""
    engine: Engine = import_module(REGISTRY[name]).ENGINE
    return engine
