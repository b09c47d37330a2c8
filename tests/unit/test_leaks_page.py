"""The page: whole without a network, harmless whatever things are called, and right in a real browser."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
from dataclasses import replace
from html import escape
from html.parser import HTMLParser
from pathlib import Path

import pytest

from envctl.errors import EnvctlError
from envctl.leaks import page, plots
from envctl.leaks.history import Past
from envctl.leaks.rows import Audit, Row
from envctl.model import Unseen

NOW = "2026-11-21T06:00:00+00:00"
EVIL = "<script>document.title='owned'</script>\"'><img src=x onerror=alert(1)>\x1b[31m\u202e&amp;"
LEAK = Row("test", "dev-embedded", "database", "shop_test_x", "orphan", "its run is dead", bytes=8_000_000)
PAST = tuple(Past(f"2026-{month:02}-01T06:00:00+00:00", 9, 3, month, 1, month * 10**8, 0) for month in range(1, 12))
VOID = {"meta", "br", "img", "circle", "rect", "line", "polyline", "polygon"}


class Reading(HTMLParser):
    """What a browser would make of it: the tags, what they load, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def audit(*rows: Row, unseen: tuple[Unseen, ...] = ()) -> Audit:
    return Audit("shop", NOW, 1.0, rows, unseen)


def test_the_page_is_whole_without_a_network_and_runs_nothing() -> None:
    text = page.html(audit(LEAK, replace(LEAK, verdict="live")), PAST)
    reading = Reading(text)
    assert not {"script", "img", "link", "iframe", "object", "base", "form", "a"} & set(reading.tags)
    assert not {name for name, _ in reading.attributes if name in ("src", "href", "action") or name.startswith("on")}
    assert "://" not in text
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in reading.attributes
    assert not re.search(r"@import|url\(", text)


@pytest.mark.parametrize("verdict", ["orphan", "live"])
def test_what_strangers_call_their_things_stays_text(verdict: str) -> None:
    evil = Row(EVIL, EVIL, EVIL, EVIL, verdict, EVIL, owner=EVIL, created=EVIL, remedy=EVIL)  # type: ignore[arg-type]
    known = replace(evil, environment="dev")
    text = page.html(replace(audit(known, unseen=(Unseen(EVIL, EVIL),)), limited=EVIL), PAST)
    reading = Reading(text)
    assert not {"script", "img"} & set(reading.tags)
    assert "document.title='owned'" in reading.text
    assert not {"\x1b", "\u202e"} & set(text)


def test_what_was_found_and_what_removes_it_stand_in_the_page() -> None:
    leak = replace(LEAK, remedy="envctl clean", created="2026-11-01T06:00:00+00:00")
    text = Reading(page.html(audit(leak, unseen=(Unseen("registry r", "down"),)), PAST)).text
    for expected in (
        "1 leak in shop",
        "shop_test_x",
        "its run is dead",
        "envctl clean",
        "20 d",
        "8.0 MB",
        "registry r",
    ):
        assert expected in text


def test_nothing_found_and_no_past_is_a_page_too() -> None:
    text = Reading(page.html(audit(), ())).text
    assert "No leaks in shop" in text
    assert "the trend begins with the next" in text


def test_the_trend_has_a_bar_for_each_audit_and_the_numbers_beside_it() -> None:
    reading = Reading(page.html(audit(), PAST))
    assert reading.tags.count("svg") == 2
    assert reading.tags.count("rect") == 2 * len(PAST)
    assert reading.tags.count("circle") == len(PAST)
    assert "2026-11-01 06:00 UTC" in reading.text


def test_an_old_tree_of_audits_is_shown_by_its_newest_year() -> None:
    reading = Reading(page.html(audit(), PAST * 20))
    assert reading.tags.count("circle") == plots.SHOWN


@pytest.mark.parametrize("value", [0, 1, 2, 3, 9, 10, 11, 19, 21, 22, 99, 100, 12_345_678_901])
def test_an_axis_ends_at_a_round_even_number_not_below_its_values(value: int) -> None:
    top = plots.nice(value)
    assert top >= max(value, 1)
    assert top % 2 == 0
    assert top <= max(2, 2 * value)
    assert len(str(top).strip("0")) == 1


def test_the_page_is_its_owners_alone_and_replaces_an_older_one_whole(tmp_path: Path) -> None:
    file = tmp_path / "leaks.html"
    page.write(file, audit(), ())
    file.chmod(0o644)
    page.write(file, audit(LEAK), PAST)
    assert "1 leak in shop" in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text().endswith("</html>\n")
    assert [one.name for one in tmp_path.iterdir()] == ["leaks.html"]


