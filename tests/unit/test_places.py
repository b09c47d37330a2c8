"""What is said of servers that cannot be looked into."""

from __future__ import annotations

from pathlib import Path

import pytest

from envctl.inventory import places
from envctl.model import Address
from envctl.recovery.visit import Visit
from envctl.server_set import Running, Server


@pytest.mark.parametrize(
    ("name", "command"),
    [("dev-compose", "`envctl --engine compose dev up`"), ("test-embedded", "`envctl --engine embedded test`")],
)
def test_who_starts_servers_that_are_down_is_told(tmp_path: Path, name: str, command: str) -> None:
    server = Server(Address("127.0.0.1", 1), {"data": str(tmp_path)})
    visit = Visit(Path(name), Running("embedded", {"redis": server}), frozenset())
    (unseen,) = places._down(visit)
    assert unseen.place == f"{name} redis"
    assert command in unseen.why


@pytest.mark.parametrize(
    ("name", "data", "there"),
    [
        ("dev-embedded", "gone/data", True),  # its disk may not be mounted
        ("dev-embedded", "gone", False),
        ("dev-compose", "", True),
        ("test-embedded", "gone/data", False),
        ("test-embedded", "", False),
    ],
)
def test_a_server_without_data_is_out_of_nobodys_reach(tmp_path: Path, name: str, data: str, there: bool) -> None:
    server = Server(Address("127.0.0.1", 1), {"data": str(tmp_path / data)} if data else {})
    assert bool(Visit(Path(name), Running("embedded", {"redis": server}), frozenset()).out_of_reach) == there
