"""A bucket under quarantine keeps its name, and its namespace's key does not reach it.

Lock out first and record then; give back in the other order: what is recorded as locked up can be entered at no time.
Where a server has no keys but the administrator's, the record alone says it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from envctl.errors import EnvctlError
from envctl.model import Address, Resource
from envctl.services import quarantine
from envctl.services.ownership import not_ours, same_or_moved, vanished
from envctl.services.s3 import buckets, identities
from envctl.services.s3.buckets import Record
from envctl.services.s3.wire import connected


def put(address: Address, resource: Resource, notes: Mapping[str, str]) -> Resource:
    """Take it from its key's reach, then say so in its record."""
    with connected(address) as client:
        found = _seen(client, resource)
        identities.reach(address, found.identity, _without(resource))
        if quarantine.inside(found.owner):
            return replace(resource, owner=found.owner)
        assert found.owner is not None
        owner = quarantine.entered(found.owner, resource.name, notes)
        try:
            buckets.write(client, resource.name, found, owner, found.identity)
        except EnvctlError:
            identities.reach(address, found.identity, _with(resource))
            raise
        identities.reach(address, found.identity, _without(resource))  # Its namespace may have come back meanwhile.
        return replace(resource, owner=owner)


def give_back(address: Address, resource: Resource) -> Resource:
    """Say in its record that it is the namespace's again, then let its key reach it."""
    with connected(address) as client:
        found = released(client, resource.name, _seen(client, resource))
        identities.reach(address, found.identity, _with(resource))
        return replace(resource, owner=found.owner)


def released(client: Any, name: str, found: Record) -> Record:
    """The record, not in quarantine any more; the key is the caller's to open it to."""
    if found.owner is None or not quarantine.inside(found.owner):
        return found
    return buckets.write(client, name, found, quarantine.left(found.owner), found.identity)


def _seen(client: Any, resource: Resource) -> Record:
    """The record of the bucket that the caller means; it may be in quarantine or out of it by now."""
    found = buckets.read(client, resource.name)
    if found is None:
        raise vanished(f"bucket {resource.name}")
    if not same_or_moved(found.owner, resource.owner):
        raise not_ours(f"bucket {resource.name}", found.owner)
    return found


def _with(resource: Resource) -> identities.Change:
    return lambda reached: reached | {resource.name}


def _without(resource: Resource) -> identities.Change:
    return lambda reached: reached - {resource.name}
