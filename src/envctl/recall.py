"""What a claim was given the last time. Never believed: the service asks the server whether it still opens."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from envctl import owners, state
from envctl.errors import EnvctlError
from envctl.model import Access, Address, Claim, Resource


def remember(claim: Claim, address: Address, settings: Any, access: Access) -> None:
    """Put down, readable by its owner alone, what this claim was given there."""
    resources = [
        {"service": one.service, "kind": one.kind, "name": one.name, "owner": owners.to_text(one.owner)}
        for one in access.resources
        if one.owner is not None
    ]
    if len(resources) == len(access.resources):
        content = {"asked": _asked(claim, address, settings), "resources": resources, "values": dict(access.values)}
        state.write(_file(claim), content)


def recalled(claim: Claim, address: Address, settings: Any) -> Access | None:
    """What the same claim was given there, if nothing that was asked has changed since."""
    try:
        content = state.read(_file(claim))
        if content is None or content["asked"] != _asked(claim, address, settings):
            return None
        resources = tuple(
            Resource(one["service"], one["kind"], one["name"], owners.from_text(one["owner"]))
            for one in content["resources"]
        )
        return Access(resources, dict(content["values"]))
    except (EnvctlError, KeyError, TypeError, AttributeError):
        return None  # It is only a memory: without it the server is asked for everything again.


def _asked(claim: Claim, address: Address, settings: Any) -> dict[str, Any]:
    place = {**asdict(address), "password": ""}
    return {"address": place, "settings": repr(settings), "identity": claim.identity, "names": dict(claim.names)}


def _file(claim: Claim) -> Path:
    return claim.memory / "access.json"
