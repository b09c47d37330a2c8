"""How we talk to an S3 server: through minio's client, and by signing the requests that it has no call for."""

from __future__ import annotations

import hashlib
import hmac
import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from html import unescape
from typing import Any
from urllib.parse import quote, urlencode

from envctl.errors import UnavailableError
from envctl.model import Address
from envctl.services.servers import in_url
from envctl.values import dataclass

FORM = "application/x-www-form-urlencoded"
PAIR = re.compile(r"<Key>([^<]*)</Key>\s*<Value>([^<]*)</Value>")
NAME = re.compile(r"<Name>([^<]*)</Name>")
WHOLE = "</ListAllMyBucketsResult>"
LOOK, WORK = 5.0, 60.0
"""Seconds for one answer, to whoever only looks and to who makes or removes something."""
LONGEST = 1 << 20
"""Bytes of one plain answer; the tags of a bucket are far fewer."""


def endpoint(address: Address) -> str:
    """The server's URL, without credentials."""
    scheme = "https" if address.options.get("secure") == "true" else "http"
    return f"{scheme}://{in_url(address.host)}:{address.port}"


def region(address: Address) -> str:
    """The region that requests are signed for."""
    return address.options.get("region", "us-east-1")


def looking(address: Address) -> AbstractContextManager[Any]:
    """The administrator's client for whoever only looks, and does not wait long for a server that says nothing."""
    return _client(address, _pool(LOOK, retries=2, again=1))


def connected(address: Address) -> AbstractContextManager[Any]:
    """The administrator's client; a server that does not answer or lets us in is told in one error."""
    _refuse_mute(address)
    return _client(address, _pool(WORK, retries=2))


@contextmanager
def _client(address: Address, pool: Any) -> Iterator[Any]:
    from minio import Minio
    from minio.error import S3Error, ServerError
    from urllib3.exceptions import HTTPError

    scheme, _, place = endpoint(address).partition("://")
    try:
        yield Minio(
            place,
            address.user or None,
            address.password or None,
            secure=scheme == "https",
            region=region(address),
            http_client=pool,
        )
    except (HTTPError, ServerError) as error:
        raise unreachable(address, str(error)) from error
    except S3Error as error:
        raise unreachable(address, f"{error.code}: {error.message} ({error.bucket_name or 'no bucket'})") from error
    finally:
        pool.clear()


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: an error code of S3 or IAM is the text between `<Code>` and its end."""

    status: int
    server: str
    text: str

    @property
    def code(self) -> str:
        """The error's code, if it has one."""
        return self.text.partition("<Code>")[2].partition("</Code>")[0]


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of the server, before it is signed."""

    method: str
    path: str
    search: str = ""
    body: str = ""
    service: str = "s3"


def signed(
    address: Address,
    key: str,
    secret: str,
    *,
    service: str = "s3",
    path: str = "/",
    query: Mapping[str, str] | None = None,
    form: Mapping[str, str] | None = None,
    seconds: float = WORK,
) -> Answer:
    """One request signed with AWS signature version 4: a POST where there is a form, else a GET."""
    from urllib3.exceptions import HTTPError

    search = urlencode(sorted((query or {}).items()), quote_via=quote, safe="")
    request = Request("GET" if form is None else "POST", path, search, urlencode(form or {}), service)
    headers = _headers(address, request, key, secret)
    pool = _pool(seconds, retries=0)
    try:
        url = f"{endpoint(address)}{path}" + (f"?{search}" if search else "")
        answer = pool.request(request.method, url, body=request.body, headers=headers, redirect=False)
    except HTTPError as error:
        raise unreachable(address, str(error)) from error
    finally:
        pool.clear()
    return Answer(answer.status, answer.headers.get("Server", ""), answer.data.decode(errors="replace"))


def sees(address: Address, key: str, secret: str, bucket: str) -> bool:
    """Whether that key sees that bucket."""
    return _plain(address, Request("HEAD", f"/{bucket}"), key, secret) is not None


def buckets(address: Address) -> list[str]:
    """The names of all buckets as the administrator sees them; none where it does not tell them all at once."""
    text = _plain(address, Request("GET", "/"), address.user, address.password) or ""
    return sorted(unescape(name) for name in NAME.findall(text)) if text.rstrip().endswith(WHOLE) else []


def tags(address: Address, bucket: str) -> dict[str, str]:
    """The bucket's tags as the administrator sees them; none where the server has no tags or does not answer."""
    text = _plain(address, Request("GET", f"/{bucket}", "tagging="), address.user, address.password) or ""
    return {unescape(name): unescape(value) for name, value in PAIR.findall(text)}


