"""A number under quarantine stays allotted with its data, and its login is switched off.

Lock out first and record then; give back in the other order: what is recorded as locked up can be entered at no time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from envctl.errors import EnvctlError, UnavailableError
from envctl.model import Address, Resource
from envctl.services import quarantine
from envctl.services.ownership import not_ours, same_or_moved, vanished
from envctl.services.redis import logins, registry, wire
from envctl.services.redis.registry import Entry

ATTEMPTS = 5


def put(address: Address, resource: Resource, notes: Mapping[str, str]) -> Resource:
    """Switch the login off, then say so in the record; undone where somebody comes in meanwhile."""
    with wire.connected(address) as client:
        entry = _seen(client, resource)
        if quarantine.inside(entry.owner):
            logins.switch(client, entry.identity, "off")
            return replace(resource, owner=entry.owner)
        logins.refuse_sessions(client, entry)
        logins.switch(client, entry.identity, "off")
        try:
            return _recorded(client, entry, resource, notes)
        except EnvctlError:
            now = registry.find(client, entry.identity)
            if now is not None and not quarantine.inside(now.owner):  # else another has been quicker
                logins.switch(client, entry.identity, "on")
            raise


def give_back(address: Address, resource: Resource) -> Resource:
    """Say in the record that it is the namespace's again, then switch its login on."""
    with wire.connected(address) as client:
        entry = released(client, _seen(client, resource))
        logins.switch(client, entry.identity, "on")
        return replace(resource, owner=entry.owner)


def taken_out(client: Any, entry: Entry) -> Entry:
    """The entry as it is once its login is open: whoever locked it up meanwhile sees that, or is seen here."""
    found = registry.find(client, entry.identity)
    return released(client, found) if found is not None else entry


def released(client: Any, entry: Entry) -> Entry:
    """The entry, not in quarantine any more; its login is the caller's to open."""
    for _ in range(ATTEMPTS):
        if entry.owner is None or not quarantine.inside(entry.owner):
            return entry
        owner = quarantine.left(entry.owner)
        if registry.rewrite(client, entry, owner):
            return registry.parse(entry.identity, registry.text(entry, owner))
        entry = registry.find(client, entry.identity) or entry  # Another was quicker, and has most likely done it.
    raise _changed(entry.identity)


def _seen(client: Any, resource: Resource) -> Entry:
    """The entry that the caller means; it may be in quarantine or out of it by now."""
    entry = registry.find(client, resource.name)
    if entry is None:
        raise vanished(f"redis database {resource.name}")
    if not same_or_moved(entry.owner, resource.owner):
        raise not_ours(f"redis database {resource.name}", entry.owner)
    return entry


def _recorded(client: Any, entry: Entry, resource: Resource, notes: Mapping[str, str]) -> Resource:
    logins.refuse_sessions(client, entry)  # A login that is off keeps the connections that it has.
    assert entry.owner is not None
    owner = quarantine.entered(entry.owner, entry.identity, notes)
    if not registry.rewrite(client, entry, owner):
        raise _changed(entry.identity)
    if logins.is_on(client, entry.identity):  # Its namespace has come back between our two steps.
        inside = registry.parse(entry.identity, registry.text(entry, owner))
        registry.rewrite(client, inside, entry.owner)
        raise _changed(entry.identity)
    return replace(resource, owner=owner)


def _changed(identity: str) -> EnvctlError:
    return UnavailableError(f"the record of {identity} changed meanwhile", hint="try again")
