"""Questions to servers on the web that are not ours: bounded in time and size, and a secret goes to one host only."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import field
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urljoin, urlsplit

from envctl.errors import UnavailableError
from envctl.values import dataclass

if TYPE_CHECKING:
    from urllib.request import OpenerDirector

LARGEST = 16_000_000
"""No answer that we ask for is bigger; a server that sends for ever is not read for ever."""
PAGES = 100


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said. The names of its headers are in small letters."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    def document(self) -> Any:
        """The body as JSON."""
        import json

        try:
            return json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise UnavailableError(f"{host(self.url)} sent no JSON") from error

    def refused(self, what: str) -> UnavailableError:
        """The error for an answer that is none."""
        return UnavailableError(f"{host(self.url)} answered {self.status} when asked for {what}")

    def following(self) -> str:
        """The URL of the next page, if there is one; a page on another host is not ours to ask."""
        found = re.search(r'<([^<>]*)>\s*;[^,]*\brel="?next\b', self.headers.get("link", ""))
        try:
            url = urljoin(self.url, found[1]) if found else ""
        except ValueError as error:
            raise UnavailableError(f"{host(self.url)} sent no address for its next page") from error
        if url and origin(url) != origin(self.url):
            raise UnavailableError(f"{host(self.url)} sends us to another host for its next page")
        return url


def get(url: str, *, until: float, headers: Mapping[str, str] | None = None) -> Answer:
    """Ask, until that moment of the monotonic clock. Any status is an answer; no answer is an UnavailableError."""
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.request import Request

    if parts(url).scheme not in ("http", "https"):
        raise UnavailableError(f"{url.partition('?')[0]} is no address on the web")
    request = Request(url, headers={"User-Agent": "envctl", **(headers or {})})  # noqa: S310  (looked at above)
    try:
        try:
            answer = _opener().open(request, timeout=_left(url, until))
        except HTTPError as error:
            answer = error
        with answer:
            named = {name.lower(): value for name, value in answer.headers.items()}
            return Answer(answer.url, answer.status, named, _body(answer, url, until))
    except TimeoutError as error:
        raise _late(url) from error
    except (HTTPException, ValueError) as error:  # Their words may have a header in them, and that a token.
        raise UnavailableError(f"{host(url)} could not be asked", cause=type(error).__name__) from None
    except OSError as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, TimeoutError):
            raise _late(url) from error
        raise UnavailableError(f"{host(url)} could not be reached", cause=str(reason)) from error


def parts(url: str) -> SplitResult:
    """A URL taken apart; what is none is an error that does not repeat it, for it may have a password."""
    try:
        return urlsplit(url)
    except ValueError as error:
        raise UnavailableError("that is no address on the web", cause=str(error)) from None


def host(url: str) -> str:
    """The server's name, without what may be secret in a URL."""
    return parts(url).netloc.rpartition("@")[2]


def origin(url: str) -> tuple[str, str]:
    """Who is asked, and how."""
    return parts(url).scheme, host(url)


@cache
def _opener() -> OpenerDirector:
    """Made once: it costs more than a question does."""
    from urllib.request import HTTPRedirectHandler, Request, build_opener

    class Redirects(HTTPRedirectHandler):
        """A token is for whom we asked; where it sends us on to, it does not go along."""

        def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Request | None:
            request = super().redirect_request(req, fp, code, msg, headers, newurl)
            if request is not None and origin(newurl) != origin(req.full_url):
                request.remove_header("Authorization")
            return request

    return build_opener(Redirects())


def _body(answer: Any, url: str, until: float) -> bytes:
    """All of it. `read1` gives what there is, so that a server that sends a byte a second is not waited for."""
    found = bytearray()
    while chunk := answer.read1(65536):
        found += chunk
        if len(found) > LARGEST:
            raise UnavailableError(f"{host(url)} sent more than {LARGEST // 1_000_000} MB")
        _left(url, until)
    return bytes(found)


def _left(url: str, until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise _late(url)
    return left


def _late(url: str) -> UnavailableError:
    return UnavailableError(f"{host(url)} gave no whole answer in time")