def _plain(address: Address, request: Request, key: str, secret: str) -> str | None:
    """The text of a good answer to one plain request, else None; a client costs a tenth of a second."""
    if not endpoint(address).startswith("http:"):
        return None
    lines = [f"{name}: {value}" for name, value in _headers(address, request, key, secret).items()]
    target = request.path + (f"?{request.search}" if request.search else "")
    # Version 1.0, because its answers come in one piece and end with the connection.
    text = "\r\n".join((f"{request.method} {target} HTTP/1.0", *lines, "", ""))
    try:
        with socket.create_connection((address.host, address.port), timeout=LOOK) as connection:
            connection.sendall(text.encode())
            with connection.makefile("rb") as stream:
                answer = stream.read(LONGEST).decode(errors="replace")
    except OSError:
        return None
    head, _, body = answer.partition("\r\n\r\n")
    return body if head.split()[1:2] == ["200"] else None


def unreachable(address: Address, cause: str) -> UnavailableError:
    """The one error for an S3 server that does not do what it was asked."""
    return UnavailableError(f"s3 at {endpoint(address)} does not answer as it should", cause=cause)


def _headers(address: Address, request: Request, key: str, secret: str) -> dict[str, str]:
    """The headers of a request, its signature among them."""
    headers = {
        "host": endpoint(address).partition("://")[2],
        "x-amz-content-sha256": _digest(request.body),
        "x-amz-date": f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}",
    }
    if request.method == "POST":
        headers["content-type"] = FORM
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    whole = "\n".join((request.method, request.path, request.search, lines, names, _digest(request.body)))
    stamp = headers["x-amz-date"]
    scope = f"{stamp[:8]}/{region(address)}/{request.service}/aws4_request"
    signing = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        signing = hmac.digest(signing, part.encode(), "sha256")
    message = "\n".join(("AWS4-HMAC-SHA256", stamp, scope, _digest(whole)))
    signature = hmac.digest(signing, message.encode(), "sha256").hex()
    credential = f"AWS4-HMAC-SHA256 Credential={key}/{scope}, SignedHeaders={names}, Signature={signature}"
    return {**headers, "authorization": credential}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _refuse_mute(address: Address) -> None:
    """Raise where a connection is taken and nothing said, as of a stopped process: work would wait long for it."""
    if not endpoint(address).startswith("http:"):
        return
    try:
        with socket.create_connection((address.host, address.port), timeout=2 * LOOK) as connection:
            connection.sendall(f"HEAD / HTTP/1.0\r\nHost: {address.host}\r\n\r\n".encode())
            connection.recv(1)
    except TimeoutError:
        raise unreachable(address, f"it said nothing within {2 * LOOK:g} s") from None
    except OSError:
        return  # Whoever works will hear it too, and say it better.


def _pool(seconds: float, *, retries: int, again: int | None = None) -> Any:
    """`again`: how often a request is sent once more that got no answer in time."""
    import urllib3

    patience = urllib3.Timeout(connect=3, read=seconds)
    retry = urllib3.Retry(retries, connect=again, read=again, backoff_factor=0.1, status_forcelist=[500, 502, 503, 504])
    return urllib3.PoolManager(maxsize=8, timeout=patience, retries=retry if retries else False)
