"""`--audit`: what a run leaves outside of its sandbox is found and told whose it is, and nothing else is."""

from __future__ import annotations

import json
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest
from checkouts import BIN, Envctl
from till import TESTS, till

pytestmark = pytest.mark.embedded

CONFIG = """
project = "till"
engine = "embedded"

[services.postgres]
migrate = { sql = ["db/*.sql"] }

[services.s3]

[services.redis]

[test]
command = "python -m pytest -q"
"""

ADMIN = """
import json, os, pathlib


def address(which, service):
    state = pathlib.Path(os.environ["SERVERS"])
    return json.loads((state / which / "servers.json").read_text())["servers"][service]["address"]


def database(which):
    import psycopg

    at = address(which, "postgres")
    place = {"host": at["host"], "port": at["port"], "dbname": "postgres"}
    return psycopg.connect(**place, user=at["user"], password=at["password"], autocommit=True)


def buckets(which):
    from minio import Minio

    at = address(which, "s3")
    return Minio(f"{at['host']}:{at['port']}", at["user"], at["password"], secure=False)


def numbers(which, number):
    import redis

    at = address(which, "redis")
    return redis.Redis(at["host"], at["port"], db=number, username=at["user"] or None, password=at["password"])
"""
"""What a suite knows that took the administrators' passwords from elsewhere."""

PLANTED = """
import os, pathlib, subprocess, sys, threading

import admin, psycopg


def test_a_database():
    with psycopg.connect(os.environ["NEIGHBOURS_URL"], autocommit=True) as connection:
        connection.execute("CREATE DATABASE scratch")


def test_a_role():
    with admin.database("test-embedded") as connection:
        connection.execute("CREATE ROLE reporter")


def test_a_bucket():
    admin.buckets("test-embedded").make_bucket("escaped")


def test_a_key():
    admin.numbers("test-embedded", 77).set("escaped", "1")


def test_a_daemon():
    serve = "import socket, time; s = socket.create_server(('127.0.0.1', 0)); time.sleep(600)"
    start = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {serve!r}], start_new_session=True)"
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run([sys.executable, "-c", start], **quiet, check=True)


def test_a_file():
    pathlib.Path.home().joinpath("escaped.txt").write_text("out")


def test_a_session():
    def work():
        connection = psycopg.connect(os.environ["DATABASE_URL"])
        connection.execute("SELECT 1")
        kept.append(connection)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


kept = []
"""

CLEAN = """
import os, pathlib, subprocess, sys, tempfile

import minio, psycopg, pytest, redis

pool = []


@pytest.mark.parametrize("number", range(6))
def test_all_that_a_suite_does(number, tmp_path, request):
    connection = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)
    pool.append(connection)  # As a pool keeps it, to the end of the process.
    connection.execute("INSERT INTO sales (cents) VALUES (%s)", (number,))
    connection.execute(f"CREATE DATABASE {connection.info.dbname}_more_{number}")
    redis.Redis.from_url(os.environ["REDIS_URL"]).set("sale", number)
    place = os.environ["AWS_ENDPOINT_URL_S3"].partition("://")[2]
    keys = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
    client = minio.Minio(place, *keys, secure=False)
    client.fput_object(os.environ["S3_BUCKET"], f"sale-{number}", __file__)
    (tmp_path / "receipt").write_text("one sale")
    with tempfile.NamedTemporaryFile("w") as file:
        file.write("gone at once")
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    pathlib.Path("report.txt").write_text("in the checkout")
    request.config.cache.set("till/number", number)
"""


@pytest.fixture
def ground(tmp_path: Path, state: Path) -> dict[str, str]:
    """The variables of a machine of which the tests use every corner: a home and a folder for temporary files."""
    places = {"HOME": tmp_path / "home", "TMPDIR": tmp_path / "tmp"}
    for place in places.values():
        place.mkdir()
    return {"SERVERS": str(state / "projects" / "till"), **{name: str(place) for name, place in places.items()}}


def suite(folder: Path, tests: str, **files: str) -> Path:
    return till(folder, config=CONFIG, tests=tests, **{"tests/admin.py": ADMIN, **files})


