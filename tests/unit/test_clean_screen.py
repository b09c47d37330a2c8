"""A plan on a screen: what changes stands first, and a line that is too long is broken between words."""

from __future__ import annotations

import os
from datetime import UTC, datetime

import pytest

from envctl.clean import screen
from envctl.clean.plans import Scope, plan
from envctl.inventory import Inventory
from envctl.model import Finding, Owner, Resource, Verdict
from envctl.render import View

OWNER = Owner("shop", "dev", "feature_x", "/work/x", "feature/x", "laptop", "2026-04-01T00:00:00+00:00")
WHY = "git has no branch feature/x any more, neither here nor of a remote, and its worktree went with it"


def view(*verdicts: Verdict) -> View:
    found = tuple(
        Finding(Resource("postgres", "database", f"shop_dev_{n}", OWNER), "dev-embedded", "dev", one, WHY, "remedy")
        for n, one in enumerate(verdicts)
    )
    actions = plan(Inventory(found, ()), Scope(), datetime(2026, 5, 1, tzinfo=UTC)).actions
    return screen.lines(map(screen.planned, actions), "the sum")


def test_a_pipe_has_one_line_for_each_thing_and_what_changes_comes_first() -> None:
    first, second, last = view("idle", "orphan").text().splitlines()
    assert first == f"quarantine  database shop_dev_1 (dev-embedded): {WHY}"
    assert second == f"keep        database shop_dev_0 (dev-embedded): {WHY}"
    assert last == "the sum"


def test_a_narrow_screen_breaks_between_words_and_keeps_the_first_column_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm-256color")
    end, theirs = os.openpty()
    with os.fdopen(theirs, "w") as stream:
        view("orphan").show(stream)
        *lines, last = [line.rstrip() for line in os.read(end, 10_000).decode().splitlines()]
    os.close(end)
    assert all(len(line) <= 80 for line in lines)
    assert len(lines) > 1
    assert [line[:12] for line in lines] == ["quarantine  ", *[" " * 12] * (len(lines) - 1)]
    assert " ".join(line[12:] for line in lines) == f"database shop_dev_0 (dev-embedded): {WHY}"
    assert last == "the sum"


def test_nothing_to_show_is_said_in_one_line() -> None:
    assert view().text() == "the sum"
