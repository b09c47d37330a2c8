"""Questions to GitHub and to image registries, asked of real servers: whole answers, and tokens for one host only."""

from __future__ import annotations

import threading
import time
from base64 import b64encode
from pathlib import Path

import pytest
from far_side import Asked, FarSide, Said, serving

from envctl.document import Preview
from envctl.errors import UnavailableError
from envctl.leaks import pulls, registry, web
from envctl.leaks.looking import told

MANIFEST = {"config": {"digest": f"sha256:{'c' * 64}"}, "layers": [{"digest": f"sha256:{'1' * 64}", "size": 1000}] * 2}
SECRET = "s3cret-token"


def until(seconds: float = 20) -> float:
    return time.monotonic() + seconds


def opened(far: FarSide, seconds: float = 20, **environ: str) -> frozenset[int]:
    preview = Preview(pulls=f"{far.url}/repos/acme/shop/pulls?direction=asc")
    return pulls.opened(preview, environ, until=until(seconds))


def tags(far: FarSide, login: str = "") -> tuple[registry.Tag, ...]:
    return registry.tags(registry.repository(f"{far.host}/acme/shop", login), until=until())


def test_open_pull_requests_are_read_page_by_page_with_the_token() -> None:
    def answers(one: Asked) -> Said:
        if "page=2" in one.path.replace("per_page", ""):
            return Said([{"number": 7}])
        return Said([{"number": 3}, {"number": 5}], headers={"Link": '</repos/acme/shop/pulls?page=2>; rel="next"'})

    with serving(answers) as far:
        assert opened(far, GITHUB_TOKEN=f"{SECRET}\n") == {3, 5, 7}
        assert [one.token for one in far.asked] == [f"Bearer {SECRET}"] * 2
        assert "state=open" in far.asked[0].path
        assert "direction=asc" in far.asked[0].path


@pytest.mark.parametrize(
    "second",
    [
        Said(b"[" * 100_000),
        Said([{"number": 4}], headers={"Link": '<http://[>; rel="next"'}),
        Said(b"", 302, {"Location": "http://["}),
        Said(b"\xff"),
        Said([], status=500),
        Said(b"<html>"),
        Said({"message": "rate limit"}),
        Said([{"title": "x"}]),
        Said(["x"]),
    ],
)
def test_half_a_list_of_pull_requests_is_none(second: Said) -> None:
    def answers(one: Asked) -> Said:
        return second if "/more" in one.path else Said([{"number": 3}], headers={"Link": '</more>; rel="next"'})

    with serving(answers) as far, pytest.raises(UnavailableError):
        opened(far)


def test_a_next_page_on_another_host_is_not_asked() -> None:
    with serving(lambda one: Said([])) as other:
        link = {"Link": f'<{other.url}/more>; rel="next"'}
        with serving(lambda one: Said([], headers=link)) as far, pytest.raises(UnavailableError, match="another host"):
            opened(far, GITHUB_TOKEN=SECRET)
        assert not other.asked


def test_a_redirect_to_another_host_does_not_get_the_token() -> None:
    with serving(lambda one: Said([{"number": 1}])) as other:
        away = {"Location": f"{other.url}/elsewhere"}
        with serving(lambda one: Said(b"", 302, away)) as far:
            assert opened(far, GITHUB_TOKEN=SECRET) == {1}
        assert [one.token for one in other.asked] == [""]


@pytest.mark.parametrize(("token", "hint"), [(SECRET, "may not see them"), ("", "set GITHUB_TOKEN")])
def test_a_refusal_says_what_to_do_and_never_the_token(token: str, hint: str) -> None:
    with serving(lambda one: Said({}, 403)) as far, pytest.raises(UnavailableError) as raised:
        opened(far, GITHUB_TOKEN=token)
    assert hint in told(raised.value)
    assert SECRET not in told(raised.value)


def test_a_token_that_is_no_header_is_not_printed() -> None:
    with serving(lambda one: Said([])) as far, pytest.raises(UnavailableError) as raised:
        opened(far, GITHUB_TOKEN=f"{SECRET}\nand more")
    assert SECRET not in told(raised.value)
    assert not far.asked


def test_a_server_that_never_answers_is_given_up_in_time() -> None:
    over = threading.Event()

    def silent() -> None:
        over.wait()

    with serving(lambda one: None, silent) as far:
        try:
            with pytest.raises(UnavailableError, match="in time"):
                opened(far, seconds=0.2)
        finally:
            over.set()


def test_a_server_that_is_not_there_is_named() -> None:
    with serving(lambda one: Said([])) as far:
        gone = far
    with pytest.raises(UnavailableError, match="could not be reached"):
        opened(gone)


def test_no_other_kind_of_address_is_asked(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("[]")
    with pytest.raises(UnavailableError, match="no address on the web"):
        web.get(f"file://{tmp_path}/list", until=until())


def test_an_endless_answer_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "LARGEST", 100_000)
    with serving(lambda one: Said(b"x" * 300_000)) as far, pytest.raises(UnavailableError, match="sent more than"):
        web.get(far.url, until=until())


