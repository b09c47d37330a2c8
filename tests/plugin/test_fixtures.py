"""What a test may ask for by name."""

from __future__ import annotations

from ground import Desk, Project

from envctl.errors import EnvctlError

SANDBOX = """
    def test_sandbox(envctl_sandbox):
        one = envctl_sandbox
        assert (one.namespace, one.environment, one.worker) == ("main", "test", "gw0")
        assert [(it.service, it.kind, it.name) for it in one.resources] == [("postgres", "database", "shop_gw0")]
        assert one.url() == one.values["postgres.url"] == one.variables["DATABASE_URL"] == "postgresql://me:pw@db/gw0"
        assert (one.bucket(), one.bucket("docs")) == ("gw0", "docs")
        assert "pw" not in repr(one)
"""
FRESH = """
    import asyncio
    import pytest

    def test_database(fresh_database):
        one = fresh_database
        assert (one.name, one.host, one.port, one.user, one.password) == (
            "fresh_database-1", "127.0.0.1", 5432, "me", "pw")
        assert one.url == "postgresql://me:pw@db/fresh_database-1"
        assert one.driver("postgresql+asyncpg") == "postgresql+asyncpg://me:pw@db/fresh_database-1"
        assert "pw" not in repr(one)

    def test_in_a_coroutine(fresh_database):
        async def name():
            return fresh_database.name
        assert asyncio.run(name()) == "fresh_database-2"

    def test_bucket(fresh_bucket):
        one = fresh_bucket
        assert (one.name, one.endpoint, one.region) == ("fresh_bucket-1", "http://s3", "here")
        assert (one.access_key, one.secret_key) == ("key", "secret")
        assert "secret" not in repr(one).replace("secret_key", "")

    @pytest.mark.parametrize("fresh_bucket", ["docs"], indirect=True)
    def test_chosen(fresh_bucket):
        assert fresh_bucket.name == "fresh_bucket-2"
"""


def test_the_sandbox_is_that_of_the_worker(desk: Desk, project: Project, python: str) -> None:
    project.write(test_sandbox=SANDBOX)
    desk.pytest("-n", "1", python=python)


def test_every_test_has_one_of_its_own_and_gives_it_back(desk: Desk, project: Project, python: str) -> None:
    project.write(test_fresh=FRESH)
    desk.pytest("-W", "error", python=python)
    names = ["fresh_database-1", "fresh_database-2", "fresh_bucket-1", "fresh_bucket-2"]
    assert [one["name"] for one in desk.asked("give_back")] == names
    assert [one["logical"] for one in desk.asked("fresh_bucket")] == ["", "docs"]
    assert desk.lost == []


def test_it_is_the_worker_that_asks(desk: Desk, project: Project) -> None:
    project.write(test_fresh="def test_fresh(fresh_database): pass\n")
    desk.pytest("-n", "1")
    assert [one["worker"] for one in desk.asked("fresh_database")] == ["gw0"]


def test_what_a_killed_worker_held_is_known(desk: Desk, project: Project) -> None:
    project.write(test_dies="import os\ndef test_dies(fresh_database):\n    os._exit(9)\n")
    desk.pytest("-n", "1", "--max-worker-restart", "0", code=1)
    assert desk.lost == ["fresh_database-1"]


def test_a_forked_child_asks_for_itself(desk: Desk, project: Project) -> None:
    project.write(
        test_fork="""
        import os

        def test_fork(request, fresh_database):
            child = os.fork()
            if not child:
                mine = request.getfixturevalue("envctl_sandbox")
                os._exit(7 if mine.worker == "" else 1)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7

        def test_parent(fresh_database):
            assert fresh_database.name == "fresh_database-2"
        """
    )
    desk.pytest("-W", "error")
    assert desk.lost == []


def test_a_refusal_is_told_without_a_traceback(desk: Desk, project: Project) -> None:
    desk.refused["fresh_database"] = EnvctlError("this run has no database", hint="give it migrations")
    project.write(test_fresh="def test_fresh(fresh_database): pass\ndef test_other(): pass\n")
    done = desk.pytest(code=1)
    assert "1 passed, 1 error" in done.out
    assert "envctl: this run has no database\n  hint: give it migrations\n" in done.out
    assert "pytest_plugin.py" not in done.out


def test_outside_of_a_run_they_say_what_to_do(project: Project, installed: str) -> None:
    project.write(test_fresh="def test_fresh(fresh_database): pass\ndef test_other(envctl_sandbox): pass\n")
    done = project.pytest(code=1, PYTHONPATH=installed)
    assert "2 errors" in done.out
    errors, _, _ = done.out.partition("short test summary")  # which repeats whole messages where CI is set
    assert errors.count("hint: start the tests with `envctl test`, or set envctl = true") == 2
