"""How somebody gets at what there is: after a switch of branches, at what a run kept, at what `restore` gave back."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from checkouts import Envctl, git
from till import till

pytestmark = pytest.mark.embedded


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
