"""Which checkout has which namespace, who has the bare names, and the key that passwords come from."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from envctl import ports, workspaces
from envctl.cli.edge import Edge, Globals
from envctl.errors import EnvctlError, UsageError
from envctl.inventory import books, evidence
from envctl.model import Namespace
from envctl.output import Output


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


def test_a_claim_outlives_a_change_of_the_default_branch_and_of_ones_own(tmp_path: Path) -> None:
    assert register("main_1", tmp_path / "a").primary
    main, trunk = (Namespace(f"{branch}_1", "git", branch, tmp_path / "a") for branch in ("main", "trunk"))
    assert workspaces.primary("shop", main, "trunk")
    assert not workspaces.primary("shop", trunk, "trunk")
    assert not workspaces.primary("shop", main, "nobody-s", chosen=True), "the configuration's word counts"
    assert workspaces.primary("shop", main, "main", chosen=True)
    assert register("main_1", tmp_path / "a", "side").primary, "as --namespace may say"


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


def content(**other: object) -> str:
    """A registration that is whole, but for these."""
    return json.dumps({"version": 1, "path": "/a", "branch": "x", "primary": False, **other})


DAMAGED = (
    '{"version": 1}',
    *(content(branch=one) for one in (7, [1], {"a": 1}, 1e300, None, "a\0b", "\ud800")),
    *(content(path=one) for one in (5, "/a\0b", "/\ud800")),
    *(content(primary=one) for one in ("no", 1, None)),
    *(content(**{name: 7}) for name in ("source", "repository", "gitdir", "identity")),
)


@pytest.mark.parametrize("damaged", DAMAGED)
def test_a_registration_that_says_no_such_thing_is_an_error_that_names_its_file(state: Path, damaged: str) -> None:
    file = registration(state, "x")
    file.write_text(damaged)
    with pytest.raises(EnvctlError, match="is not the registration of a checkout") as error:
        workspaces.find("shop", "x")
    assert error.value.code == "state_broken"
    assert str(file) in error.value.hint


def registration(state: Path, name: str) -> Path:
    file = state / "projects" / "shop" / "workspaces" / f"{name}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    return file


DAMAGES: tuple[Callable[[Path], object], ...] = (
    lambda file: file.write_text('{"version": 1, "pa'),
    lambda file: file.write_text("[" * 100_000),
    lambda file: file.write_text(content(branch=7)),
    lambda file: file.symlink_to(file),
    os.mkfifo,
    Path.mkdir,
)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_registration_stops_no_other_checkout_and_stays_as_it_is(
    state: Path, tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    assert register("main_1", tmp_path / "b").primary
    damage(registration(state, "a_damaged"))
    before = registration(state, "a_damaged").lstat()
    assert register("main_1", tmp_path / "b").primary
    assert not register("feature_1", tmp_path / "c", "feature").primary
    assert [one.namespace for one in workspaces.workspaces("shop")] == ["feature_1", "main_1", ""]
    assert registration(state, "a_damaged").lstat() == before


def test_who_may_have_the_bare_names_and_cannot_be_read_keeps_them(state: Path, tmp_path: Path) -> None:
    assert register("main_1", tmp_path / "a").primary
    registration(state, "main_1").write_text("cut off")
    assert not register("main_2", tmp_path / "b").primary
    assert not workspaces.primary("shop", Namespace("main_1", "git", "feature", tmp_path / "a"), "main")
    with pytest.raises(EnvctlError, match="cannot be read"):
        register("main_1", tmp_path / "a")


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_checkout_that_cannot_be_read_counts_as_there(state: Path, damage: Callable[[Path], object]) -> None:
    damage(registration(state, "x"))
    (found,) = workspaces.workspaces("shop")
    assert isinstance(found, workspaces.Unread)
    assert found.live
    where = evidence.checkouts("shop")["x"]
    assert (where.gone, where.doubt) == ("", "")


def test_nothing_that_may_be_of_a_checkout_that_cannot_be_read_can_go(state: Path, tmp_path: Path) -> None:
    (tmp_path / "envctl.toml").write_text('project = "shop"\n[services.redis]\n')
    registration(state, "x").write_text(content(branch=7))
    project = Edge("clean", Globals(project=tmp_path, quiet=True), Output(quiet=True)).project()
    facts = evidence.gather(project)
    assert str(registration(state, "x")) in facts.unread["x"]
    ports.take("shop/x/api")
    (port,) = books.ports_of(project, facts)
    (registered,) = (one for one in books.findings(project, [], [], facts) if one.resource.kind == "checkout")
    assert {(one.verdict, one.remedy) for one in (port, registered)} == {("idle", "")}


def test_a_pipe_in_the_place_of_the_key_is_a_damaged_key(state: Path) -> None:
    (state / "projects" / "shop").mkdir(parents=True)
    os.mkfifo(state / "projects" / "shop" / "key")
    with pytest.raises(EnvctlError, match="damaged"):
        workspaces.secret("shop", "postgres:one")
