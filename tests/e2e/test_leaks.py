"""`envctl leaks` on real servers and real git: what is left is named with what removes it, what is not is not."""

from __future__ import annotations

import json
import os
import secrets
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from checkouts import Envctl, git, worktree
from till import CONFIG, till

NAME = f"leaks{secrets.token_hex(3)}"
"""A project that no other test has: the audit sees what of it lies in the machine's memory, whoever left it there."""
OWN = CONFIG.replace('"till"', f'"{NAME}"')
TOKEN = "gh-s3cret"


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    return till(tmp_path / "till", config=OWN)


@pytest.fixture
def orphaned(shop: Path, envctl: Envctl, tmp_path: Path) -> str:
    """The dev database of a worktree that is no more; its name."""
    other = worktree(shop, "feature/old", tmp_path / "old")
    name = str(envctl("ns", "--json", cwd=other).data["names"]["dev_database"])
    envctl("dev", "up", cwd=shop)
    envctl("dev", "up", cwd=other)
    envctl("dev", "down", cwd=other)
    git(shop, "worktree", "remove", "--force", str(other))
    git(shop, "branch", "-D", "feature/old")
    envctl.used.remove(other)
    return name


def rows(data: Any, verdict: str) -> list[str]:
    return [one["name"] for one in data["rows"] if one["verdict"] == verdict]


def test_a_checkout_at_work_has_no_leaks(envctl: Envctl, shop: Path) -> None:
    envctl("dev", "up", cwd=shop)
    found = envctl("leaks", "--json", cwd=shop)
    assert found.document["status"] == "ok"
    assert NAME in rows(found.data, "live")
    assert rows(found.data, "orphan") == rows(found.data, "unexplained") == []
    assert found.data["unseen"] == []


def test_ports_are_told_with_their_environment_and_are_live_while_their_server_runs(
    envctl: Envctl, shop: Path, state: Path
) -> None:
    (shop / "envctl.toml").write_text(f"{OWN}\n[dev.processes]\napi = {{ command = 'sleep 1' }}\n")
    envctl("dev", "up", cwd=shop)
    envctl("test", cwd=shop)
    home, mine = state / "projects" / NAME, envctl("ns", cwd=shop).out.strip()
    keys = {f"{home}/dev-embedded:postgres:0": "dev", f"{home}/test-embedded:postgres:0": "test"}
    processes = {f"{NAME}/{mine}/api": "dev", f"{NAME}/test/{mine}/api": "test"}

    def ports(code: int) -> dict[str, tuple[str, str]]:
        found = envctl("leaks", "--json", cwd=shop, code=code).data["rows"]
        return {one["name"]: (one["environment"], one["verdict"]) for one in found if one["kind"] == "port"}

    assert ports(0) == {key: (environment, "live") for key, environment in {**keys, **processes}.items()}
    envctl("dev", "down", "--all", "--yes", cwd=shop)
    assert ports(4) == {key: (environment, "idle") for key, environment in {**keys, **processes}.items()}


def test_an_orphan_is_a_leak_until_it_is_in_quarantine(envctl: Envctl, shop: Path, orphaned: str) -> None:
    found = envctl("leaks", "--json", cwd=shop, code=3)
    (row,) = (one for one in found.data["rows"] if (one["kind"], one["name"]) == ("database", orphaned))
    assert (row["environment"], row["kind"], row["verdict"]) == ("dev", "database", "orphan")
    assert row["bytes"] > 1_000_000
    assert row["remedy"] == "envctl clean"
    said = envctl("leaks", cwd=shop, code=3).out
    assert orphaned in said
    assert "→ envctl clean" in said
    envctl("clean", "--yes", cwd=shop)
    after = envctl("leaks", "--json", cwd=shop)
    assert any(one["kind"] == "quarantine database" for one in after.data["rows"])


def test_stopped_servers_are_named_and_can_be_looked_into(envctl: Envctl, shop: Path) -> None:
    envctl("dev", "up", cwd=shop)
    envctl("dev", "down", cwd=shop)
    blind = envctl("leaks", "--json", cwd=shop, code=4)
    assert blind.document["status"] == "partial"
    assert [one["place"] for one in blind.data["unseen"]] == ["dev-embedded postgres"]
    assert NAME in rows(envctl("leaks", "--json", "--start", cwd=shop).data, "idle")


def test_a_target_that_cannot_be_reached_is_named_and_the_rest_done(envctl: Envctl, shop: Path) -> None:
    (shop / "envctl.toml").write_text(f'{OWN}\n[targets.staging]\ncontext = "there-is-no-such-context"\n')
    envctl("dev", "up", cwd=shop)
    found = envctl("leaks", "--json", cwd=shop, code=4)
    assert [one["place"] for one in found.data["unseen"]] == ["docker context there-is-no-such-context"]
    assert NAME in rows(found.data, "live")
    only = envctl("leaks", "--json", "--target", "local", cwd=shop)
    assert only.data["limited"] == "local"
    assert "did you mean 'staging'" in envctl("leaks", "--target", "stagin", cwd=shop, code=2).err


