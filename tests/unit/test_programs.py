"""Which processes `dev run` and a suite start, and what is said of a name that none has."""

from __future__ import annotations

from pathlib import Path

import pytest

from envctl.dev import programs
from envctl.errors import UsageError
from envctl.project import open_project
from envctl.sandbox import Sandbox
from envctl.server_set import Running


def sandbox(root: Path, processes: str) -> Sandbox:
    (root / "envctl.toml").write_text(f'project = "shop"\n{processes}')
    return Sandbox(open_project(root, "dev", {"BRANCH_NAME": "x"}), Running("embedded", {}, ready=True), {}, {})


@pytest.mark.parametrize(("name", "hint"), [("wrker", "did you mean 'worker'?"), ("zebra", "known here: api, worker")])
def test_a_process_that_nobody_configured_is_told_with_the_nearest_that_is(
    tmp_path: Path, name: str, hint: str
) -> None:
    ready = sandbox(tmp_path, '[dev.processes.api]\ncommand = "a"\n[dev.processes.worker]\ncommand = "b"\n')
    with pytest.raises(UsageError, match=f"no process is called {name}") as caught:
        programs.processes(ready, ["api", name], lambda line: None)
    assert (caught.value.cause, caught.value.hint) == ("configured under [dev.processes]: api, worker", hint)


@pytest.mark.parametrize("names", [[], ["api"]])
def test_without_any_process_the_way_to_one_is_told(tmp_path: Path, names: list[str]) -> None:
    with pytest.raises(UsageError, match="no processes") as caught:
        programs.processes(sandbox(tmp_path, ""), names, lambda line: None)
    assert "[dev.processes.NAME]" in caught.value.hint
