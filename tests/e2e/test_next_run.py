"""Whatever an earlier run left, or does: the next one begins at once, in another slot, and says why."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from checkouts import Envctl
from till import TESTS, till, write

from envctl import residue

pytestmark = pytest.mark.embedded

WRONG = f"{TESTS}\n\ndef test_wrong():\n    assert not os.environ.get('WRONG')\n"


def test_a_database_that_somebody_looks_into_keeps_no_run_from_beginning(envctl: Envctl, tmp_path: Path) -> None:
    place = till(tmp_path / "till", tests=WRONG)
    done = envctl("test", "--keep", cwd=place, code=1, WRONG="1")
    url = next(line.split()[-1] for line in done.err.splitlines() if "psql postgresql://" in line)
    folder = next(one for one in (envctl.state / "projects/till/runs").iterdir() if one.name.startswith("till_test"))
    with subprocess.Popen(["psql", url, "-Atq"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as psql:
        assert psql.stdin is not None
        assert psql.stdout is not None
        psql.stdin.write("SELECT 'looking';\n")
        psql.stdin.flush()
        assert psql.stdout.readline() == "looking\n"
        assert ": this one is slot 2" in envctl("test", cwd=place).err
        while not residue.left(folder):  # Recovery gives the session some time to end.
            time.sleep(0.05)
        told = envctl("test", cwd=place).err
        assert "what an earlier run left is still there (the database" in told
        assert "1 session: psql" in told
        assert ": this one is slot 2" in told
    while folder.exists():
        envctl("ns", cwd=place)
    assert "slot" not in envctl("test", cwd=place).err


def test_a_run_that_is_stopped_keeps_no_other_from_beginning(envctl: Envctl, tmp_path: Path) -> None:
    place = till(tmp_path / "till")
    write(place / "stuck.py", "import pathlib, time\npathlib.Path('here').touch()\ntime.sleep(600)\n")
    with envctl.running("run", "--", "python", "stuck.py", cwd=place, log=tmp_path / "log") as stuck:
        while not (place / "here").exists():
            assert stuck.poll() is None, (tmp_path / "log").read_text()
            time.sleep(0.05)
        os.kill(stuck.pid, signal.SIGSTOP)
        try:
            told = envctl("test", cwd=place).err
        finally:
            os.kill(stuck.pid, signal.SIGCONT)
    assert "another run of this checkout is at work: this one is slot 2" in told
