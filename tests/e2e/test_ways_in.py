"""How somebody gets at what there is: after a switch of branches, at what a run kept, at what `restore` gave back."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from checkouts import Envctl, git, worktree
from till import till

pytestmark = pytest.mark.embedded
STORED = """
import os
import redis
from minio import Minio

client = Minio(os.environ["AWS_ENDPOINT_URL_S3"].removeprefix("http://"), os.environ["AWS_ACCESS_KEY_ID"],
               os.environ["AWS_SECRET_ACCESS_KEY"], secure=False)
numbers = redis.Redis.from_url(os.environ["REDIS_URL"])
"""
PUT = f"""{STORED}
import io

client.put_object(os.environ["S3_BUCKET"], "invoice", io.BytesIO(b"mine"), 4)
numbers.set("cart", "mine")
"""
GET = f"""{STORED}
print(client.get_object(os.environ["S3_BUCKET"], "invoice").read().decode(), numbers.get("cart").decode())
"""
SERVICES = """
project = "till"
engine = "embedded"

[services.s3]
buckets = ["files"]

[services.redis]

[test]
command = "python -m pytest -q"
"""


@pytest.mark.parametrize("words", [("env",), ("dev", "psql", "--", "-c", "SELECT 1")])
def test_after_a_switch_it_is_told_whose_environment_is_up_and_how_to_get_one(
    envctl: Envctl, tmp_path: Path, words: tuple[str, ...]
) -> None:
    place, gate = till(tmp_path / "till"), tmp_path / "gate"
    os.mkfifo(gate)
    mine = envctl("ns", cwd=place).out.strip()
    with envctl.running(
        "dev", "run", "--", "sh", "-c", f"echo up > {gate}; cat {gate}", cwd=place, log=tmp_path / "log"
    ):
        assert gate.read_text() == "up\n"
        git(place, "switch", "-q", "-c", "feature/other")
        said = envctl(*words, cwd=place, code=4).err
        assert f"what is up in this checkout is {mine}, by `envctl dev run`" in said
        assert "hint: envctl dev up, which makes feature_other_" in said
        assert "git switch main" in said
        assert "git switch" not in envctl("--namespace", "theirs", *words, cwd=place, code=4).err
        envctl("dev", "up", cwd=place)
        envctl(*words, cwd=place)


def test_a_shell_says_last_before_its_prompt_where_one_is_and_how_to_leave(envctl: Envctl, tmp_path: Path) -> None:
    place = till(tmp_path / "till")
    done = envctl("shell", "--", "-c", 'echo "inside $PGDATABASE" >&2', cwd=place, SHELL="/bin/sh")
    inside = next(line for line in done.err.splitlines() if line.startswith("inside "))
    before, after = done.err.split(f"{inside}\n")
    told = before.splitlines()[-1]
    assert f"in a sandbox of its own (database {inside.removeprefix('inside ')})" in told
    assert "`exit` leaves it and removes that" in told
    assert "sandbox of its own" not in after
    assert "sandbox of its own" not in envctl("run", "--", "true", cwd=place).err


def stored(variables: dict[str, str], code: str = GET) -> str:
    """What a program prints that has these variables and no others of a sandbox."""
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **variables}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_what_a_failed_run_kept_in_s3_is_reached_by_what_is_printed(envctl: Envctl, tmp_path: Path) -> None:
    tests = f"{PUT}\n\ndef test_nothing():\n    assert False\n"
    place = till(tmp_path / "till", config=SERVICES, tests=tests)
    said = envctl("test", "--keep", cwd=place, code=1).err.splitlines()
    at = next(number for number, line in enumerate(said) if "kept until" in line and "bucket" in line)
    bucket = said[at].rpartition(" ")[2]
    words = shlex.split(said[at + 1])
    assert words[-4:] == ["aws", "s3", "ls", f"s3://{bucket}"]
    variables = dict(one.split("=", 1) for one in words[:-4])
    redis = next(line.strip() for line in said if line.strip().startswith("redis://"))
    assert stored({**variables, "S3_BUCKET": bucket, "REDIS_URL": redis}) == "mine mine"
    kept = envctl("test", "--keep", "--json", cwd=place, code=1).data["kept"]
    assert {one["kind"]: "AWS_SECRET_ACCESS_KEY" in one["variables"] for one in kept} == {
        "bucket": True,
        "number": False,
    }


def test_a_restored_bucket_and_redis_database_open_to_whoever_takes_their_namespace_over(
    envctl: Envctl, tmp_path: Path
) -> None:
    place, tree = till(tmp_path / "till", config=SERVICES), tmp_path / "tree"
    worktree(place, "feature/x", tree)
    for one in (place, tree):
        envctl("dev", "up", cwd=one)
    name = envctl("ns", cwd=tree).out.strip()
    stored(json.loads(envctl("env", "--format", "json", cwd=tree).out), PUT)
    envctl("dev", "down", cwd=tree)
    git(place, "worktree", "remove", "--force", str(tree))
    git(place, "branch", "-q", "-D", "feature/x")

    assert "quarantined bucket" in envctl("clean", cwd=place).out
    assert f"envctl --namespace {name} dev up" in envctl("restore", "feature/x", cwd=place).err
    envctl("dev", "down", "--all", "--yes", cwd=place)  # A server that has restarted may know its logins no more.
    worktree(place, "feature/x", tmp_path / "elsewhere")
    envctl("--namespace", name, "dev", "up", cwd=tmp_path / "elsewhere")
    found = envctl("--namespace", name, "env", "--format", "json", cwd=tmp_path / "elsewhere")
    assert stored(json.loads(found.out)) == "mine mine"
