"""What counts as an escape, and whose it is: pure comparisons of what was seen before and after."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from envctl.audit.comparison import compare
from envctl.audit.values import Escape, Facts, Ground, Inventory, Left, Lingering, Ran, Report, Visit, Wrote
from envctl.model import Owner, Seen, Unseen

LEASE = "5e1f"
PLACE = "postgres of dev-embedded"
NEIGHBOUR = "`envctl dev run` of other"
RAN = (Ran("gw0", "a", 10.0, 11.0), Ran("gw0", "b", 11.5, 12.5), Ran("gw1", "c", 12.0, 13.0))


def owner(lease: str = "", namespace: str = "main", worker: str = "") -> Owner:
    return Owner("shop", "test" if lease else "dev", namespace, "/w", "main", "here", "2026", worker, lease)


def on(*seen: Seen, others: tuple[str, ...] = (), files: tuple[str, ...] = ()) -> Inventory:
    return Inventory({PLACE: Ground(seen, others)}, frozenset(files))


def compared(before: Inventory, after: Inventory, **facts: Any) -> Report:
    return compare(before, after, Facts(LEASE, **facts))


def only(found: tuple[Escape, ...]) -> Escape:
    (one,) = found
    return one


@pytest.mark.parametrize("kind", ["database", "role", "bucket", "key", "user"])
def test_what_is_new_and_bears_no_record_escaped(kind: str) -> None:
    assert only(compared(on(), on(Seen(kind, "x"))).escapes).name == "x"


@pytest.mark.parametrize(
    "seen",
    [
        Seen("database", "mine", owner(LEASE)),
        Seen("database", "theirs", owner("another run")),
        Seen("database", "devs", owner()),
        Seen("bucket", "from a later version", inner=True),
    ],
)
def test_what_a_record_explains_did_not(seen: Seen) -> None:
    assert compared(on(), on(seen)) == Report()


def test_what_was_there_before_did_not() -> None:
    assert compared(on(Seen("role", "x")), on(Seen("role", "x"))) == Report()


@pytest.mark.parametrize("when", ["before", "after"])
def test_while_others_are_at_work_nobody_can_tell_whose_it_is(when: str) -> None:
    others = {when: (NEIGHBOUR,)}
    report = compared(on(others=others.get("before", ())), on(Seen("role", "x"), others=others.get("after", ())))
    assert report.escapes == ()
    assert NEIGHBOUR in only(report.untold).evidence


def test_a_test_that_came_in_with_the_very_login_leaves_no_doubt() -> None:
    visit = Visit(PLACE, "shop_dev", "", "gw1", "c")
    after = on(Seen("database", "x", login="shop_dev", made=12.2), others=(NEIGHBOUR,))
    found = only(compared(on(), after, ran=RAN, visits=(visit,)).escapes)
    assert (found.worker, found.test) == ("gw1", "c")
    assert "came in as shop_dev" in found.evidence
    elsewhere = replace(visit, place="postgres of test-embedded")
    assert not compared(on(), after, ran=RAN, visits=(elsewhere,)).escapes


DEVS = Seen("database", "shop_dev", owner())


def test_a_visit_to_somebody_elses_database_with_no_login_of_the_run_escaped() -> None:
    visits = (Visit(PLACE, "shop_dev", "shop_dev", "gw1", "c"), Visit(PLACE, "shop_dev", "shop_dev", "gw1", "c"))
    found = only(compared(on(DEVS), on(DEVS, others=(NEIGHBOUR,)), visits=visits).escapes)
    assert (found.kind, found.name, found.worker, found.test) == ("visit", "shop_dev", "gw1", "c")
    assert found.evidence == "came into database shop_dev as shop_dev"
    assert compared(on(DEVS), on(DEVS), visits=visits, allowed=("shop_dev",)) == Report()
    several = (*visits, replace(visits[0], worker="gw0", test="a"))
    found = only(compared(on(DEVS), on(DEVS), visits=several).escapes)
    assert (found.worker, found.test) == ("", "")
    assert found.evidence.endswith("in 2 tests: c, a")


@pytest.mark.parametrize(
    ("seen", "visit"),
    [
        (DEVS, Visit("postgres of test-embedded", "shop_dev", "shop_dev", "gw1", "c")),
        (DEVS, Visit(PLACE, "", "shop_dev", "gw1", "c")),
        (DEVS, Visit(PLACE, "shop_test_gw0", "shop_dev", "gw0", "a")),
        (replace(DEVS, owner=owner(LEASE)), Visit(PLACE, "shop_dev", "shop_dev", "gw1", "c")),
        (replace(DEVS, owner=None), Visit(PLACE, "shop_dev", "shop_dev", "gw1", "c")),
    ],
)
def test_other_visits_did_not(seen: Seen, visit: Visit) -> None:
    mine = Seen("role", "shop_test_gw0", owner(LEASE, worker="gw0"))
    assert compared(on(seen, mine), on(seen, mine), visits=(visit,)) == Report()


def test_a_visit_to_what_came_or_went_meanwhile_proves_nothing() -> None:
    visit = Visit(PLACE, "shop_dev", "shop_dev", "gw1", "c")
    assert compared(on(DEVS), on(), visits=(visit,)) == compared(on(), on(DEVS), visits=(visit,)) == Report()


def test_a_request_for_the_bucket_leaves_no_doubt() -> None:
    after = on(Seen("bucket", "x"), others=(NEIGHBOUR,))
    assert only(compared(on(), after, visits=(Visit(PLACE, "", "x", "gw0", "a"),)).escapes).test == "a"
    assert not compared(on(), after, visits=(Visit(PLACE, "", "y", "gw0", "a"),)).escapes


def test_the_runs_own_logins_make_no_roles() -> None:
    mine = Seen("role", "shop_test_gw0", owner(LEASE, worker="gw0"))
    visits = (Visit(PLACE, "shop_test_gw0", "", "gw0", "a"), Visit(PLACE, "postgres", "", "gw0", "b"))
    assert only(compared(on(), on(mine, Seen("role", "x")), visits=visits).escapes).test == "b"


@pytest.mark.parametrize(
    ("made", "worker", "test"),
    [(10.5, "gw0", "a"), (11.2, "", ""), (11.495, "gw0", "b"), (12.2, "", ""), (12.7, "gw1", "c"), (13.5, "", "")],
)
def test_the_test_is_named_where_no_other_ran_at_that_moment(made: float, worker: str, test: str) -> None:
    found = only(compared(on(), on(Seen("database", "x", made=made)), ran=RAN).escapes)
    assert (found.worker, found.test) == (worker, test)


def test_a_whole_second_may_mean_any_moment_of_it() -> None:
    found = only(compared(on(), on(Seen("bucket", "x", made=11.0)), ran=RAN).escapes)
    assert found.test == ""
    assert "while one of these ran: a, b" in found.evidence


def test_what_is_in_the_buckets_of_others_counts_as_a_change() -> None:
    before, after = (Seen("objects", "shop", owner(), state=f"{count} objects") for count in (1, 2))
    assert only(compared(on(before), on(after)).untold).evidence.startswith("1 objects, now 2 objects")
    assert compared(on(before), on(after, others=(NEIGHBOUR,))) == Report()
    seen = compared(on(before), on(after, others=(NEIGHBOUR,)), visits=(Visit(PLACE, "", "shop", "gw0", "a"),))
    assert only(seen.escapes).test == "a"


def test_what_another_run_changes_in_its_own_is_its_own() -> None:
    before, after = (Seen("keys", "number 3", owner("another run"), state=f"{count} keys") for count in (1, 2))
    assert compared(on(before), on(after)) == Report()


def test_a_server_that_was_not_seen_before_is_compared_with_nothing() -> None:
    unseen = Unseen(PLACE, "it did not answer")
    assert compare(Inventory(unseen=(unseen,)), on(Seen("role", "x")), Facts(LEASE)) == Report(unseen=(unseen,))


def session(name: str = "shop_test_gw0", **more: Any) -> Seen:
    return Seen(
        "session", name, owner(LEASE), "shop_test_gw0", owner(LEASE, worker="gw0"), "idle", 10.5, port=4000, **more
    )


def test_a_session_of_the_run_that_outlives_the_command_is_told() -> None:
    found = only(compared(on(), on(session()), ran=RAN).escapes)
    assert (found.kind, found.worker, found.test) == ("session", "gw0", "a")


def test_a_session_of_a_process_beside_the_command_is_not() -> None:
    own = replace(session(), keeper=owner(LEASE))
    assert compared(on(), on(own), beside=True) == Report()
    assert compared(on(), on(own)).escapes
    assert compared(on(), on(session()), beside=True).escapes, "the command's workers have logins of their own"


def test_a_session_of_somebody_else_is_not() -> None:
    assert compared(on(), on(replace(session(), keeper=owner()))) == Report()


def test_a_process_tells_of_its_sessions_ports_and_children() -> None:
    left = Left(7, 1, "serve", 10.5, "gw0", "a", ports=frozenset({4000}))
    child = Left(8, 7, "helper", 10.6, "gw0", "a", listens=("127.0.0.1:80",))
    found = only(compared(on(), on(session()), left=(left, child), ran=RAN).escapes)
    assert (found.kind, found.name, found.test) == ("port", "serve (pid 7)", "a")
    assert "listens on 127.0.0.1:80" in found.evidence
    assert "has a session in shop_test_gw0" in found.evidence


def test_a_session_that_a_test_process_forgot_is_told() -> None:
    lingering = Lingering(PLACE, "gw0", replace(session(), state="idle in transaction"))
    found = only(compared(on(), on(), lingering=(lingering,), ran=RAN).escapes)
    assert (found.worker, found.test) == ("gw0", "a")
    assert "idle in transaction" in found.evidence


def test_a_folder_stands_for_all_that_is_in_it() -> None:
    wrote = tuple(Wrote(path, "gw0", "a") for path in ("/tmp/x", "/tmp/x/y", "/tmp/x/y/z", "/tmp/xy"))
    found = compared(on(), on(files=("/tmp/x", "/tmp/xy")), wrote=wrote)
    assert [one.name for one in found.escapes] == ["/tmp/x", "/tmp/xy"]
    assert found.untold == ()


def test_a_file_that_no_process_told_of_may_be_anybodys() -> None:
    found = compared(on(files=("/tmp/old",)), on(files=("/tmp/old", "/tmp/new")))
    assert (found.escapes, only(found.untold).name) == ((), "/tmp/new")


def test_but_not_in_a_folder_where_nobody_else_works_nor_where_a_process_has_it_open() -> None:
    after = on(files=("/srv/new",))
    assert only(compared(on(), after, private=("/srv",)).escapes).name == "/srv/new"
    assert compared(on(others=(NEIGHBOUR,)), after, private=("/srv",)).escapes == ()
    left = Left(7, 1, "serve", 10.5, "gw0", "a", files=frozenset({"/srv/new/log"}))
    kinds = {one.kind: one.test for one in compared(on(others=(NEIGHBOUR,)), after, left=(left,)).escapes}
    assert kinds == {"process": "a", "file": "a"}


def test_the_runs_own_folders_are_not_looked_at() -> None:
    assert compared(on(), on(files=("/tmp/pytest-of-me", "/w")), own=("/tmp/pytest-of-me", "/w/checkout")) == Report()


def test_what_is_allowed_is_not_told() -> None:
    after = on(Seen("bucket", "shared-files"), files=("/tmp/new",))
    assert compared(on(), after, allowed=("shared-*", "/tmp/*")) == Report()
