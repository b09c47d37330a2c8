"""Which checkout has which namespace, who has the bare names, and the key that passwords come from."""

from __future__ import annotations

from pathlib import Path

import pytest

from envctl import workspaces
from envctl.errors import EnvctlError, UsageError
from envctl.model import Namespace


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ENVCTL_STATE_DIR", str(tmp_path / "state"))
    return tmp_path / "state"


def register(name: str, folder: Path, branch: str = "main") -> workspaces.Workspace:
    folder.mkdir(exist_ok=True)
    namespace = Namespace(name, "git", branch, folder)
    return workspaces.register("shop", namespace, default_branch="main", wait=5, talk=lambda line: None)


def test_the_first_on_the_default_branch_has_the_bare_names_for_good(tmp_path: Path) -> None:
    assert not register("feature_1", tmp_path / "a", "feature").primary
    assert register("main_1", tmp_path / "b").primary
    assert not register("main_2", tmp_path / "c").primary
    assert register("main_1", tmp_path / "b").primary
    (tmp_path / "b").rename(tmp_path / "moved")
    assert not register("main_3", tmp_path / "d").primary, "the data are still the first one's"


def test_a_namespace_of_a_live_checkout_is_refused_and_of_a_gone_one_is_taken_over(tmp_path: Path) -> None:
    register("shared", tmp_path / "a", "x")
    with pytest.raises(UsageError, match="belongs to another checkout"):
        register("shared", tmp_path / "b", "x")
    (tmp_path / "a").rmdir()
    assert register("shared", tmp_path / "b", "x").path == tmp_path / "b"


def test_passwords_are_the_same_on_every_call_and_different_for_each() -> None:
    first = workspaces.secret("shop", "postgres:one")
    assert workspaces.secret("shop", "postgres:one") == first
    assert len({first, workspaces.secret("shop", "postgres:two"), workspaces.secret("other", "postgres:one")}) == 3


@pytest.mark.parametrize("content", ["", "zz", "abcd"])
def test_a_damaged_key_gives_no_password_that_could_be_guessed(state: Path, content: str) -> None:
    workspaces.secret("shop", "postgres:one")
    (state / "projects" / "shop" / "key").write_text(content)
    with pytest.raises(EnvctlError, match="damaged"):
        workspaces.secret("shop", "postgres:one")


@pytest.mark.parametrize("content", ['{"version": 1}', '{"version": 1, "path": 5, "branch": "x", "primary": true}'])
def test_a_registration_that_says_too_little_is_an_error_that_names_its_file(state: Path, content: str) -> None:
    file = state / "projects" / "shop" / "workspaces" / "x.json"
    file.parent.mkdir(parents=True)
    file.write_text(content)
    with pytest.raises(EnvctlError, match="is not the registration of a checkout") as error:
        workspaces.workspaces("shop")
    assert error.value.code == "state_broken"
    assert str(file) in error.value.hint
