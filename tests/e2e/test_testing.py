"""`envctl test` and `envctl run` from outside: what a run gives, what it leaves, and what stops it."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from checkouts import BIN, Envctl, git
from leavings import leavings, settled
from till import CONFIG, TABLES, till, write

pytestmark = pytest.mark.embedded


@pytest.fixture
def shop_till(tmp_path: Path) -> Path:
    return till(tmp_path / "the till")


def passed(log: str) -> int:
    """How many tests pytest says have passed."""
    words = [line.split() for line in log.splitlines() if " passed" in line][-1]
    return int(words[words.index("passed") - 1] if "passed" in words else words[words.index("passed,") - 1])


@pytest.mark.parametrize("workers", ["-n0", "-n2", "-n auto", "-n2 --dist loadscope", "-p no:xdist"])
def test_every_worker_has_its_own_migrated_database(envctl: Envctl, shop_till: Path, workers: str) -> None:
    done = envctl("test", "--", *workers.split(), cwd=shop_till)
    assert passed(done.out) == 8
    assert "sandbox " in done.err
    assert not leavings(envctl, shop_till)


def test_the_worker_count_may_stand_in_addopts(envctl: Envctl, tmp_path: Path) -> None:
    place = till(tmp_path / "till", **{"pytest.ini": "[pytest]\naddopts = -n 2\n"})
    done = envctl("test", "--json", cwd=place)
    assert done.data["workers"] == ["gw0", "gw1"]
    assert not leavings(envctl, place)


def test_a_worker_that_crashes_is_replaced_by_one_with_a_database_of_its_own(envctl: Envctl, tmp_path: Path) -> None:
    tests = """
        import os, psycopg, pytest

        @pytest.mark.parametrize("number", range(6))
        def test_sale(number):
            if number == 2:
                os._exit(3)
            with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
                name = connection.execute("SELECT current_database()").fetchone()[0]
            assert name.endswith(os.environ["PYTEST_XDIST_WORKER"])
    """
    place = till(tmp_path / "till", tests=tests)
    done = envctl("test", "--json", "--", "-n2", cwd=place, code=1)
    assert "5 passed" in done.err
    assert "gw2" in done.data["workers"]
    assert not leavings(envctl, place)


def test_only_the_configured_variables_reach_the_tests(envctl: Envctl, tmp_path: Path) -> None:
    config = CONFIG + '\n[variables]\nTILL_URL = "{postgres.url}"\n\n[variables.test]\nTESTING = "1"\n'
    tests = """
        import json, os, pathlib

        def test_environment():
            pathlib.Path(os.environ["HOME_OF_TEST"], "environment.json").write_text(json.dumps(dict(os.environ)))
    """
    place = till(tmp_path / "till", config=config, tests=tests)
    envctl("test", "--", "-n1", cwd=place, HOME_OF_TEST=str(tmp_path))
    found = json.loads((tmp_path / "environment.json").read_text())
    before = {**envctl.environment, "HOME_OF_TEST": str(tmp_path)}
    # What pytest itself sets, the library that reads lines for it, and a shell that a `python` may come through.
    theirs = {name for name in found if name.startswith("PYTEST_")} | {"LINES", "COLUMNS", "PWD"}
    assert {name for name in found if found[name] != before.get(name)} - theirs == {"TILL_URL", "TESTING"}
    assert set(before) <= set(found)


def test_two_runs_in_one_checkout_at_once_both_work(envctl: Envctl, tmp_path: Path) -> None:
    tests = """
        import os, pathlib, time

        def test_together():
            me = os.environ["TEST_NAMESPACE"]
            here = pathlib.Path(os.environ["MEETING"])
            (here / me).touch()
            while len(list(here.iterdir())) < 2:
                time.sleep(0.01)
    """
    place, meeting = till(tmp_path / "till", tests=tests), tmp_path / "meeting"
    meeting.mkdir()
    started = [
        subprocess.Popen(
            [BIN / "envctl", "test"],
            cwd=place,
            env={**envctl.environment, "MEETING": str(meeting)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    envctl("ns", cwd=place)
    told = [process.communicate()[1] for process in started]
    assert [process.returncode for process in started] == [0, 0], told
    assert sum("this one is slot 2" in text for text in told) == 1
    assert {path.name.partition("__")[2] for path in meeting.iterdir()} == {"", "s2"}
    assert not leavings(envctl, place)


def test_the_commands_exit_code_is_ours(envctl: Envctl, shop_till: Path) -> None:
    done = envctl(
        "run", "--", "sh", "-c", 'psql "$DATABASE_URL" -c "SELECT 1" >/dev/null; exit 7', cwd=shop_till, code=7
    )
    assert "sandbox " in done.err
    assert not leavings(envctl, shop_till)


def test_a_command_that_is_not_there_was_never_started(envctl: Envctl, shop_till: Path) -> None:
    envctl("run", "--", "no-such-program", cwd=shop_till, code=125)
    assert not leavings(envctl, shop_till)


def test_a_failing_migration_shows_its_own_words_and_leaves_nothing(envctl: Envctl, shop_till: Path) -> None:
    write(shop_till / "db/2_wrong.sql", "CREATE TABLE wrong (id no_such_type);")
    done = envctl("test", cwd=shop_till, code=125)
    assert "no_such_type" in done.err
    assert not leavings(envctl, shop_till)
    (shop_till / "db/2_wrong.sql").unlink()
    assert envctl("test", "--json", cwd=shop_till).data["templates"]["postgres"]["how"] in ("reused", "built")


def test_a_template_is_built_once_and_extended_by_what_is_new(envctl: Envctl, shop_till: Path) -> None:
    assert how(envctl, shop_till) == "built"
    assert how(envctl, shop_till) == "reused"
    write(shop_till / "db/2_more.sql", "CREATE TABLE more (id int);")
    assert how(envctl, shop_till) == "extended"
    assert how(envctl, shop_till) == "reused"
    assert how(envctl, shop_till, "--from-scratch") == "built"
    git(shop_till, "worktree", "add", "-q", "-b", "other", str(shop_till.parent / "other"))
    assert how(envctl, shop_till.parent / "other") == "reused"
    write(shop_till / "db/1_sales.sql", TABLES + "-- changed\n")
    assert how(envctl, shop_till) == "built"


def how(envctl: Envctl, place: Path, *words: str) -> str:
    """How this run came to its template."""
    return str(envctl("test", "--json", *words, cwd=place).data["templates"]["postgres"]["how"])


@contextmanager
def sleeping(
    envctl: Envctl, folder: Path, *, stubborn: bool = False
) -> Iterator[tuple[Path, subprocess.Popen[str], Callable[[], list[str]]]]:
    """A run in the middle of a test that never ends, with a grandchild in a session of its own."""
    tests = f"""
        import os, pathlib, signal, subprocess, sys, time

        def test_sleep():
            if not os.environ["WAIT_FOR"]:
                return
            if {stubborn}:
                heard = pathlib.Path(os.environ["WAIT_FOR"]).with_name("heard")
                signal.signal(signal.SIGINT, lambda number, frame: heard.touch())
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
            fresh = pathlib.Path(os.environ["WAIT_FOR"] + ".new")
            fresh.write_text(f"{{os.getpid()}} {{child.pid}}")
            fresh.rename(os.environ["WAIT_FOR"])
            time.sleep(600)
    """
    place, file = till(folder / "till", tests=tests), folder / "pids"
    process = subprocess.Popen(
        [BIN / "envctl", "test", "--", "-n0" if stubborn else "-n1"],
        cwd=place,
        env={**envctl.environment, "WAIT_FOR": str(file)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    envctl("ns", cwd=place)
    try:
        while not file.exists():
            assert process.poll() is None
            time.sleep(0.02)
        yield place, process, lambda: file.read_text().split()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda one: one.name)
def test_a_signal_ends_the_run_and_what_it_started(envctl: Envctl, tmp_path: Path, number: signal.Signals) -> None:
    with sleeping(envctl, tmp_path) as (place, process, pids):
        process.send_signal(number)
        code = process.wait()
        assert code != 0
        assert not any(Path(f"/proc/{pid}").exists() for pid in pids())
        assert not leavings(envctl, place)


def test_a_second_interrupt_leaves_the_rest_to_the_next_call(envctl: Envctl, tmp_path: Path) -> None:
    with sleeping(envctl, tmp_path, stubborn=True) as (place, process, pids):
        process.send_signal(signal.SIGINT)
        while not (tmp_path / "heard").exists():
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        assert process.wait() == 130
        assert not any(Path(f"/proc/{pid}").exists() for pid in pids())
        envctl("ns", cwd=place)
        settled(envctl, place)


def test_after_sigkill_the_next_call_of_any_kind_cleans_up(envctl: Envctl, tmp_path: Path) -> None:
    with sleeping(envctl, tmp_path) as (place, process, _):
        process.kill()
        process.wait()
        envctl("ns", cwd=place)
        settled(envctl, place)
        assert passed(envctl("test", "-q", cwd=place, WAIT_FOR="").out) == 1


def test_a_suite_without_services_touches_no_server(envctl: Envctl, tmp_path: Path) -> None:
    config = CONFIG + '\n[test.suites.unit]\ncommand = "python -m pytest -q unit"\nservices = []\n'
    place = till(tmp_path / "till", config=config, **{"unit/test_unit.py": "def test_nothing(): pass\n"})
    done = envctl("test", "unit", cwd=place)
    assert passed(done.out) == 1
    assert not list((envctl.state / "projects" / "till").glob("*/servers.json"))


def test_a_suite_may_have_processes_beside_it(envctl: Envctl, tmp_path: Path) -> None:
    config = (
        CONFIG
        + '\n[dev.processes.web]\ncommand = "exec python -m http.server --bind 127.0.0.1 {port}"\nhealth = "/"\n'
        + '\n[test.suites.web]\nprocesses = ["web"]\ncommand = "python -m pytest -q web"\n'
        + 'env = { WEB = "{process.web.url}" }\n'
    )
    tests = "import os, urllib.request\ndef test_web(): urllib.request.urlopen(os.environ['WEB']).read()\n"
    place = till(tmp_path / "till", config=config, **{"web/test_web.py": tests})
    assert passed(envctl("test", "web", cwd=place).out) == 1
    assert not leavings(envctl, place)


def test_the_databases_of_failed_workers_are_kept_until_the_next_run(envctl: Envctl, shop_till: Path) -> None:
    write(shop_till / "tests/test_wrong.py", "def test_wrong(): assert False\n")
    done = envctl("test", "--keep", cwd=shop_till, code=1)
    url = next(line.split()[-1] for line in done.err.splitlines() if "psql postgresql://" in line)
    asked = subprocess.run(
        ["psql", url, "-Atc", "SELECT count(*) FROM sales"], capture_output=True, text=True, check=True
    )
    assert asked.stdout.strip() == "8"
    (shop_till / "tests/test_wrong.py").unlink()
    envctl("test", cwd=shop_till)
    settled(envctl, shop_till)


def test_a_green_run_on_another_database_is_told_loudly(envctl: Envctl, tmp_path: Path) -> None:
    place = till(tmp_path / "till", tests="def test_nothing(): pass\n")
    assert "DATABASE_URL" in envctl("test", cwd=place).err
    envctl("test", "--strict", cwd=place, code=1)


def test_what_the_suite_made_with_its_login_goes_too(envctl: Envctl, tmp_path: Path) -> None:
    config = CONFIG.replace("[test]", '[test]\nworkers = "project"')
    tests = """
        import os, psycopg

        def test_own_database():
            worker = os.environ["PYTEST_XDIST_WORKER"]
            with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
                name = connection.execute("SELECT current_database()").fetchone()[0]
                assert "gw" not in name
                connection.execute(f'CREATE DATABASE "test_{name}_{worker}"')
                connection.execute(f'CREATE DATABASE "Odd %_ name {worker}"')
    """
    place = till(tmp_path / "till", config=config, tests=tests)
    assert passed(envctl("test", "--", "-n1", cwd=place).out) == 1
    assert not leavings(envctl, place)


def test_a_run_may_have_servers_of_its_own(envctl: Envctl, tmp_path: Path) -> None:
    config = CONFIG.replace("[test]", '[test]\nisolation = "server"')
    place = till(tmp_path / "till", config=config)
    assert passed(envctl("test", "--", "-n2", cwd=place).out) == 8
    assert not list((envctl.state / "projects" / "till").glob("run-*"))
    assert not leavings(envctl, place)


def test_other_runners_ask_for_their_workers_variables(envctl: Envctl, shop_till: Path) -> None:
    script = (
        'for i in 1 2; do eval "$(envctl env --worker $i)"; psql "$DATABASE_URL" -Atc "SELECT current_database()"; done'
    )
    lines = envctl("run", "--", "sh", "-c", script, cwd=shop_till).out.split()
    assert [line.rpartition("_")[2] for line in lines] == ["gw1", "gw2"]
    assert not leavings(envctl, shop_till)


def test_timings_and_json_tell_what_the_run_cost(envctl: Envctl, shop_till: Path, tmp_path: Path) -> None:
    done = envctl("test", "--json", "--timings", str(tmp_path / "times.json"), cwd=shop_till)
    times = json.loads((tmp_path / "times.json").read_text())
    assert times["phases"][0]["name"] == "servers"
    assert times["tests"] == 8
    assert done.data["code"] == 0


def test_a_failing_migration_is_tried_once(envctl: Envctl, tmp_path: Path) -> None:
    config = CONFIG.replace('{ sql = ["db/*.sql"] }', '"echo once >> tries; exit 3"\nwatch = ["db"]')
    place = till(tmp_path / "till", config=config)
    envctl("test", cwd=place, code=125)
    assert (place / "tries").read_text() == "once\n"
    assert not leavings(envctl, place)


def test_where_to_write_the_timings_is_looked_at_before_the_tests_run(envctl: Envctl, shop_till: Path) -> None:
    done = envctl("test", "--timings", "nowhere/times.json", cwd=shop_till, code=2)
    assert "nowhere" in done.err
    assert not done.out


def test_what_was_kept_is_told_also_to_the_quiet(envctl: Envctl, shop_till: Path) -> None:
    write(shop_till / "tests/test_wrong.py", "def test_wrong(): assert False\n")
    assert "psql postgresql://" in envctl("-q", "test", "--keep", cwd=shop_till, code=1).err


def test_a_red_run_on_another_database_is_told_as_well(envctl: Envctl, tmp_path: Path) -> None:
    place = till(tmp_path / "till", tests="def test_wrong(): assert False\n")
    assert "DATABASE_URL" in envctl("test", cwd=place, code=1).err


def test_migrations_that_change_while_they_run_are_sealed_under_no_name(envctl: Envctl, tmp_path: Path) -> None:
    command = "if [ -e change ]; then echo 'SELECT 2' > db/1_sales.sql; fi; touch ran"
    config = CONFIG.replace('{ sql = ["db/*.sql"] }', f'"{command}"\nwatch = ["db"]')
    place = till(tmp_path / "till", config=config, tests="def test_nothing(): pass\n")
    (place / "change").touch()
    done = envctl("test", cwd=place, code=125)
    assert "have changed while they ran" in done.err
    assert not leavings(envctl, place)


def test_a_database_that_a_migration_made_beside_its_own_goes_with_the_draft(envctl: Envctl, tmp_path: Path) -> None:
    script = """
        import os, psycopg
        with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
            connection.execute("CREATE DATABASE analytics")
    """
    config = CONFIG.replace('{ sql = ["db/*.sql"] }', '"python make.py"\nwatch = ["make.py"]')
    place = till(tmp_path / "till", config=config, tests="def test_nothing(): pass\n", **{"make.py": script})
    for words in ((), ("--from-scratch",)):
        envctl("test", *words, cwd=place)
        assert not leavings(envctl, place)


def test_a_test_that_writes_a_comment_of_its_own_hides_nothing(envctl: Envctl, tmp_path: Path) -> None:
    tests = """
        import os, psycopg

        def test_comment():
            with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
                name = connection.execute("SELECT current_database()").fetchone()[0]
                connection.execute(f"COMMENT ON DATABASE {name} IS 'mine'")
                connection.execute("CREATE DATABASE more")
                connection.execute("COMMENT ON DATABASE more IS 'mine too'")
    """
    place = till(tmp_path / "till", tests=tests)
    envctl("test", cwd=place)
    assert not leavings(envctl, place)


def test_tests_that_never_came_for_their_sandbox_are_not_believed(envctl: Envctl, shop_till: Path) -> None:
    write(shop_till / "tests/test_sales.py", "def test_nothing(): pass\n")
    envctl("test", cwd=shop_till)
    for words in ((), ("--from-scratch",)):
        done = envctl("test", *words, "--", "-p", "no:envctl_pytest_plugin", cwd=shop_till, code=1)
        assert "without envctl's plugin" in done.err
    assert "plugin" not in envctl("test", "--", "--version", cwd=shop_till).err


def test_variables_that_lead_a_url_astray_do_not_reach_the_tests(envctl: Envctl, shop_till: Path) -> None:
    done = envctl("test", cwd=shop_till, PGHOSTADDR="203.0.113.1", PGSERVICE="prod", PGOPTIONS="-c timezone=Asia/Tokyo")
    assert passed(done.out) == 8


def test_a_database_made_by_hand_under_a_private_name_is_nobodys_to_evict(envctl: Envctl, tmp_path: Path) -> None:
    config = CONFIG.replace("[test]", '[test]\nserver = "shared"\ntemplate_space = 0')
    place = till(tmp_path / "till", config=config)
    envctl("dev", "up", cwd=place)
    made = ["till__p_0123456789ab_01234567", "till__t_0123456789ab"]
    for name in made:
        envctl("dev", "psql", "--", "-qc", f"CREATE DATABASE {name}", cwd=place)
    envctl("test", cwd=place)
    write(place / "db/2_more.sql", "CREATE TABLE more (id int);")
    envctl("test", cwd=place)
    log = envctl.state / "projects" / "till" / "logs" / "upkeep.log"
    while "dropped:" not in (log.read_text() if log.exists() else ""):
        time.sleep(0.05)
    found = envctl("dev", "psql", "--", "-Atc", "SELECT datname FROM pg_database", cwd=place).out.split()
    assert set(made) <= set(found)
