"""Every bucket of the server, whoever made it, and how much is in it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any

from envctl.model import Address, Owner, Seen
from envctl.services.s3 import buckets
from envctl.services.s3.wire import looking

MOST = 1000
"""How many objects of a bucket are counted: one request."""


def census(address: Address, lease: str) -> tuple[Seen, ...]:
    """The buckets, and the contents of those that are not this run's own."""
    with looking(address) as client, ThreadPoolExecutor(8) as pool:
        seen = pool.map(lambda one: tuple(_seen(client, one.name, one.creation_date, lease)), client.list_buckets())
        return tuple(one for several in seen for one in several)


def _seen(client: Any, name: str, made: Any, lease: str) -> Iterator[Seen]:
    record = buckets.read(client, name)
    if record is None:
        return
    moment = made.timestamp() if made is not None else None
    # A record of a later version explains a bucket too: that it cannot be read makes it nobody's of this run.
    yield Seen("bucket", name, record.owner, made=moment, inner=record.marked and record.owner is None)
    if record.owner is None or record.owner.lease != lease:
        yield _contents(client, name, record.owner)


def _contents(client: Any, name: str, owner: Owner | None) -> Seen:
    found = [
        one
        for one in islice(client.list_objects(name, recursive=True), MOST)
        if one.object_name != buckets.MARKER and not one.is_dir
    ]
    size = sum(one.size or 0 for one in found)
    more = " or more" if len(found) == MOST else ""
    newest = max((one.last_modified.timestamp() for one in found if one.last_modified), default=None)
    return Seen("objects", name, owner, state=f"{len(found)}{more} objects, {size} bytes", made=newest)
