"""An S3 server that takes connections and says nothing, as a stopped process does: nobody waits for it for long."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from envctl.errors import UnavailableError
from envctl.model import Address, Owner, Resource
from envctl.services.s3 import S3, wire
from envctl.services.s3.census import census

OWNER = Owner("shop", "dev", "main", "/w", "main", "here", "2026")
PATIENCE = 40
"""Seconds, of which a whole work's wait for one answer would need more."""


@pytest.fixture
def mute(monkeypatch: pytest.MonkeyPatch) -> Iterator[Address]:
    """Connections are taken by the kernel, and nobody reads from them."""
    monkeypatch.setattr(wire, "LOOK", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield Address("127.0.0.1", server.getsockname()[1], "admin", "secret")


Ask = Callable[[S3, Address], object]


@pytest.mark.parametrize(
    "ask",
    [
        lambda kind, at: kind.check(at),
        lambda kind, at: kind.list(at, "shop"),
        lambda kind, at: kind.list(at, "shop", sizes=False),
        lambda kind, at: census(at, "lease"),
        lambda kind, at: kind.drop(at, Resource("s3", "bucket", "shop-dev", OWNER)),
        lambda kind, at: kind.note(at, Resource("s3", "bucket", "shop-dev", OWNER), {}),
    ],
    ids=["check", "list", "glance", "census", "drop", "note"],
)
def test_a_mute_server_is_told_and_not_waited_for(mute: Address, ask: Ask) -> None:
    with ThreadPoolExecutor(1) as pool, pytest.raises(UnavailableError, match="does not answer as it should"):
        pool.submit(ask, S3(), mute).result(PATIENCE)
