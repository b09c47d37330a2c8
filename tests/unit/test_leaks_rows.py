"""What an audit comes to: which findings are leaks, its exit code, its memory, and what `--since` leaves."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from envctl.errors import EnvctlError, UsageError
from envctl.leaks import history, overview, plain, rows, since
from envctl.leaks.history import Past
from envctl.leaks.rows import Audit, Row
from envctl.leaks.screen import screen
from envctl.model import Finding, Owner, Resource, Unseen, Verdict

NOW = "2026-11-21T06:00:00+00:00"
OWNER = Owner("shop", "dev", "feature_x", "/w", "feature/x", "here", "2026-11-01T06:00:00+00:00")
LEAK = Row("test", "dev-embedded", "database", "shop_test_x", "orphan", "its run is dead", bytes=8_000_000)


def audit(*found: Row, unseen: tuple[Unseen, ...] = (), limited: str = "", at: str = NOW) -> Audit:
    return Audit("shop", at, 1.0, found, unseen, limited)


def quiet(line: str) -> None:
    pass


@pytest.mark.parametrize(
    ("verdicts", "blind", "code"),
    [
        ((), False, 0),
        (("live", "idle"), False, 0),
        (("live", "orphan"), False, 3),
        (("unexplained",), False, 3),
        (("idle",), True, 4),
        (("orphan",), True, 3),
    ],
)
def test_leaks_go_before_places_that_could_not_be_looked_at(
    verdicts: tuple[Verdict, ...], blind: bool, code: int
) -> None:
    found = (replace(LEAK, verdict=verdict) for verdict in verdicts)
    assert audit(*found, unseen=(Unseen("registry", "down"),) if blind else ()).exit_code == code


@pytest.mark.parametrize(
    ("owner", "expected"),
    [
        (OWNER, "unexplained"),
        (None, "unexplained"),
        (replace(OWNER, project="other"), "idle"),
        (replace(OWNER, host="another"), "idle"),
        (replace(OWNER, host=""), "unexplained"),
    ],
)
def test_what_is_on_record_as_somebody_elses_is_no_leak_of_ours(owner: Owner | None, expected: str) -> None:
    found = Finding(Resource("postgres", "database", "d", owner), "dev-embedded", "dev", "unexplained", "why")
    assert rows.row(found, project="shop", mine={"here"}).verdict == expected


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({}, "database"),
        ({"worker": "gw0"}, "worker database"),
        ({"notes": {"kind": "template"}}, "template database"),
        ({"notes": {"kind": "pool"}}, "pool database"),
        ({"notes": {"kind": "quarantine"}}, "quarantine database"),
        ({"notes": {"kind": "\x1b[31m"}}, "database"),
    ],
)
def test_kinds_say_what_a_database_is_for(changes: dict[str, Any], kind: str) -> None:
    found = Finding(Resource("postgres", "database", "d", replace(OWNER, **changes)), "p", "dev", "idle", "why")
    assert rows.row(found, project="shop", mine={"here"}).kind == kind


def test_an_audit_is_one_json_document() -> None:
    document = json.loads(json.dumps(rows.as_json(audit(LEAK, unseen=(Unseen("a", "b"),)))))
    assert document["counts"] == {"live": 0, "idle": 0, "orphan": 1, "unexplained": 0}
    assert document["leaked_bytes"] == 8_000_000
    assert document["rows"][0]["leak"] is True
    assert document["unseen"] == [{"place": "a", "why": "b"}]


def test_past_audits_are_private_bounded_and_keep_when_a_leak_was_first_seen(tmp_path: Path) -> None:
    first, _ = history.added(tmp_path, audit(LEAK, at="2026-01-01T00:00:00+00:00"), talk=quiet)
    assert first.rows[0].first_seen == "2026-01-01T00:00:00+00:00"
    for _ in range(3):
        second, past = history.added(tmp_path, audit(LEAK), talk=quiet)
    assert second.rows[0].first_seen == "2026-01-01T00:00:00+00:00"
    assert past.audits[-1] == Past(NOW, live=0, idle=0, orphan=1, unexplained=0, bytes=8_000_000, unseen=0)
    assert stat.S_IMODE((tmp_path / "audits.json").stat().st_mode) == 0o600
    assert len(past.audits) == 4
    long = history.History((past.audits[0],) * 500, past.first_seen)
    assert len(history._after(long, audit()).audits) == history.KEPT


def test_a_leak_that_is_gone_is_forgotten_unless_something_could_not_be_looked_at(tmp_path: Path) -> None:
    history.added(tmp_path, audit(LEAK), talk=quiet)
    _, past = history.added(tmp_path, audit(unseen=(Unseen("docker context away", "down"),)), talk=quiet)
    assert list(past.first_seen) == [LEAK.key]
    _, past = history.added(tmp_path, audit(), talk=quiet)
    assert past.first_seen == {}


def test_a_limited_audit_is_not_remembered(tmp_path: Path) -> None:
    _, past = history.added(tmp_path, audit(LEAK, limited="local"), talk=quiet)
    assert past.audits == ()
    assert not (tmp_path / "audits.json").exists()


@pytest.mark.parametrize("text", ["", "[]", '{"version": 1}', '{"version": 1, "audits": [{"x": 1}], "first_seen": {}}'])
def test_a_broken_memory_says_what_to_remove(tmp_path: Path, text: str) -> None:
    (tmp_path / "audits.json").write_text(text)
    with pytest.raises(EnvctlError) as raised:
        history.added(tmp_path, audit(), talk=quiet)
    assert f"{tmp_path}/audits.json" in raised.value.message + raised.value.hint


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7d", datetime(2026, 11, 14, 6, tzinfo=UTC)),
        ("2w", datetime(2026, 11, 7, 6, tzinfo=UTC)),
        ("12h", datetime(2026, 11, 20, 18, tzinfo=UTC)),
        ("2026-11-01", datetime(2026, 11, 1, tzinfo=UTC)),
        ("2026-11-01T02:00:00+02:00", datetime(2026, 11, 1, tzinfo=UTC)),
    ],
)
def test_since_is_a_moment_or_a_time_gone_by(text: str, expected: datetime) -> None:
    assert since.parsed(text, datetime.fromisoformat(NOW)) == expected


@pytest.mark.parametrize("text", ["x", "7", "d", "-7d", "7 d", "99999999999d", "999999d", "\u0667d"])
def test_what_is_no_time_is_wrong_usage(text: str) -> None:
    with pytest.raises(UsageError, match="is no time"):
        since.parsed(text, datetime.fromisoformat(NOW))


def test_since_never_hides_what_nobody_knows_the_age_of() -> None:
    when = datetime.fromisoformat(NOW)
    old, new = ((when + timedelta(days=days)).isoformat() for days in (-9, -1))
    made = [replace(LEAK, created=old), replace(LEAK, created=new), LEAK, replace(LEAK, first_seen=old)]
    found = since.narrowed(audit(*made, limited="local"), when - timedelta(days=7))
    assert [row.since for row in found.rows] == [new, ""]
    assert found.limited == "local, since 2026-11-14 06:00 UTC"


def test_the_overview_adds_up_in_the_order_of_the_environments() -> None:
    lines = overview.lines([replace(LEAK, environment=""), LEAK, replace(LEAK, environment="dev", bytes=None)])
    assert [(one.environment, one.count, one.bytes, one.leaks) for one in lines] == [
        ("dev", 1, None, 1),
        ("test", 1, 8_000_000, 1),
        ("", 1, 8_000_000, 1),
    ]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("shop_dev_ünï", "shop_dev_ünï"),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("a\nb\rc", "a\\nb\\rc"),
        ("\u202eevil\u2066", "\\u202eevil\\u2066"),
        ("\udcff", "\\udcff"),
        ("x" * 1000, "x" * plain.LONGEST + "…"),
    ],
)
def test_names_of_strangers_are_harmless_on_a_terminal(text: str, shown: str) -> None:
    assert plain.harmless(text) == shown


def test_the_summary_names_leaks_places_and_what_to_do() -> None:
    leak = replace(LEAK, remedy="envctl clean", created="2026-11-01T06:00:00+00:00")
    text = plain.summary(audit(leak, unseen=(Unseen("registry r", "down\x1b"),)))
    assert text.startswith("shop: 1 leak (8.0 MB), 0 idle, 0 live, 1 place not looked at · 2026-11-21 06:00 UTC\n")
    assert "orphan: database shop_test_x (dev-embedded, 20 d, 8.0 MB)\n  its run is dead\n  envctl clean\n" in text
    assert "not looked at: registry r: down\\x1b\n" in text


def test_a_summary_of_very_many_leaks_is_still_a_summary() -> None:
    text = plain.summary(audit(*[LEAK] * 1000))
    assert text.count("orphan:") == plain.MOST
    assert "950 more: envctl leaks" in text


def test_the_screen_shows_leaks_with_what_removes_them_and_the_rest_in_numbers() -> None:
    leak = replace(LEAK, name="evil\x1b[2J", remedy="envctl clean", owner="x_gw0")
    text = screen(audit(leak, replace(LEAK, name="quiet", verdict="idle"), unseen=(Unseen("far\x07", "down"),))).text()
    assert "\x1b" not in text
    assert "orphan  test database evil\\x1b[2J  x_gw0  8.0 MB" in text
    assert "→ envctl clean" in text
    assert "not looked at  far\\x07: down" in text
    assert "quiet" not in text


def test_the_screen_names_each_thing_where_more_was_asked_for() -> None:
    found = audit(*[LEAK] * 60, replace(LEAK, name="quiet", verdict="idle"))
    assert "10 more: envctl leaks --verbose" in screen(found).text()
    assert "more:" not in screen(found, verbose=True).text()
    assert "quiet" in screen(found, verbose=True).text()
