"""Buckets and the records they bear: tags of the bucket, or an object in it where the server has no tags."""

from __future__ import annotations

import base64
import io
import json
import zlib
from collections.abc import Mapping
from dataclasses import field
from functools import partial
from typing import Any

from envctl import owners
from envctl.errors import EnvctlError
from envctl.model import Owner
from envctl.values import dataclass

TAG = "envctl"
"""Our tags: `envctl.0`, `envctl.1` … hold the record in pieces, `envctl.identity` whose key opens the bucket."""
MARKER = ".envctl/owner"
PIECE = 256
PIECES = 7
"""Some servers allow ten tags; a few of them belong to others."""
NO_TAGS = frozenset({"NotImplemented", "XNotImplemented", "MethodNotAllowed", "UnsupportedOperation", "AccessDenied"})
UNREADABLE = NO_TAGS | {"NoSuchKey", "PermanentRedirect", "AuthorizationHeaderMalformed"}
"""Answers for what is not there, or not ours to see."""
NO_BUCKET = "NoSuchBucket"
THERE = frozenset({"BucketAlreadyOwnedByYou", "BucketAlreadyExists"})


@dataclass(frozen=True, slots=True)
class Record:
    """What stands with a bucket. `marked` without an owner: a record that this envctl cannot read."""

    owner: Owner | None
    identity: str
    marked: bool
    foreign: Mapping[str, str] = field(default_factory=dict)
    text: str = field(default="", repr=False, compare=False)
    """The record as it stands there, as far as it is text at all."""


def read(client: Any, bucket: str) -> Record | None:
    """The bucket's record; None if there is no such bucket, which some servers only say when asked for just that."""
    try:
        tags = _tags(client, bucket)
        if not tags and not _exists(client, bucket):
            return None
    except refusal() as error:
        if error.code == NO_BUCKET:
            return None
        raise
    return recognised(tags)


def recognised(tags: Mapping[str, str]) -> Record:
    """The record that these tags hold."""
    pieces = [tags[f"{TAG}.{number}"] for number in range(PIECES) if f"{TAG}.{number}" in tags]
    foreign = {name: value for name, value in tags.items() if not name.startswith(f"{TAG}.")}
    text = _unpack("".join(pieces))
    return Record(owners.from_text(text), tags.get(f"{TAG}.identity", ""), bool(pieces), foreign, text)


def write(client: Any, bucket: str, before: Record, owner: Owner, identity: str) -> Record:
    """Replace the record; tags that are not ours stay as they are."""
    from minio.commonconfig import Tags

    text = _pack(owner)
    pieces = {f"{TAG}.{at // PIECE}": text[at : at + PIECE] for at in range(0, len(text), PIECE)}
    if len(pieces) > PIECES:
        raise EnvctlError(
            f"the record of bucket {bucket} is too long", hint="shorten its notes", code="record_too_long"
        )
    tags = Tags.new_bucket_tags()
    tags.update({**before.foreign, f"{TAG}.identity": identity, **pieces})
    try:
        client.set_bucket_tags(bucket, tags)
    except refusal() as error:
        if error.code not in NO_TAGS:
            raise
        body = json.dumps(dict(tags)).encode()
        client.put_object(bucket, MARKER, io.BytesIO(body), len(body), content_type="application/json")
    return Record(owner, identity, True, before.foreign)


def make(client: Any, bucket: str) -> bool:
    """Whether it was this call that made it."""
    try:
        client.make_bucket(bucket)
    except refusal() as error:
        if error.code not in THERE:
            raise
        return False
    return True


def recorded(client: Any) -> dict[str, Record]:
    """Every bucket that bears a record of ours, readable or not."""
    return {name: record for name, record in everything(client).items() if record.marked}


def everything(client: Any) -> dict[str, Record]:
    """Every bucket there is; asked side by side, for they may be many."""
    from concurrent.futures import ThreadPoolExecutor

    names = sorted(bucket.name for bucket in client.list_buckets())
    with ThreadPoolExecutor(8) as pool:
        found = zip(names, pool.map(partial(read, client), names), strict=True)
        return {name: record for name, record in found if record is not None}


def _exists(client: Any, bucket: str) -> bool:
    """Whether there is such a bucket, be it ours to see or not."""
    try:
        return bool(client.bucket_exists(bucket))
    except refusal() as error:
        if error.code not in UNREADABLE:
            raise
    return True


def _tags(client: Any, bucket: str) -> dict[str, str]:
    try:
        return dict(client.get_bucket_tags(bucket) or {})
    except refusal() as error:
        if error.code not in UNREADABLE:
            raise
    return _marker(client, bucket)


def _marker(client: Any, bucket: str) -> dict[str, str]:
    """The tags that are kept in an object, where there is one that we may and can read."""
    try:
        answer = client.get_object(bucket, MARKER)
    except refusal() as error:
        if error.code not in UNREADABLE:
            raise
        return {}
    try:
        content = json.loads(answer.read(64 * 1024))
    except ValueError:
        return {}
    finally:
        answer.close()
        answer.release_conn()
    return content if isinstance(content, dict) and all(isinstance(one, str) for one in content.values()) else {}


def _pack(owner: Owner) -> str:
    """The record in the few characters that tags may have."""
    return base64.urlsafe_b64encode(zlib.compress(owners.to_text(owner).encode(), 9)).decode()


def _unpack(text: str) -> str:
    try:
        return zlib.decompress(base64.urlsafe_b64decode(text)).decode()
    except (ValueError, zlib.error):
        return ""


def refusal() -> type[Any]:
    """What the client raises when the server says no; its `code` says why."""
    from minio.error import S3Error

    return S3Error
