"""Workers have what is theirs before anything of the project is imported, however many come."""

from __future__ import annotations

import pytest
from ground import Desk, Project

from envctl.errors import EnvctlError

SEEN = """
    import os
    from pathlib import Path

    WHOSE = os.environ["WHOSE"]
"""
SAME = """
    import os
    import conftest
    import pytest

    @pytest.mark.parametrize("number", range(8))
    def test_same(number):
        worker = os.environ.get("PYTEST_XDIST_WORKER", "base")
        assert conftest.WHOSE == os.environ["WHOSE"] == worker
        assert os.environ["DATABASE_URL"].endswith(worker) if worker != "base" else True
"""


@pytest.fixture
def same(project: Project) -> Project:
    """Tests that pass only where conftest has seen the variables of its worker."""
    project.ini("pythonpath = .")
    project.write(conftest=SEEN, test_same=SAME)
    return project


def workers(desk: Desk) -> list[str]:
    """Who came."""
    return sorted(one["worker"] for one in desk.asked("sandbox"))


@pytest.mark.parametrize(
    ("words", "count"),
    [
        ((), 0),
        (("-n", "2"), 2),
        (("-n0",), 0),
        (("-n", "2", "--dist", "loadscope"), 2),
        (("-n", "5", "--maxprocesses", "2"), 2),
        (("--dist", "load", "--tx", "2*popen"), 2),
        (("-d", "--tx", "popen", "--tx", "popen"), 2),
        (("-p", "no:xdist"), 0),
        (("-n", "auto"), 3),
        (("-n", "logical"), 3),
        (("-n", "auto", "--pdb"), 0),
        (("-n", "2", "--import-mode=importlib"), 2),
        (("-n", "2", "-p", "no:terminal"), 2),
        (("-n", "2", "-p", "no:cacheprovider"), 2),
    ],
)
def test_as_many_come_as_xdist_would_start(
    desk: Desk, same: Project, python: str, words: tuple[str, ...], count: int
) -> None:
    desk.pytest(*words, python=python, PYTEST_XDIST_AUTO_NUM_WORKERS="3")
    assert workers(desk) == [f"gw{number}" for number in range(count)]
    assert [one["count"] for one in desk.asked("workers")] == [count]


def test_a_count_may_stand_in_the_settings(desk: Desk, same: Project) -> None:
    same.ini("addopts = -n 2")
    desk.pytest()
    assert workers(desk) == ["gw0", "gw1"]


@pytest.mark.parametrize("words", [("-n", "4"), ("--dist", "load", "--tx", "4*popen")])
def test_no_more_come_than_there_is_room_for(desk: Desk, same: Project, words: tuple[str, ...]) -> None:
    desk.limit = 2
    done = desk.pytest(*words)
    assert workers(desk) == ["gw0", "gw1"]
    assert "envctl: 2 of 4 workers: the server has no room for more\n" in done.out


@pytest.mark.parametrize("words", [("-n", "4"), ("--dist", "loadfile", "--tx", "4*popen")])
def test_a_serial_run_has_no_workers(desk: Desk, same: Project, words: tuple[str, ...]) -> None:
    desk.limit = 0
    desk.pytest(*words)
    assert workers(desk) == []


def test_nobody_waits_for_workers_where_tests_are_only_listed(desk: Desk, same: Project) -> None:
    desk.pytest("--collect-only", "-n", "2")
    assert not desk.asked("workers")


def test_a_worker_in_the_place_of_a_crashed_one_has_its_own(desk: Desk, same: Project, python: str) -> None:
    same.write(test_crash="import os\ndef test_crash():\n    os._exit(3)\n")
    done = desk.pytest("-n", "2", "--max-worker-restart", "1", python=python, code=1)
    assert "8 passed" in done.out
    assert workers(desk) == ["gw0", "gw1", "gw2"]
    assert [one["test"] for one in desk.asked("failed")] == ["test_crash.py::test_crash"]


