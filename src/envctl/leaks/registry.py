"""The `pr-123` tags in an image registry, through its HTTP API (v2) and with its tokens."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import field
from functools import partial
from typing import Any
from urllib.parse import urlencode

from envctl.digests import hexdigest
from envctl.errors import UnavailableError
from envctl.leaks import web
from envctl.values import dataclass

TAG = re.compile("pr-([1-9][0-9]{0,8})")
ACCEPTED = ", ".join(
    f"application/vnd.{kind}+json"
    for kind in (
        "oci.image.manifest.v1",
        "docker.distribution.manifest.v2",
        "oci.image.index.v1",
        "docker.distribution.manifest.list.v2",
    )
)
AT_ONCE = 8
LARGEST_LAYER = 10**13
"""Whatever says that it is bigger is not believed."""
LOOPBACK = ("localhost", "127.0.0.1", "::1")
_HOST = r"localhost|(?=[^/]*[.:])[A-Za-z0-9.-]+(?::[0-9]+)?|localhost:[0-9]+|\[[0-9a-f:]+\](?::[0-9]+)?"
"""As docker has it: without a dot or a port it would be a part of the image's name."""
_IMAGE = re.compile(rf"(?:(https?)://)?({_HOST})/([a-z0-9]+(?:(?:[._/]|__|-+)[a-z0-9]+)*)")
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True, slots=True)
class Tag:
    """One preview image in a registry."""

    image: str
    pull: int
    digest: str = ""
    bytes: int | None = None
    created: str = ""

    @property
    def name(self) -> str:
        """As `docker pull` takes it."""
        return f"{self.image}:pr-{self.pull}"


@dataclass(frozen=True, slots=True)
class Repository:
    """One image's place in a registry, and how we are known there."""

    image: str
    """As `docker` calls it, without a tag."""
    url: str
    login: str = field(default="", repr=False)
    """`user:token`, or empty."""


def repository(image: str, login: str) -> Repository:
    """An image's name as the configuration has it; a registry is asked over TLS unless it is on this machine."""
    found = _IMAGE.fullmatch(image)
    if found is None:
        raise UnavailableError(
            f"{image!r} is no repository", hint='[preview] images takes "registry.example.org/team/app", without a tag'
        )
    written, host, path = found.groups()
    scheme = written or ("http" if web.parts(f"//{host}").hostname in LOOPBACK else "https")
    server = "registry-1.docker.io" if host == "docker.io" else host
    return Repository(image_name(image), f"{scheme}://{server}/v2/{path}", login)


def image_name(image: str) -> str:
    """What `docker` calls the images of a repository."""
    return image.partition("://")[2].removeprefix("docker.io/") or image.removeprefix("docker.io/")


def tags(place: Repository, *, until: float) -> tuple[Tag, ...]:
    """Every preview tag, with its size and age; those of other names are nobody's business here."""
    ask = _Asker(place, until)
    numbers = sorted({int(found[1]) for name in _names(ask, place) if (found := TAG.fullmatch(name))})
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return tuple(pool.map(partial(_tag, ask, place), numbers))


def _names(ask: _Asker, place: Repository) -> list[str]:
    url, found = f"{place.url}/tags/list?n=1000", list[str]()
    for _ in range(web.PAGES):
        answer = ask(url)
        if answer.status == 404:
            return []  # Nothing was ever pushed there.
        if answer.status != 200:
            raise answer.refused(f"the tags of {place.image}")
        listed = answer.document()
        found += [one for one in (listed.get("tags") if isinstance(listed, dict) else None) or () if type(one) is str]
        url = answer.following()
        if not url:
            return found
    raise UnavailableError(f"{web.host(url)} has no end of tags")


