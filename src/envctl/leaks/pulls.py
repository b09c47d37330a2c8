"""Which pull requests are open: asked of GitHub's API, or of what speaks like it."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl, urlencode

from envctl.document import Preview
from envctl.errors import UnavailableError
from envctl.leaks import web


def opened(preview: Preview, environ: Mapping[str, str], *, until: float) -> frozenset[int]:
    """The numbers of all that are open; half a list is no list, for what is not on it counts as closed."""
    headers = {"Accept": "application/vnd.github+json"}
    token = environ.get(preview.pulls_variable, "").strip() if preview.pulls_variable else ""
    if token:
        headers["Authorization"] = f"Bearer {token}"
    url, found = _asked(preview.pulls), set[int]()
    for _ in range(web.PAGES):
        answer = web.get(url, until=until, headers=headers)
        if answer.status != 200:
            raise _refused(answer, preview, token=bool(token))
        found |= _numbers(answer)
        url = answer.following()
        if not url:
            return frozenset(found)
    raise UnavailableError(f"{web.host(url)} has no end of pull requests")


def _asked(url: str) -> str:
    """The configured URL, with what must be asked for in any case."""
    parts = web.parts(url)
    query = {**dict(parse_qsl(parts.query)), "state": "open", "per_page": "100"}
    return parts._replace(query=urlencode(query)).geturl()


def _numbers(answer: web.Answer) -> set[int]:
    listed = answer.document()
    if not isinstance(listed, list):
        raise UnavailableError(f"{web.host(answer.url)} sent no list of pull requests")
    numbers = {one.get("number") if isinstance(one, dict) else None for one in listed}
    if not all(isinstance(number, int) for number in numbers):
        raise UnavailableError(f"{web.host(answer.url)} sent a pull request without a number")
    return {number for number in numbers if isinstance(number, int)}


def _refused(answer: web.Answer, preview: Preview, *, token: bool) -> UnavailableError:
    error = answer.refused("the open pull requests")
    if answer.status in (401, 403, 404):
        name = preview.pulls_variable
        error.hint = f"the token in {name} may not see them" if token else f"set {name or '[preview] pulls_variable'}"
    return error
