"""Making a bucket: what we mean to make is put down first, for a bucket without a record says nothing of its maker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from envctl import state
from envctl.errors import UnavailableError
from envctl.model import Address, Claim
from envctl.services.ownership import may_take, not_ours, of_this_run
from envctl.services.s3 import buckets, contents, quarantine
from envctl.services.s3.buckets import Record
from envctl.services.s3.wire import connected

HINT = "choose another name in [services.s3]"


def make(client: Any, name: str, claim: Claim) -> tuple[Record, bool]:
    """The claim's bucket and whether it is new. One without a record is taken only if it is empty and we meant it."""
    intent = claim.memory / f"s3-{name}.json"
    intended = intent.exists()
    found = buckets.read(client, name)
    created = found is None
    if found is None:
        state.write(intent, {"bucket": name, "identity": claim.identity})
        intended = buckets.make(client, name) or intended
        found = buckets.read(client, name)
    if found is None:
        raise UnavailableError(f"bucket {name} was removed while it was being made", hint="try again")
    if not found.marked:
        if not (intended and contents.empty(client, name)):
            raise not_ours(f"bucket {name}", None, hint=f"{HINT}, or remove that bucket")
        found = buckets.write(client, name, found, claim.owner, claim.identity)
    if found.owner is None or not may_take(found.owner, claim):
        raise not_ours(f"bucket {name}", found.owner, hint=HINT)
    if (owner := of_this_run(found.owner, claim.owner)) != found.owner:
        found = buckets.write(client, name, found, owner, claim.identity)
    found = quarantine.released(client, name, found)
    intent.unlink(missing_ok=True)
    return found, created


def seen_again(client: Any, name: str, made: Record) -> Record:
    """The record once the key is there: whoever put the bucket into quarantine meanwhile has come too late."""
    found = buckets.read(client, name)
    return made if found is None else quarantine.released(client, name, found)


def give_up(address: Address, memory: Path) -> None:
    """Remove the buckets that a killed `make` left before it could write their records."""
    for intent in sorted(memory.glob("s3-*.json")):
        name = str((state.read(intent) or {}).get("bucket", ""))
        with connected(address) as client:
            found = buckets.read(client, name) if name else None
            if found is not None and not found.marked and contents.empty(client, name):
                contents.remove(client, name)
        intent.unlink(missing_ok=True)