def test_other_plugins_see_the_variables_when_they_load_settings(desk: Desk, same: Project) -> None:
    same.write(
        eager="""
        import os
        import pytest

        @pytest.hookimpl(tryfirst=True)
        def pytest_load_initial_conftests():
            assert os.environ["WHOSE"] == os.environ.get("PYTEST_XDIST_WORKER", "base")
        """
    )
    desk.pytest("-p", "eager", "-n", "2")


@pytest.mark.parametrize(
    ("words", "settings"), [(("-p", "plug"), ()), ((), ("addopts = -pplug",)), (("-p", "no:cacheprovider"), ())]
)
def test_what_p_names_has_the_variables_of_its_worker(
    desk: Desk, same: Project, python: str, words: tuple[str, ...], settings: tuple[str, ...]
) -> None:
    same.ini("pythonpath = .", *settings)
    same.write(plug=SEEN, test_plug="import conftest, plug\ndef test_plug(): assert plug.WHOSE == conftest.WHOSE\n")
    desk.pytest("-n", "2", *words, python=python, code=0, **desk.variables(path=str(same.root)))
    assert set(workers(desk)) == {"gw0", "gw1"}


def test_runners_that_count_by_another_variable_are_heard(desk: Desk, project: Project) -> None:
    project.write(test_whose="import os\ndef test_whose():\n    assert os.environ['WHOSE'] == '7'\n")
    project.pytest(code=0, **desk.variables(worker_variable="RUNNER"), RUNNER="7")


def test_the_variable_of_an_xdist_around_us_says_nothing(desk: Desk, project: Project) -> None:
    project.write(test_whose="import os\ndef test_whose():\n    assert os.environ['WHOSE'] == 'base'\n")
    desk.pytest(PYTEST_XDIST_WORKER="gw5")
    assert workers(desk) == []


def test_a_refused_worker_ends_the_run_and_says_why(desk: Desk, same: Project, python: str) -> None:
    desk.refused["sandbox gw1"] = EnvctlError("the disk is full", cause="No space left", hint="make room")
    done = desk.pytest("-n", "2", python=python, code=4)
    assert "error: the disk is full\n  No space left\n  hint: make room\n" in done.err
    assert "Traceback" not in done.out + done.err
    assert "conftest" not in done.out


def test_a_refused_run_ends_like_a_wrong_command_line(desk: Desk, same: Project, python: str) -> None:
    desk.refused["workers"] = EnvctlError("there is no room", hint="wait")
    done = desk.pytest("-n", "2", python=python, code=4)
    assert done.err.strip() == "ERROR: envctl: there is no room\n  hint: wait"


def test_a_run_that_is_gone_is_told_as_that(desk: Desk, same: Project) -> None:
    variables = desk.variables(socket=str(desk.socket.with_name("nobody")))
    done = same.pytest(code=4, **variables)
    assert "ERROR: envctl: the run is gone" in done.err


@pytest.mark.parametrize("written", ["garbage", "", "[]", "{}", '{"socket": "/tmp/s"}'])
def test_a_variable_that_names_no_run_is_told_as_that(project: Project, installed: str, written: str) -> None:
    project.write(test_one="def test_one(): pass")
    done = project.pytest(code=4, PYTHONPATH=installed, ENVCTL_RUN=written)
    assert done.err.strip() == (
        "ERROR: envctl: ENVCTL_RUN does not name a run\n  hint: the variable is envctl's own: unset ENVCTL_RUN"
    )
    assert not done.out


@pytest.mark.parametrize("asked", ["workers", "sandbox"])
def test_who_waits_for_a_turn_may_stop_waiting(desk: Desk, same: Project, asked: str) -> None:
    desk.interrupted = asked
    done = same.pytest(code=130, **desk.variables(early=True))
    assert done.err == ""
    assert "conftest" not in done.out


def test_variables_that_are_still_being_made_are_waited_for(desk: Desk, same: Project, python: str) -> None:
    variables = desk.variables(early=True)
    del variables["WHOSE"]
    same.pytest(python=python, code=0, **variables)
    assert workers(desk) == [""]