class Registry:
    """A registry that wants a token for everything, as the public ones do."""

    def __init__(self, names: list[str], login: str = "") -> None:
        self.names = names
        self.login = login
        self.url = ""

    def __call__(self, one: Asked) -> Said:
        path = one.path.partition("?")[0]
        if path == "/token":
            known = not self.login or one.token == f"Basic {b64encode(self.login.encode()).decode()}"
            return Said({"token": "granted"}) if known else Said({}, 401)
        if one.token != "Bearer granted":
            realm = f'Bearer realm="{self.url}/token",service="registry",scope="repository:acme/shop:pull"'
            return Said({}, 401, {"WWW-Authenticate": realm})
        if path.endswith("/tags/list"):
            more = {} if "last=" in one.path else {"Link": '</v2/acme/shop/tags/list?last=x>; rel="next"'}
            return Said({"tags": self.names if "last=" in one.path else ["latest"]}, headers=more)
        if "/blobs/" in path:
            return Said({"created": "2026-11-01T10:00:00Z"})
        return Said(MANIFEST, headers={"Docker-Content-Digest": f"sha256:{path[-1] * 64}"})


@pytest.mark.parametrize("login", ["", f"ci:{SECRET}"])
def test_preview_tags_are_read_with_the_token_that_the_registry_gives(login: str) -> None:
    answers = Registry(["pr-12", "pr-3", "pr-", "pr-0", "pr-03", "xpr-4", "pr-5-web", "pr-6\n", "v1"], login)
    with serving(answers) as far:
        answers.url = far.url
        found = tags(far, login)
    assert [one.pull for one in found] == [3, 12]
    assert found[0] == registry.Tag(f"{far.host}/acme/shop", 3, f"sha256:{'3' * 64}", 2000, "2026-11-01T10:00:00Z")


def test_a_wrong_login_is_told_without_it() -> None:
    answers = Registry(["pr-1"], "ci:right")
    with serving(answers) as far:
        answers.url = far.url
        with pytest.raises(UnavailableError) as raised:
            tags(far, f"ci:{SECRET}")
    assert "answered 401" in told(raised.value)
    assert SECRET not in told(raised.value)


def test_a_registry_cannot_send_our_login_elsewhere_in_the_clear() -> None:
    with serving(lambda one: Said({"token": "x"})) as thief:
        realm = {"WWW-Authenticate": f'Bearer realm="{thief.url}/token"'}
        with serving(lambda one: Said({}, 401, realm)) as far, pytest.raises(UnavailableError, match="elsewhere"):
            tags(far, f"ci:{SECRET}")
        assert not thief.asked


@pytest.mark.parametrize("realm", ["http://[", "//", "ftp://x/token", "", 'x" y="', "\x00", "https://"])
def test_a_realm_that_is_no_address_is_an_error(realm: str) -> None:
    challenge = {"WWW-Authenticate": f'Bearer realm="{realm}"'}
    with serving(lambda one: Said({}, 401, challenge)) as far, pytest.raises(UnavailableError) as raised:
        tags(far, f"ci:{SECRET}")
    assert SECRET not in told(raised.value)


@pytest.mark.parametrize("url", ["http://[", "https://me:geheim@[x/pulls", "x", ""])
def test_a_setting_that_is_no_address_is_an_error_without_what_is_secret_in_it(url: str) -> None:
    with pytest.raises(UnavailableError) as raised:
        pulls.opened(Preview(pulls=url), {}, until=until())
    assert "geheim" not in told(raised.value)


def test_nothing_pushed_yet_is_no_tags() -> None:
    with serving(lambda one: Said({"errors": []}, 404)) as far:
        assert tags(far) == ()


@pytest.mark.parametrize("body", [{"tags": None}, {}, [], {"tags": [1, None, ["pr-1"]]}])
def test_a_list_without_tags_is_empty(body: object) -> None:
    with serving(lambda one: Said(body)) as far:
        assert tags(far) == ()


@pytest.mark.parametrize("manifest", [[], {}, {"config": 1}, {"layers": [1, {"size": "x"}]}, {"manifests": [{}]}])
def test_a_strange_manifest_leaves_only_its_size_untold(manifest: object) -> None:
    def answers(one: Asked) -> Said:
        return Said({"tags": ["pr-1"]} if "tags/list" in one.path else manifest)

    with serving(answers) as far:
        (found,) = tags(far)
    assert (found.pull, found.bytes, found.created) == (1, None, "")


@pytest.mark.parametrize(
    ("image", "url", "name"),
    [
        ("ghcr.io/acme/shop", "https://ghcr.io/v2/acme/shop", "ghcr.io/acme/shop"),
        ("docker.io/acme/shop", "https://registry-1.docker.io/v2/acme/shop", "acme/shop"),
        ("localhost:5000/shop", "http://localhost:5000/v2/shop", "localhost:5000/shop"),
        ("[::1]:5000/shop", "http://[::1]:5000/v2/shop", "[::1]:5000/shop"),
        ("http://reg:5000/shop", "http://reg:5000/v2/shop", "reg:5000/shop"),
    ],
)
def test_a_registry_elsewhere_is_asked_over_tls(image: str, url: str, name: str) -> None:
    found = registry.repository(image, "")
    assert (found.url, found.image) == (url, name)


@pytest.mark.parametrize(
    "image",
    [
        "shop",
        "",
        "ghcr.io/",
        "ghcr.io/Acme",
        "me:pw@ghcr.io/a",
        "ghcr.io/a/../b",
        "a/b?c",
        "[::1/a",
        "acme/shop",
        "http://shop",
    ],
)
def test_what_is_no_repository_is_told(image: str) -> None:
    with pytest.raises(UnavailableError, match="is no repository"):
        registry.repository(image, "")