def _tag(ask: _Asker, place: Repository, pull: int) -> Tag:
    """One tag looked at. What cannot be told of it in time is left out: that it is there is known already."""
    try:
        answer, manifest = _manifest(ask, place, f"pr-{pull}")
        digest = answer.headers.get("docker-content-digest") or f"sha256:{hexdigest(answer.body)}"
        first = next((one["digest"] for one in _parts(manifest, "manifests")), "")
        if first:  # One image for each kind of machine: the first tells enough.
            manifest = _manifest(ask, place, first)[1]
    except UnavailableError:
        return Tag(place.image, pull)
    sizes = [one.get("size") for one in _parts(manifest, "layers")]
    known = [one for one in sizes if isinstance(one, int) and 0 <= one < LARGEST_LAYER]
    return Tag(place.image, pull, digest, sum(known) if known else None, _created(ask, place, manifest))


def _manifest(ask: _Asker, place: Repository, reference: str) -> tuple[web.Answer, dict[str, Any]]:
    answer = ask(f"{place.url}/manifests/{reference}", {"Accept": ACCEPTED})
    if answer.status != 200:
        raise answer.refused(f"the manifest {reference}")
    found = answer.document()
    return answer, found if isinstance(found, dict) else {}


def _created(ask: _Asker, place: Repository, manifest: Mapping[str, Any]) -> str:
    """When the image was made, as its configuration says; images of one build share that."""
    config = manifest.get("config")
    digest = config.get("digest") if isinstance(config, dict) else None
    if not isinstance(digest, str) or not _is_digest(digest):
        return ""
    if digest not in ask.moments:
        try:
            answer = ask(f"{place.url}/blobs/{digest}")
            found = answer.document() if answer.status == 200 else {}
        except UnavailableError:
            found = {}
        ask.moments[digest] = str(found.get("created", "")) if isinstance(found, dict) else ""
    return ask.moments[digest]


def _parts(manifest: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    listed = manifest.get(key)
    parts = listed if isinstance(listed, list) else []
    return [one for one in parts if isinstance(one, dict) and _is_digest(one.get("digest"))]


def _is_digest(text: Any) -> bool:
    return isinstance(text, str) and re.fullmatch("[a-z0-9]+:[0-9a-f]{32,128}", text) is not None


class _Asker:
    """Asks a registry, and gets itself the token that it wants, once."""

    def __init__(self, place: Repository, until: float) -> None:
        self._place = place
        self._until = until
        self._authorization = ""
        self.moments: dict[str, str] = {}
        """When images were made, by the digest of what says so."""

    def __call__(self, url: str, headers: Mapping[str, str] | None = None) -> web.Answer:
        answer = self._get(url, headers)
        if answer.status == 401:
            self._authorization = self._allowed(answer.headers.get("www-authenticate", ""))
            answer = self._get(url, headers)
        return answer

    def _get(self, url: str, headers: Mapping[str, str] | None) -> web.Answer:
        known = {"Authorization": self._authorization} if self._authorization else {}
        return web.get(url, until=self._until, headers={**known, **(headers or {})})

    def _allowed(self, challenge: str) -> str:
        """The header that answers the registry's challenge."""
        kind, _, rest = challenge.partition(" ")
        asked = dict(_CHALLENGE.findall(rest))
        if kind.lower() == "basic" and self._place.login:
            return self._basic
        if kind.lower() != "bearer" or "realm" not in asked:
            raise UnavailableError(f"{web.host(self._place.url)} wants a login", hint="set [preview] registry_variable")
        realm = asked.pop("realm")
        if web.parts(realm).scheme != "https" and web.host(realm) != web.host(self._place.url):
            raise UnavailableError(f"{web.host(self._place.url)} sends us elsewhere for a token, without TLS")
        query = {"scope": f"repository:{web.parts(self._place.url).path.removeprefix('/v2/')}:pull", **asked}
        headers = {"Authorization": self._basic} if self._place.login else {}
        joint = "&" if "?" in realm else "?"
        answer = web.get(f"{realm}{joint}{urlencode(query)}", until=self._until, headers=headers)
        given = answer.document() if answer.status == 200 else None
        token = (given.get("token") or given.get("access_token")) if isinstance(given, dict) else None
        if not isinstance(token, str) or re.search(r"\s", token):
            raise answer.refused(f"a token for {self._place.image}")
        return f"Bearer {token}"

    @property
    def _basic(self) -> str:
        return f"Basic {b64encode(self._place.login.encode()).decode()}"
