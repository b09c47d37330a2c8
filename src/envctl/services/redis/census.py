"""Every key outside of what the registry allots, how full each allotted number is, and the users."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from typing import Any

from envctl.model import Address, Seen
from envctl.services.redis import registry, wire

MOST = 1000
"""How many keys of a number are told by name."""


def census(address: Address, lease: str) -> tuple[Seen, ...]:
    """What is in each number, and who may come in."""
    with wire.connected(address) as client:
        entries = registry.entries(client)
        filled = {int(name.removeprefix("db")): found["keys"] for name, found in client.info("keyspace").items()}
        users = _users(client, {one.identity for one in entries} | {"default", address.user})
    owners = {one.number: one.owner for one in entries if one.kind == "number"}
    mine = {one.number for one in entries if one.owner is not None and one.owner.lease == lease}
    allotted = tuple(
        Seen("keys", f"number {number}", owners[number], state=f"{filled.get(number, 0)} keys")
        for number in owners
        if number not in mine
    )
    prefixes = tuple(one.prefix for one in entries if one.kind == "prefix")
    stray = (one for number in filled if number not in owners for one in _stray(address, number, prefixes))
    return (*allotted, *stray, *users)


def _stray(address: Address, number: int, prefixes: tuple[str, ...]) -> Iterator[Seen]:
    """The keys of a number that was allotted to nobody, but for those under somebody's prefix."""
    there = replace(address, options={**address.options, "number": str(number)})
    with wire.connected(there) as client:
        for key in islice(client.scan_iter(count=1000), MOST):
            if key != registry.HASH and not key.startswith(prefixes):
                yield Seen("key", f"{key} in number {number}")


def _users(client: Any, known: set[str]) -> tuple[Seen, ...]:
    import redis

    with suppress(redis.ResponseError):
        return tuple(Seen("user", one) for one in client.acl_users() if one not in known)
    return ()