def found(audit: Any) -> dict[str, Any]:
    return {f"{one['kind']} {one['name'].partition(' ')[0]}": one for one in audit["escapes"]}


def test_every_planted_escape_is_found_once_and_told_whose_it_is(
    envctl: Envctl, tmp_path: Path, ground: dict[str, str]
) -> None:
    place = suite(tmp_path / "till", PLANTED)
    envctl("dev", "up", "--namespace", "neighbour", cwd=place)
    words = ("dev", "run", "--namespace", "neighbour", "--", "printenv", "DATABASE_URL")
    neighbour = envctl(*words, cwd=place).out.strip()
    before = set(psutil.pids())
    done = envctl("test", "--audit", "--json", "--", "-n2", cwd=place, code=3, NEIGHBOURS_URL=neighbour, **ground)
    assert "7 passed" in done.err
    assert done.document["errors"][0]["code"] == "escaped"
    escapes = done.data["audit"]["escapes"]
    kinds = sorted(one["kind"] for one in escapes)
    assert kinds == ["bucket", "database", "file", "key", "port", "role", "session", "visit"], escapes
    told = {one["kind"]: one for one in escapes}
    assert told["database"]["name"] == "scratch"
    assert told["database"]["place"] == "postgres of dev-embedded"
    assert told["bucket"]["name"] == "escaped"
    assert told["key"]["name"] == "escaped in number 77"
    assert told["file"]["name"] == f"{ground['HOME']}/escaped.txt"
    assert told["visit"]["evidence"].startswith(f"came into database {told['visit']['name']} as ")
    assert told["visit"]["name"] in neighbour
    assert "listens on 127.0.0.1:" in told["port"]["evidence"]
    by = {"port": "daemon", "visit": "database"}
    for kind, one in told.items():
        assert one["test"] == f"tests/test_sales.py::test_a_{by.get(kind, kind)}", one
        assert one["worker"] in ("gw0", "gw1")
    assert not [pid for pid in psutil.pids() if pid not in before and _sleeps(pid)]


def _sleeps(pid: int) -> bool:
    try:
        return "time.sleep(600)" in " ".join(psutil.Process(pid).cmdline())
    except psutil.Error:
        return False


@pytest.mark.parametrize("workers", ["-n0", "-n2"])
def test_a_clean_suite_is_found_clean(envctl: Envctl, tmp_path: Path, ground: dict[str, str], workers: str) -> None:
    place = suite(tmp_path / "till", CLEAN)
    done = envctl("test", "--audit", "--json", "--", workers, cwd=place, code=0, **ground)
    assert "6 passed" in done.err
    audit = done.data["audit"]
    assert (audit["escapes"], audit["untold"], audit["unseen"]) == ([], [], [])
    assert {"postgres of test-embedded", ground["HOME"], ground["TMPDIR"]} <= set(audit["looked_at"])


def test_what_a_neighbours_run_makes_is_not_ours(envctl: Envctl, tmp_path: Path, ground: dict[str, str]) -> None:
    """Not even where it escapes itself; that run is told, as far as one of its tests was seen to do it."""
    together = """
import os, pathlib, tempfile, time

import admin, psycopg


def met(word):
    here = pathlib.Path(os.environ["MEETING"])
    (here / f"{word} {os.getpid()}").touch()
    while len(list(here.glob(f"{word} *"))) < 2:
        time.sleep(0.01)


def test_both_work_at_the_same_time():
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        met("come")
        connection.execute(f"CREATE DATABASE {connection.info.dbname}_more")
        if os.environ["ROLE"]:
            with admin.database("test-embedded") as other:
                other.execute("CREATE DATABASE nobodys")
            os.system(f"touch {tempfile.gettempdir()}/nobodys")
        met("worked")
    met("gone")
"""
    place = suite(tmp_path / "till", together, **{"meeting/.gitignore": "*"})
    envctl("test", "--", "--collect-only", cwd=place)
    words = [str(BIN / "envctl"), "test", "--audit", "--json"]
    with ExitStack() as stack:
        started = [
            stack.enter_context(
                subprocess.Popen(
                    words,
                    cwd=place,
                    env={**envctl.environment, **ground, "MEETING": str(place / "meeting"), "ROLE": role},
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                )
            )
            for role in ("", "plants")
        ]
        answers = [one.communicate() for one in started]
    innocent, guilty = (json.loads(out)["data"]["audit"] for out, _ in answers)
    assert innocent["escapes"] == []
    assert {one["name"] for one in innocent["untold"]} == {"nobodys", f"{ground['TMPDIR']}/nobodys"}
    assert [one["name"] for one in guilty["escapes"]] == ["nobodys"]
    assert [one.returncode for one in started] == [0, 3]