@pytest.mark.parametrize("there", ["", "old", "<html>", "x" * 5000 + "<title>envctl leaks: "])
def test_what_is_no_page_of_ours_is_never_replaced(tmp_path: Path, there: str) -> None:
    file, link = tmp_path / "config", tmp_path / "link"
    file.write_text(there)
    link.symlink_to(file)
    for one in (file, link):
        with pytest.raises(EnvctlError, match="could not be written") as caught:
            page.write(one, audit(LEAK), PAST)
        assert "no page of envctl" in caught.value.cause
    assert file.read_text() == there
    assert link.is_symlink()


def test_nor_is_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("nothing")
    (tmp_path / "null").symlink_to("/dev/null")
    before = {one.name: one.lstat().st_mode for one in tmp_path.iterdir()}
    for name in (*before, "null"):
        with pytest.raises(EnvctlError, match="could not be written"):
            page.write(tmp_path / name, audit(), ())
    assert {one.name: one.lstat().st_mode for one in tmp_path.iterdir()} == before
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_through_a_link_an_older_page_is_replaced_and_the_link_stays(tmp_path: Path) -> None:
    file, link = tmp_path / "leaks.html", tmp_path / "link"
    page.write(file, audit(), ())
    link.symlink_to(file.name)
    page.write(link, audit(LEAK), PAST)
    assert link.is_symlink()
    assert "1 leak in shop" in file.read_text()


def test_what_other_programs_put_beside_a_page_stays(tmp_path: Path) -> None:
    names = [".leaks.html.swp", ".leaks.html.bak", ".leaks.html.77.0000dead"]
    for name in names:
        (tmp_path / name).write_text("theirs")
    page.write(tmp_path / "leaks.html", audit(), ())
    assert sorted(one.name for one in tmp_path.iterdir()) == sorted([*names, "leaks.html"])


def test_a_page_that_cannot_be_written_is_an_error_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(EnvctlError, match=r"no/leaks\.html could not be written"):
        page.write(tmp_path / "no" / "leaks.html", audit(), ())


@pytest.fixture
def browser() -> str:
    found = next(
        (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), ""
    )
    if not found and os.environ.get("ENVCTL_REQUIRE_BROWSER") == "1":
        pytest.fail("ENVCTL_REQUIRE_BROWSER is set, and there is no chromium on PATH")
    if not found:
        pytest.skip("no browser to look at the page with: install chromium; ENVCTL_REQUIRE_BROWSER=1 asks for one")
    return found


@pytest.mark.parametrize("width", [1100, 420])
def test_a_real_browser_shows_the_page_and_runs_nothing_of_it(browser: str, tmp_path: Path, width: int) -> None:
    rows = [replace(LEAK, name=EVIL, reason=EVIL), *[replace(LEAK, name=f"n{n}", verdict="live") for n in range(300)]]
    file, shot = tmp_path / "leaks.html", tmp_path / "page.png"
    page.write(file, audit(*rows), PAST)
    flags = (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        f"--user-data-dir={tmp_path / 'profile'}",
    )
    common = {"capture_output": True, "text": True, "check": True, "timeout": 120}
    dom = subprocess.run([browser, *flags, "--dump-dom", file.as_uri()], **common).stdout  # type: ignore[call-overload]
    assert "<title>envctl leaks: 1 leak in shop</title>" in dom
    assert Reading(dom).tags.count("circle") == len(PAST)
    assert "onerror=" not in "".join(name for name, _ in Reading(dom).attributes)
    size = f"--window-size={width},900"
    subprocess.run([browser, *flags, size, f"--screenshot={shot}", file.as_uri()], **common)  # type: ignore[call-overload]
    assert shot.stat().st_size > 10_000


@pytest.mark.parametrize("width", [1200, 420])
def test_nothing_in_the_page_is_wider_than_the_screen(browser: str, tmp_path: Path, width: int) -> None:
    leak = replace(LEAK, name="shop_test_feature_payments_352ba30d_gw11", owner="feature_payments_352ba30d")
    rows = [
        replace(leak, remedy="psql postgresql://… -c 'DROP DATABASE shop_test_feature_payments'"),
        replace(leak, verdict="live"),
    ]
    shown = page.html(audit(*rows, unseen=(Unseen("dev-embedded postgres", "it is not up"),)), PAST)
    framed = escape(shown.replace("<details>", "<details open>"), quote=True)
    tables = "[...this.contentDocument.querySelectorAll('.wide')]"
    measure = f"document.title = {tables}.map(one => one.scrollWidth - one.clientWidth).join(' ')"
    file = tmp_path / "framed.html"  # A window has a least width, a frame has none.
    file.write_text(f'<title></title><iframe width="{width}" srcdoc="{framed}" onload="{measure}"></iframe>')
    flags = ("--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}")
    argv = [browser, *flags, "--dump-dom", file.as_uri()]
    dom = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=120).stdout
    assert dom.partition("<title>")[2].partition("</title>")[0] == "0 0 0 0 0"
