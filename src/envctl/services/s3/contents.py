"""What is in a bucket: objects with all their versions, and uploads that nobody completed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from typing import Any

from envctl.services.s3.buckets import MARKER, NO_BUCKET, NO_TAGS, refusal

COUNTED = 5000
"""A bucket of more objects is not counted: that would take its server for minutes."""


def empty(client: Any, bucket: str) -> bool:
    """Whether there is nothing in it: no object, no old version, no upload under way."""
    objects = (name for name, _ in _contents(client, bucket) if name != MARKER)
    return next(objects, None) is None and next(_uploads(client, bucket), None) is None


def sizes(client: Any, names: Iterable[str]) -> dict[str, int | None]:
    """What each bucket holds, in bytes; None where that is too much to count."""
    from concurrent.futures import ThreadPoolExecutor

    asked = list(names)
    with ThreadPoolExecutor(8) as pool:
        return dict(zip(asked, pool.map(partial(_size, client), asked), strict=True))


def remove(client: Any, bucket: str) -> None:
    """Empty it and remove it. Tags go with the bucket in the server's one step; a marker object has to go before."""
    _abort_uploads(client, bucket)
    _remove_contents(client, bucket, but=MARKER)
    _remove_contents(client, bucket, but="")
    _unless_gone(partial(client.remove_bucket, bucket))


def _abort_uploads(client: Any, bucket: str) -> None:
    """All of them, however many pages they are; one that the server keeps does not keep us."""
    before: list[tuple[str, str]] = []
    while (there := list(_uploads(client, bucket))) and there != before:
        for name, upload in there:
            _unless_gone(partial(client._abort_multipart_upload, bucket, name, upload))
        before = there


def _remove_contents(client: Any, bucket: str, *, but: str) -> None:
    """In batches where the server can, else one by one."""
    from minio.deleteobjects import DeleteObject

    def doomed() -> Iterator[Any]:
        return (DeleteObject(name, version) for name, version in _contents(client, bucket) if name != but)

    try:
        failed = list(client.remove_objects(bucket, doomed()))
    except refusal() as error:
        if error.code == NO_BUCKET:
            return
        failed = [error]
    if failed:
        for name, version in _contents(client, bucket):
            if name != but:
                client.remove_object(bucket, name, version)


def _size(client: Any, bucket: str) -> int | None:
    """All versions of all objects, and the parts of uploads that nobody completed."""
    counted = islice(_sized(client, bucket), COUNTED + 1)
    found = list(counted)
    return sum(found) if len(found) <= COUNTED else None


def _sized(client: Any, bucket: str) -> Iterator[int]:
    yield from (one.size or 0 for one in _versions(client, bucket))
    for name, upload in _uploads(client, bucket):
        yield from (one.size or 0 for one in _parts(client, bucket, name, upload))


def _contents(client: Any, bucket: str) -> Iterator[tuple[str, str | None]]:
    """The names and versions of all that is in it."""
    return ((one.object_name, one.version_id) for one in _versions(client, bucket))


def _versions(client: Any, bucket: str) -> Iterator[Any]:
    """Every version of every object; plain objects where the server knows no versions."""
    for versions in (True, False):
        try:
            yield from client.list_objects(bucket, recursive=True, include_version=versions)
        except refusal() as error:
            if error.code == NO_BUCKET:
                return
            if not versions or error.code not in NO_TAGS:
                raise
        else:
            return


def _uploads(client: Any, bucket: str) -> Iterator[tuple[str, str]]:
    """Uploads in parts that nobody completed. Of a thousand for one object the rest may be left out."""
    after: str | None = None
    while True:
        try:
            found = client._list_multipart_uploads(bucket, prefix="", max_uploads=1000, key_marker=after)
        except refusal() as error:
            if error.code not in NO_TAGS and error.code != NO_BUCKET:
                raise
            return
        yield from ((one.object_name, one.upload_id) for one in found.uploads)
        last, after = after, found.next_key_marker
        if not (found.is_truncated and found.uploads) or after in (None, "", last):
            return


def _parts(client: Any, bucket: str, name: str, upload: str) -> list[Any]:
    """The first thousand parts of an upload; none of one that has just ended."""
    try:
        return list(client._list_parts(bucket, name, upload, max_parts=1000).parts)
    except refusal() as error:
        if error.code in NO_TAGS or error.code in (NO_BUCKET, "NoSuchUpload"):
            return []
        raise


def _unless_gone(remove: Callable[[], Any]) -> None:
    try:
        remove()
    except refusal() as error:
        if error.code not in (NO_BUCKET, "NoSuchKey", "NoSuchUpload"):
            raise