def test_a_process_that_any_command_leaves_is_told_and_ended(
    envctl: Envctl, tmp_path: Path, ground: dict[str, str]
) -> None:
    place = suite(tmp_path / "till", TESTS)
    leaves = "setsid sleep 600 >/dev/null 2>&1 & exit $0"
    done = envctl("run", "--audit", "--json", "--", "sh", "-c", leaves, "0", cwd=place, code=3, **ground)
    (escape,) = done.data["audit"]["escapes"]
    assert escape["kind"] == "process"
    assert escape["name"].startswith("sleep 600 (pid ")
    assert not psutil.pid_exists(int(escape["name"].partition("pid ")[2].rstrip(")")))
    failed = envctl("run", "--audit", "--json", "--", "sh", "-c", leaves, "7", cwd=place, code=7, **ground)
    assert failed.data["audit"]["escapes"]


def test_the_configuration_may_wish_it_and_may_allow_what_is_left(
    envctl: Envctl, tmp_path: Path, ground: dict[str, str]
) -> None:
    config = CONFIG + 'audit = true\naudit_paths = ["~/uploads"]\naudit_allow = ["~/cache/*", "*/allowed"]\n'
    leaves = """
import os, pathlib


def test_files():
    home = pathlib.Path.home()
    (home / "cache").mkdir(exist_ok=True)
    (home / "cache" / "model").touch()
    os.system(f"touch {home}/uploads/allowed {home}/uploads/{os.environ['FILE']}")
"""
    place = till(tmp_path / "till", config=config, tests=leaves)
    uploads = Path(ground["HOME"], "uploads")
    uploads.mkdir()
    (uploads.parent / "cache").mkdir()
    envctl("test", cwd=place, code=0, FILE="allowed", **ground)
    done = envctl("test", "--json", cwd=place, code=3, FILE="escaped", **ground)
    assert [one["name"] for one in done.data["audit"]["escapes"]] == [str(uploads / "escaped")]


API = """
import http.server, os, sys, threading

import psycopg


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

    def log_message(self, *words):
        pass


connection = psycopg.connect(os.environ["DATABASE_URL"])
connection.execute("SELECT 1")
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def test_a_process_beside_the_suite_and_its_sessions_are_no_escape(
    envctl: Envctl, tmp_path: Path, ground: dict[str, str]
) -> None:
    config = """
project = "till"
engine = "embedded"

[services.postgres]
migrate = { sql = ["db/*.sql"] }

[dev.processes.api]
command = "python api.py {port}"
health = "/"

[test.suites.load]
command = "python -m pytest -q"
processes = ["api"]
workers = "serial"
"""
    place = till(tmp_path / "till", config=config, tests=TESTS, **{"api.py": API})
    done = envctl("test", "load", "--audit", "--json", cwd=place, code=0, **ground)
    assert done.out.startswith("{"), (done.out, done.err)
    audit = done.data["audit"]
    assert (audit["escapes"], audit["untold"]) == ([], [])


def test_a_run_without_it_tells_of_no_audit(envctl: Envctl, tmp_path: Path) -> None:
    assert "audit" not in envctl("test", "--json", cwd=till(tmp_path / "till")).data


def test_the_example_is_found_clean(envctl: Envctl, shop: Path, ground: dict[str, str]) -> None:
    audit = envctl("test", "--audit", "--json", "--", "-n2", "-q", cwd=shop, code=0, **ground).data["audit"]
    assert (audit["escapes"], audit["untold"], audit["unseen"]) == ([], [], [])