def test_a_page_is_written_with_the_trend_of_whole_audits(envctl: Envctl, shop: Path, state: Path) -> None:
    for words in ((), ("--target", "local"), ("--since", "7d")):
        assert "wrote" not in envctl("leaks", *words, cwd=shop).err
    assert "wrote leaks.html\n" in envctl("leaks", "--html", "leaks.html", cwd=shop).err
    text = (shop / "leaks.html").read_text()
    assert text.count("<circle") == 3
    remembered = state / "projects" / NAME / "audits.json"
    assert len(json.loads(remembered.read_text())["audits"]) == 3
    assert stat.S_IMODE(remembered.stat().st_mode) == 0o600


def test_a_scheduled_audit_starts_what_is_stopped_and_tells_whom_it_should(
    envctl: Envctl, shop: Path, orphaned: str
) -> None:
    told = shop.parent / "told"
    program = f"{sys.executable} -c 'import sys; open(sys.argv[1], \"w\").write(sys.stdin.read())' {told}"
    (shop / "envctl.toml").write_text(f"{OWN}\n[leaks]\nnotify = '''{program}'''\n")
    envctl("dev", "down", cwd=shop)
    found = envctl("leaks", "--scheduled", cwd=shop, code=3)
    assert orphaned in found.out
    assert told.read_text() == found.out
    assert envctl("leaks", "--scheduled", "--json", cwd=shop, code=3).data["unseen"] == []


def test_a_notify_command_that_fails_is_told_and_changes_nothing_else(
    envctl: Envctl, shop: Path, orphaned: str
) -> None:
    (shop / "envctl.toml").write_text(f'{OWN}\n[leaks]\nnotify = "there-is-no-such-program"\n')
    found = envctl("leaks", "--scheduled", cwd=shop, code=3)
    assert "the notify command failed" in found.err
    assert orphaned in found.out


def test_previews_in_the_registry_are_compared_with_the_open_pull_requests(envctl: Envctl, shop: Path) -> None:
    def answer(path: str) -> tuple[int, Any]:
        if path.startswith("/v2/"):
            return (200, {"tags": ["pr-7", "pr-12", "main"]}) if "tags" in path else (404, {})
        return 200, [{"number": 12}]

    with far(answer) as url:
        host = url.partition("//")[2]
        preview = f'[preview]\nimages = ["{host}/acme/till"]\npulls = "{url}/repos/acme/till/pulls"\n'
        (shop / "envctl.toml").write_text(f"{OWN}\n{preview}")
        found = envctl("leaks", "--json", cwd=shop, code=3, GITHUB_TOKEN=TOKEN)
        assert rows(found.data, "orphan") == [f"{host}/acme/till:pr-7"]
        assert f"{host}/acme/till:pr-12" in rows(found.data, "live")
    assert TOKEN not in found.out + found.err
    blind = envctl("leaks", "--json", cwd=shop, code=4, GITHUB_TOKEN=TOKEN)
    assert sorted(one["place"] for one in blind.data["unseen"]) == ["pull requests", f"registry {host}/acme/till"]


def test_without_a_list_of_pull_requests_no_preview_is_called_a_leak(envctl: Envctl, shop: Path) -> None:
    with far(lambda path: (200, {"tags": ["pr-7"]}) if "tags" in path else (404, {})) as url:
        image = f"{url.partition('//')[2]}/acme/till"
        (shop / "envctl.toml").write_text(f'{OWN}\n[preview]\nimages = ["{image}"]\n')
        found = envctl("leaks", "--json", cwd=shop, code=4)
    assert rows(found.data, "idle") == [f"{image}:pr-7"]
    assert found.data["unseen"] == [
        {"place": "pull requests", "why": "which are open is not known: [preview] pulls is not set"}
    ]


@contextmanager
def far(answer: Callable[[str], tuple[int, Any]]) -> Iterator[str]:
    """A web server that stands for a registry and for GitHub."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, document = answer(self.path)
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def test_how_often_is_asked_only_of_what_is_installed(envctl: Envctl, shop: Path) -> None:
    for words in (("--weekly",), ("--weekly", "--remove-cron")):
        assert "--install-cron" in envctl("leaks", *words, cwd=shop, code=2).err


def test_installing_without_cron_or_systemd_says_what_to_do(envctl: Envctl, shop: Path, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "git").symlink_to("/usr/bin/git")
    nothing = {"PATH": f"{tmp_path / 'bin'}", "DBUS_SESSION_BUS_ADDRESS": "", "XDG_RUNTIME_DIR": str(tmp_path)}
    found = envctl("leaks", "--install-cron", cwd=shop, code=1, **nothing)
    assert "neither cron nor a systemd" in found.err
    assert os.listdir(tmp_path / "bin") == ["git"]  # noqa: PTH208
