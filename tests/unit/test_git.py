"""What is read of real git repositories, in every state that one can be in."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from envctl import git, namespace

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="the git program makes the repositories")


@pytest.fixture(autouse=True)
def own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the person's own git, and nothing of a hook that may run these tests."""
    for variable in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(variable)
    for variable, value in {
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "a",
        "GIT_AUTHOR_EMAIL": "a@example.org",
        "GIT_COMMITTER_NAME": "a",
        "GIT_COMMITTER_EMAIL": "a@example.org",
    }.items():
        monkeypatch.setenv(variable, value)


def run(folder: Path, *words: str, code: int = 0) -> str:
    command = ["git", "-c", "protocol.file.allow=always", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    return done.stdout.strip()


def commit(folder: Path, content: str = "x") -> str:
    (folder / "file").write_text(content)
    run(folder, "add", "file")
    run(folder, "commit", "-q", "-m", content)
    return run(folder, "rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    run(folder, "init", "-q", "-b", "main")
    commit(folder)
    return folder


def look(path: Path) -> git.Checkout:
    found = git.checkout(path)
    assert found is not None, git.trouble(path)
    assert git.trouble(path) == ""
    return found


def name(path: Path) -> str:
    return namespace.resolve(path=path, flag=None, environ={}, checkout=git.checkout(path), limit=25).name


def test_an_ordinary_checkout_from_any_folder_in_it(repository: Path) -> None:
    (repository / "src/deep").mkdir(parents=True)
    head = run(repository, "rev-parse", "HEAD")
    expected = git.Checkout(repository, repository / ".git", repository / ".git", "main", head)
    for folder in (".", "src", "src/deep", ".git", ".git/refs/heads"):
        assert look(repository / folder) == expected


def test_a_symlink_to_a_checkout_is_that_checkout(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(repository)
    assert look(tmp_path / "link") == look(repository)


@pytest.mark.parametrize(
    "branch", ["feature/auth-v2", "日本語/🚀", "v1.2.3", "a" * 200 + "/" + "b" * 90, "master_gw1", "-"]
)
def test_any_branch_that_git_allows(repository: Path, branch: str) -> None:
    run(repository, "update-ref", f"refs/heads/{branch}", "HEAD")
    run(repository, "symbolic-ref", "HEAD", f"refs/heads/{branch}")
    found = look(repository)
    assert (found.branch, found.head) == (branch, run(repository, "rev-parse", "HEAD"))
    assert re.fullmatch("([a-z0-9]+_)+[0-9a-f]{8}", name(repository))


def test_packed_refs_are_read(repository: Path) -> None:
    run(repository, "branch", "mai")
    run(repository, "branch", "x/main")
    last = commit(repository, "second")
    run(repository, "pack-refs", "--all")
    assert not (repository / ".git/refs/heads/main").exists()
    assert look(repository).head == last


def test_an_unborn_branch_has_a_name_and_no_commit(tmp_path: Path) -> None:
    run(tmp_path, "init", "-q", "-b", "first/steps")
    found = look(tmp_path)
    assert (found.branch, found.head) == ("first/steps", "")
    assert git.default_branch(found) == "first/steps"
    run(tmp_path, "symbolic-ref", "HEAD", f"refs/heads/{'x' * 300}")
    assert look(tmp_path).branch == "x" * 300


def test_a_detached_head_keeps_one_name_while_commits_are_made(repository: Path) -> None:
    run(repository, "checkout", "-q", "--detach")
    before = name(repository)
    head = commit(repository, "more")
    found = look(repository)
    assert (found.branch, found.head) == ("", head)
    assert before == name(repository)
    assert before.startswith("detached_")


@pytest.mark.parametrize("backend", ["--merge", "--apply"])
def test_a_rebase_in_progress_keeps_the_branch_and_its_name(repository: Path, backend: str) -> None:
    run(repository, "checkout", "-q", "-b", "feature/x")
    commit(repository, "theirs")
    before = name(repository)
    run(repository, "checkout", "-q", "main")
    commit(repository, "ours")
    run(repository, "checkout", "-q", "feature/x")
    run(repository, "rebase", backend, "main", code=1)
    found = look(repository)
    assert found.branch == "feature/x"
    assert name(repository) == before
    run(repository, "rebase", "--abort")


def test_a_rebase_of_a_detached_head_has_no_branch(repository: Path) -> None:
    base = run(repository, "rev-parse", "HEAD")
    commit(repository, "ours")
    run(repository, "checkout", "-q", "--detach", base)
    commit(repository, "theirs")
    run(repository, "rebase", "main", code=1)
    assert look(repository).branch == ""


def test_a_linked_worktree_is_a_checkout_of_its_own(repository: Path, tmp_path: Path) -> None:
    run(repository, "worktree", "add", "-q", "-b", "feature", str(tmp_path / "linked"))
    found, main = look(tmp_path / "linked"), look(repository)
    assert (found.root, found.branch, found.head) == (tmp_path / "linked", "feature", main.head)
    assert found.common_dir == main.common_dir != found.git_dir
    assert git.default_branch(found) == "main"
    assert name(found.root) != name(main.root)


def test_a_submodule_is_a_checkout_of_its_own(repository: Path, tmp_path: Path) -> None:
    outer = tmp_path / "outer"
    outer.mkdir()
    run(outer, "init", "-q", "-b", "trunk")
    run(outer, "submodule", "--quiet", "add", str(repository), "inner")
    run(outer / "inner", "checkout", "-q", "-b", "feature")
    found = look(outer / "inner")
    assert (found.root, found.branch) == (outer / "inner", "feature")
    assert found.git_dir == outer / ".git/modules/inner"
    assert look(outer).branch == "trunk"


def test_a_bare_repository_and_the_worktrees_around_one(repository: Path, tmp_path: Path) -> None:
    bare = tmp_path / "hub/.bare"
    run(tmp_path, "clone", "-q", "--bare", str(repository), str(bare))
    assert (look(bare).root, look(bare).branch) == (bare, "main")
    assert look(bare / "objects").root == bare
    (tmp_path / "hub/.git").write_text("gitdir: ./.bare\n")
    assert (look(tmp_path / "hub").root, look(tmp_path / "hub").git_dir) == (tmp_path / "hub", bare)
    run(tmp_path / "hub", "worktree", "add", "-q", "-b", "feature", "feature")
    found = look(tmp_path / "hub/feature")
    assert (found.branch, found.common_dir) == ("feature", bare)


@pytest.mark.parametrize(
    "folder", ["with space 'and' \"quotes\"", "ünï çødé 🚀", "n" * 200, "new\nline", "$(touch x);*"]
)
def test_any_path_that_a_file_system_allows(tmp_path: Path, folder: str) -> None:
    place = tmp_path / folder
    place.mkdir()
    run(place, "init", "-q", "-b", "main")
    commit(place)
    assert look(place).root == place
    assert re.fullmatch("main_[0-9a-f]{8}", name(place))


def test_no_repository_is_said_to_be_none(tmp_path: Path) -> None:
    assert git.checkout(tmp_path) is None
    assert "not in a git checkout" in git.trouble(tmp_path)
    assert git.checkout(tmp_path / "not/there") is None


@pytest.mark.parametrize(
    ("entry", "content"),
    [
        *((".git", ""), (".git", "gitdir: /nowhere/at/all"), (".git", "\xff\xfe\0"), (".git", "gitdir: .git")),
        *((".git/HEAD", ""), (".git/HEAD", "nonsense"), (".git/HEAD", "\0\xff"), (".git/other", "no HEAD at all")),
    ],
)
def test_a_broken_repository_is_none_with_a_reason(repository: Path, entry: str, content: str) -> None:
    inner = repository / "inner"
    (inner / entry).parent.mkdir(parents=True)
    (inner / entry).write_bytes(content.encode("latin-1"))
    assert git.checkout(inner) is None
    assert "cannot be read" in git.trouble(inner)
    assert name(inner).startswith("default_")


def test_a_loop_of_links_is_none_with_a_reason(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert git.checkout(tmp_path / "loop") is None
    assert git.trouble(tmp_path / "loop") != ""


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_repository_is_none_with_a_reason(repository: Path) -> None:
    (repository / ".git").chmod(0)
    try:
        assert git.checkout(repository) is None
        assert "Permission denied" in git.trouble(repository)
    finally:
        (repository / ".git").chmod(0o700)


def test_a_head_that_points_out_of_the_repository_reads_nothing(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("the secret")
    (repository / ".git/HEAD").write_text("ref: ../../secret\n")
    assert look(repository).head == ""


def test_the_default_branch_is_origins_then_main_then_master_then_this_one(repository: Path, tmp_path: Path) -> None:
    run(repository, "checkout", "-q", "-b", "trunk/stable")
    clone = tmp_path / "clone"
    run(tmp_path, "clone", "-q", str(repository), str(clone))
    run(clone, "checkout", "-q", "-b", "feature")
    assert git.default_branch(look(clone)) == "trunk/stable"
    run(clone, "remote", "set-head", "origin", "--delete")
    assert git.default_branch(look(clone)) == "main"
    run(repository, "branch", "-m", "main", "master")
    run(clone, "fetch", "-q", "--prune")
    assert git.default_branch(look(clone)) == "master"
    run(clone, "pack-refs", "--all")
    assert git.default_branch(look(clone)) == "master"
    run(repository, "branch", "-D", "master")
    run(clone, "fetch", "-q", "--prune")
    assert git.default_branch(look(clone)) == "feature"


def test_variables_of_a_hook_of_another_repository_change_nothing(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    run(tmp_path, "init", "-q", "-b", "strange", str(other))
    commit(other, "other")
    before = look(repository)
    for variable, place in {
        "GIT_DIR": ".git",
        "GIT_COMMON_DIR": ".git",
        "GIT_OBJECT_DIRECTORY": ".git/objects",
    }.items():
        monkeypatch.setenv(variable, str(other / place))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git/index"))
    assert look(repository) == before


def test_without_the_git_program_names_work(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    expected = (name(repository), look(repository))
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    assert (name(repository), look(repository)) == expected
    assert git.default_branch(look(repository)) == "main"


def test_a_reftable_that_cannot_be_read_has_no_branch(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (repository / ".git/reftable").mkdir()
    (repository / ".git/HEAD").write_text("ref: refs/heads/.invalid\n")
    for path in (os.environ["PATH"], str(repository)):
        monkeypatch.setenv("PATH", path)
        found = look(repository)
        assert found.branch == ""
        assert name(repository).startswith("detached_")


def test_a_reftable_is_read_by_the_git_program(tmp_path: Path) -> None:
    made = subprocess.run(["git", "init", "-q", "--ref-format=reftable", "-b", "main"], cwd=tmp_path, check=False)
    if made.returncode != 0:
        pytest.skip("this git is older than reftable (2.45)")
    head = commit(tmp_path)
    run(tmp_path, "checkout", "-q", "-b", "feature")
    found = look(tmp_path)
    assert (found.branch, found.head) == ("feature", head)
    assert git.default_branch(found) == "main"
    run(tmp_path, "checkout", "-q", "--detach")
    assert look(tmp_path).branch == ""
