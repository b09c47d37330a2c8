"""What the desk learns of the tests."""

from __future__ import annotations

import pytest
from ground import Desk, Project

TESTS = """
    import os
    import pytest

    def test_good(): pass
    def test_bad(): assert False
    @pytest.mark.skip
    def test_skipped(): pass
    @pytest.mark.xfail
    def test_expected(): assert False
    @pytest.fixture
    def broken(): raise ValueError
    def test_broken(broken): pass
"""


@pytest.mark.parametrize(("words", "worker"), [((), ""), (("-n", "1"), "gw0")])
def test_of_the_first_the_failed_and_the_number(
    desk: Desk, project: Project, python: str, words: tuple[str, ...], worker: str
) -> None:
    project.write(test_all=TESTS)
    desk.pytest(*words, python=python, code=1)
    assert len(desk.asked("started")) == 1
    assert [one["count"] for one in desk.asked("tests")] == [5]
    assert [one["ran"] for one in desk.asked("tests")] == [4]
    failed = [(one["worker"], one["test"]) for one in desk.asked("failed")]
    assert failed == [(worker, "test_all.py::test_bad"), (worker, "test_all.py::test_broken")]
    kinds = [one.get("ask") or one.get("tell") for one in desk.book]
    assert kinds.index("workers") < kinds.index("started") < kinds.index("failed") < kinds.index("tests")


@pytest.mark.parametrize("words", [(), ("-n", "1")])
def test_of_tests_that_skip_wherever_they_do_that_they_did_not_run(
    desk: Desk, project: Project, words: tuple[str, ...]
) -> None:
    project.write(
        test_none="""
        import pytest

        @pytest.fixture
        def missing(): pytest.skip("not here")
        def test_fixture(missing): pass
        def test_inside(): pytest.skip("not now")
        @pytest.mark.skipif(True, reason="never")
        def test_mark(): pass
        @pytest.mark.xfail(run=False)
        def test_known(): pass
        """
    )
    desk.pytest(*words)
    assert [(one["count"], one["ran"]) for one in desk.asked("tests")] == [(4, 0)]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_tests_go_on_where_nobody_listens_any_more(desk: Desk, project: Project) -> None:
    desk.refused["started"] = SystemExit()
    project.write(test_on="def test_good(): pass\ndef test_bad(): assert False\ndef test_fresh(fresh_database): pass\n")
    done = desk.pytest(code=1)
    assert "1 failed, 1 passed, 1 error" in done.out
    assert "envctl: the run is gone" in done.out


def test_of_more_failures_than_a_socket_holds_answers(desk: Desk, project: Project) -> None:
    project.write(
        test_many="""
        import pytest

        @pytest.mark.parametrize("number", range(700))
        def test_bad(number): assert False
    """
    )
    desk.pytest("-n", "0", "-q", "--tb=no", code=1)
    assert len(desk.asked("failed")) == 700
