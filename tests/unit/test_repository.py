"""What git proves to be gone: asked of real repositories, in every state that looks like an end and is none."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from envctl import git, repository, workspaces
from envctl.errors import EnvctlError
from envctl.inventory import evidence
from envctl.inventory.verdicts import Whereabouts
from envctl.model import Namespace

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="the git program makes the repositories")


@pytest.fixture(autouse=True)
def private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A state folder of the test's own, and nothing of the person's git."""
    for variable in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("ENVCTL_STATE_DIR", str(tmp_path / "state"))


def run(folder: Path, *words: str, code: int = 0) -> None:
    words = ("git", "-c", "user.name=a", "-c", "user.email=a@example.org", *words)
    assert subprocess.run(words, cwd=folder, capture_output=True, check=False).returncode == code


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    folder = tmp_path / "clone"
    folder.mkdir()
    run(folder, "init", "-q", "-b", "main")
    run(folder, "commit", "-q", "--allow-empty", "-m", "one")
    return folder


@pytest.fixture
def worktree(clone: Path, tmp_path: Path) -> Path:
    run(clone, "worktree", "add", "-q", "-b", "feature/x", str(tmp_path / "tree"))
    return tmp_path / "tree"


def register(folder: Path, *, source: str = "git", branch: str | None = None, name: str = "mine") -> None:
    checkout = git.checkout(folder)
    assert checkout is not None
    named = checkout.branch if branch is None else branch
    namespace = Namespace(name, source, named, folder)  # type: ignore[arg-type]
    workspaces.register("shop", namespace, default_branch="main", wait=5, talk=lambda line: None)


def found(name: str = "mine") -> Whereabouts:
    return evidence.checkouts("shop")[name]


def is_gone(name: str = "mine") -> bool:
    return bool(found(name).gone)


def test_a_checkout_that_is_there_is_neither_gone_nor_in_doubt(clone: Path, worktree: Path) -> None:
    register(clone, name="clone")
    register(worktree, name="tree")
    assert (found("clone").gone, found("clone").doubt) == (found("tree").gone, found("tree").doubt) == ("", "")


def test_a_removed_worktree_is_gone_and_so_is_a_pruned_one(clone: Path, worktree: Path) -> None:
    register(worktree)
    shutil.rmtree(worktree)
    assert not is_gone()
    assert "git still lists the worktree" in found().doubt
    run(clone, "worktree", "prune")
    assert is_gone()


def test_a_moved_worktree_is_not_gone(clone: Path, worktree: Path, tmp_path: Path) -> None:
    register(worktree)
    run(clone, "worktree", "move", str(worktree), str(tmp_path / "elsewhere"))
    assert not is_gone()
    (tmp_path / "elsewhere").rename(tmp_path / "by hand")
    assert not is_gone()


def test_a_locked_worktree_on_a_disk_that_is_not_there_is_not_gone(clone: Path, worktree: Path) -> None:
    register(worktree)
    run(clone, "worktree", "lock", str(worktree))
    shutil.rmtree(worktree)
    run(clone, "worktree", "prune")
    assert not is_gone()


def test_a_deleted_branch_is_gone_and_one_that_a_remote_had_is_not(clone: Path) -> None:
    run(clone, "switch", "-q", "-c", "feature/x")
    register(clone)
    run(clone, "switch", "-q", "main")
    assert not is_gone()
    run(clone, "pack-refs", "--all")
    assert not is_gone()
    run(clone, "update-ref", "refs/remotes/origin/feature/x", "HEAD")
    run(clone, "branch", "-q", "-D", "feature/x")
    assert not is_gone()
    run(clone, "update-ref", "-d", "refs/remotes/origin/feature/x")
    assert is_gone()


@pytest.mark.parametrize("name", ["Feature/X", "e\u0301t\u00e9", "a/feature/x"])
def test_in_doubt_about_how_a_branch_is_written_it_is_there(clone: Path, name: str) -> None:
    found_there = repository.read(clone / ".git")
    known = {"Feature/X": "feature/x", "e\u0301t\u00e9": "\u00e9te\u0301", "a/feature/x": "a/feature/x"}[name]
    run(clone, "branch", known)
    assert not found_there.has_branch(name)
    assert repository.read(clone / ".git").has_branch(name)


def test_a_branch_is_not_there_because_its_name_ends_another(clone: Path) -> None:
    run(clone, "branch", "feature/auth")
    run(clone, "update-ref", "refs/remotes/origin/pre-auth", "HEAD")
    found_there = repository.read(clone / ".git")
    assert not found_there.has_branch("auth")
    run(clone, "update-ref", "refs/remotes/team/fork/auth", "HEAD")
    assert repository.read(clone / ".git").has_branch("auth"), "nobody knows where a remote's name ends"


def test_a_branch_that_is_being_rebased_or_was_never_committed_to_is_there(clone: Path) -> None:
    (clone / "file").write_text("ours")
    run(clone, "switch", "-q", "-c", "feature/x")
    run(clone, "add", "file")
    run(clone, "commit", "-q", "-m", "ours")
    register(clone)
    run(clone, "switch", "-q", "main")
    (clone / "file").write_text("theirs")
    run(clone, "add", "file")
    run(clone, "commit", "-q", "-m", "theirs")
    run(clone, "switch", "-q", "feature/x")
    run(clone, "rebase", "-q", "main", code=1)
    run(clone, "update-ref", "-d", "refs/heads/feature/x")
    assert not is_gone(), "the rebase will put it back"
    run(clone, "rebase", "--quit")
    run(clone, "switch", "-q", "-f", "--orphan", "feature/x")
    assert not is_gone(), "its first commit is yet to come"
    run(clone, "switch", "-q", "-f", "main")
    assert is_gone()


def test_a_deleted_clone_proves_nothing(clone: Path) -> None:
    register(clone)
    shutil.rmtree(clone)
    assert not is_gone()
    assert "cannot be read" in found().doubt


@pytest.mark.parametrize("missing", ["refs", "objects", "HEAD"])
def test_half_a_repository_proves_nothing(clone: Path, worktree: Path, missing: str) -> None:
    register(worktree)
    run(clone, "worktree", "remove", "--force", str(worktree))
    assert is_gone()
    (clone / ".git" / missing).rename(clone / "elsewhere")
    assert not is_gone()


def test_a_head_that_nobody_can_read_proves_nothing(clone: Path, worktree: Path) -> None:
    register(clone, branch="feature/y")
    assert is_gone()
    (clone / ".git/worktrees/tree/HEAD").write_text("ref")
    assert not is_gone()


def test_a_folder_that_may_not_be_read_is_an_error_and_no_empty_list(clone: Path) -> None:
    (clone / ".git/worktrees").write_text("no folder")
    with pytest.raises(EnvctlError, match="cannot be read"):
        repository.read(clone / ".git")


@pytest.mark.parametrize("source", ["BRANCH_NAME", "flag", "ci", "default"])
def test_a_name_that_a_person_chose_does_not_end_with_a_branch(clone: Path, source: str) -> None:
    register(clone, source=source, branch="never/was")
    assert not is_gone()


def test_a_detached_worktree_has_no_branch_whose_end_git_could_tell(clone: Path, worktree: Path) -> None:
    run(worktree, "checkout", "-q", "--detach")
    register(worktree, branch="")
    run(clone, "worktree", "remove", "--force", str(worktree))
    assert not is_gone()


def test_another_worktree_in_the_same_place_is_not_gone(clone: Path, worktree: Path) -> None:
    register(worktree)
    run(clone, "worktree", "remove", "--force", str(worktree))
    run(clone, "worktree", "add", "-q", str(worktree), "feature/x")
    assert not is_gone()


def test_a_reftable_is_read_by_git(tmp_path: Path) -> None:
    folder = tmp_path / "table"
    folder.mkdir()
    done = subprocess.run(["git", "init", "-q", "--ref-format=reftable", "-b", "main", str(folder)], check=False)
    if done.returncode:
        pytest.skip("this git knows no reftable")
    run(folder, "commit", "-q", "--allow-empty", "-m", "one")
    run(folder, "branch", "feature/x")
    assert repository.read(folder / ".git").has_branch("feature/x")
    assert not repository.read(folder / ".git").has_branch("feature/y")


def test_registrations_from_before_are_readable_and_prove_nothing(clone: Path, tmp_path: Path) -> None:
    register(clone)
    file = tmp_path / "state/projects/shop/workspaces/mine.json"
    file.write_text(json.dumps({"version": 1, "path": str(clone), "branch": "gone", "primary": False}))
    assert (found().gone, found().doubt) == ("", "")
    shutil.rmtree(clone)
    assert not is_gone()
    assert "names no repository" in found().doubt
    file.write_text("half wri")
    assert (found().gone, found().doubt) == ("", "")


def test_another_repository_in_the_same_place_proves_nothing(clone: Path, worktree: Path, tmp_path: Path) -> None:
    """A clone was put aside and made anew; the branch lives on in the old one."""
    run(clone, "switch", "-q", "-c", "feature/y")
    register(clone, name="clone")
    register(worktree, name="tree")
    clone.rename(tmp_path / "aside")
    clone.mkdir()
    run(clone, "init", "-q", "-b", "main")
    run(clone, "commit", "-q", "--allow-empty", "-m", "one")
    assert not is_gone("clone")
    assert "another repository" in found("clone").doubt
    assert not is_gone("tree"), "it is there, and only its repository is not"
    assert "another repository" in found("tree").doubt


def test_a_new_repository_in_an_old_checkout_proves_nothing(clone: Path, tmp_path: Path) -> None:
    run(clone, "switch", "-q", "-c", "feature/y")
    register(clone)
    (clone / ".git").rename(tmp_path / "kept.git")
    run(clone, "init", "-q", "-b", "main")
    assert not is_gone()


def test_a_repository_stays_the_same_whatever_is_done_in_it(clone: Path, tmp_path: Path) -> None:
    before = repository.identity(clone / ".git")
    run(clone, "switch", "-q", "-c", "feature/y")
    (clone / "file").write_text("more")
    run(clone, "add", "file")
    run(clone, "commit", "-q", "-m", "two")
    run(clone, "worktree", "add", "-q", "-b", "feature/z", str(tmp_path / "other"))
    run(clone, "config", "user.name", "b")
    run(clone, "gc", "-q", "--prune=now")
    run(clone, "init", "-q")
    assert repository.identity(clone / ".git") == before
    shutil.copytree(clone, tmp_path / "copy")
    assert repository.identity(tmp_path / "copy" / ".git") != before


def test_a_checkout_that_leads_to_no_repository_or_to_another_is_in_doubt(clone: Path, worktree: Path) -> None:
    register(worktree)
    run(worktree, "checkout", "-q", "--detach")
    run(clone, "branch", "-q", "-D", "feature/x")
    assert is_gone()
    pointer = (worktree / ".git").read_text()
    (worktree / ".git").write_text("gitdir: /nowhere\n")
    assert not is_gone()
    assert "leads nowhere" in found().doubt
    (worktree / ".git").unlink()
    run(worktree, "init", "-q")
    assert "another repository now" in found().doubt
    shutil.rmtree(worktree / ".git")
    (worktree / ".git").write_text(pointer)
    assert is_gone()


def test_a_registration_without_the_repositorys_identity_proves_nothing(clone: Path, tmp_path: Path) -> None:
    register(clone, branch="never/was")
    assert is_gone()
    file = tmp_path / "state/projects/shop/workspaces/mine.json"
    content = json.loads(file.read_text())
    del content["identity"]
    file.write_text(json.dumps(content))
    assert (found().gone, found().doubt) == ("", "")


@pytest.mark.parametrize("damage", ["in a line", "at its end", "to nothing", "with noise"])
def test_packed_refs_that_are_damaged_prove_nothing(clone: Path, damage: str) -> None:
    run(clone, "branch", "feature/x")
    run(clone, "pack-refs", "--all")
    packed = clone / ".git" / "packed-refs"
    whole = packed.read_text()
    cut = whole.index("refs/heads/feature/x")
    broken = {"in a line": whole[: cut + 14], "at its end": whole[:-1], "to nothing": "", "with noise": "\0\0\n"}
    assert repository.read(clone / ".git").has_branch("feature/x")
    packed.write_text(broken[damage])
    with pytest.raises(EnvctlError, match="cannot be read"):
        repository.read(clone / ".git")


def test_packed_tags_that_are_peeled_are_no_damage(clone: Path) -> None:
    run(clone, "tag", "-a", "v1", "-m", "one")
    run(clone, "pack-refs", "--all")
    assert repository.read(clone / ".git").has_branch("main")


def test_a_removed_worktree_whose_branch_another_one_is_on_is_not_gone(
    clone: Path, worktree: Path, tmp_path: Path
) -> None:
    register(worktree)
    run(clone, "worktree", "remove", str(worktree))
    run(clone, "worktree", "add", "-q", str(tmp_path / "second"), "feature/x")
    assert not is_gone()
    assert "another working tree is on the branch" in found().doubt
    run(clone, "worktree", "remove", str(tmp_path / "second"))
    assert is_gone()


def test_a_branch_may_live_at_a_remote_that_is_fetched_in_part(clone: Path, tmp_path: Path) -> None:
    single, whole = tmp_path / "single", tmp_path / "whole"
    run(tmp_path, "clone", "-q", "--single-branch", str(clone), str(single))
    run(tmp_path, "clone", "-q", str(clone), str(whole))
    register(single, branch="feature/q", name="single")
    register(whole, branch="feature/q", name="whole")
    assert not is_gone("single")
    assert "origin" in found("single").doubt
    assert is_gone("whole")
    run(whole, "config", "--add", "remote.origin.fetch", "^refs/heads/feature/*")
    assert not is_gone("whole")
    run(single, "remote", "set-branches", "origin", "*")
    assert is_gone("single")


def test_a_renamed_branch_is_not_gone_until_the_one_that_it_became_is(clone: Path) -> None:
    run(clone, "switch", "-q", "-c", "feature/x")
    register(clone)
    run(clone, "branch", "-m", "feature/new")
    run(clone, "branch", "-m", "feature/newer")
    assert not is_gone()
    assert "renamed to feature/newer" in found().doubt
    run(clone, "switch", "-q", "main")
    run(clone, "branch", "-q", "-D", "feature/newer")
    assert is_gone()


@pytest.mark.parametrize("logs", ["expired", "in part", "never kept", "removed"])
def test_a_branch_may_have_been_renamed_where_the_log_of_another_does_not_go_back(clone: Path, logs: str) -> None:
    run(clone, "switch", "-q", "-c", "feature/x")
    run(clone, "commit", "-q", "--allow-empty", "-m", "two")
    register(clone)
    if logs == "never kept":
        run(clone, "config", "core.logAllRefUpdates", "false")
        shutil.rmtree(clone / ".git/logs")
    run(clone, "branch", "-m", "feature/new")
    run(clone, "commit", "-q", "--allow-empty", "--amend", "-m", "three")
    if logs == "expired":
        run(clone, "reflog", "expire", "--expire=now", "--all")
    elif logs == "in part":  # As a log is once git has collected what is unreachable.
        run(clone, "reflog", "expire", "--expire=never", "--expire-unreachable=now", "--all")
        assert (clone / ".git/logs/refs/heads/feature/new").read_bytes()
    elif logs == "removed":
        shutil.rmtree(clone / ".git/logs")
    assert not is_gone()
    assert "may be feature/new now" in found().doubt
    run(clone, "pack-refs", "--all")
    assert not is_gone()


def test_a_branch_that_was_there_under_its_name_before_is_no_renamed_one(clone: Path) -> None:
    """Its log may have expired: the ref itself is older than the last use of the other."""
    run(clone, "branch", "dormant")
    run(clone, "branch", "packed")
    run(clone, "pack-refs", "--all")
    run(clone, "commit", "-q", "--allow-empty", "-m", "two")
    run(clone, "branch", "-f", "dormant", "main")
    run(clone, "switch", "-q", "-c", "feature/x")
    run(clone, "reflog", "expire", "--expire=now", "--all")
    for path in (clone / ".git/refs/heads/main", clone / ".git/refs/heads/dormant", clone / ".git/packed-refs"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    register(clone)
    register(clone)
    run(clone, "switch", "-q", "main")
    run(clone, "update-ref", "-d", "refs/heads/feature/x")
    os.utime(clone / ".git/packed-refs", (1_000_000_000, 1_000_000_000))
    assert is_gone()
    (clone / ".git/refs/heads/dormant").touch()
    assert not is_gone()
    assert "may be dormant now" in found().doubt


def test_a_log_that_goes_back_to_the_last_use_tells_of_all_renames_since(clone: Path) -> None:
    run(clone, "switch", "-q", "-c", "feature/x")
    register(clone)
    before = workspaces.find("shop", "mine")
    os.utime(workspaces.home("shop") / "workspaces/mine.json", (2_000_000_000, 2_000_000_000))
    run(clone, "switch", "-q", "main")
    run(clone, "branch", "-q", "-D", "feature/x")
    log = clone / ".git/logs/refs/heads/main"
    log.write_bytes(log.read_bytes().replace(b"0" * 40, b"1" * 40))
    future = 2_000_000_001
    os.utime(clone / ".git/refs/heads/main", (future, future))
    assert is_gone()
    os.utime(workspaces.home("shop") / "workspaces/mine.json", (1_000_000_000, 1_000_000_000))
    assert not is_gone()
    register(clone, branch="feature/x")
    after = workspaces.find("shop", "mine")
    assert before == after
    assert after is not None
    assert after.used > 1_500_000_000, "whoever registers again is there"


def told(log: Path, message: str) -> None:
    """One more line in a log, as a library writes it that is not git."""
    before = log.read_text().splitlines()[-1].split()[1]
    with log.open("a") as lines:
        lines.write(f"{before} {before} a <a@example.org> 1900000000 +0000\t{message}\n")


@pytest.mark.parametrize(
    "message",
    [
        "branch: renamed refs/heads/feat/pay to refs/heads/feat/payment",
        "Branch: renamed feat/pay to feat/payment",
        "BRANCH: renamed refs/heads/feat/pay to feat/payment",
    ],
)
def test_a_rename_counts_whichever_library_tells_of_it(clone: Path, message: str) -> None:
    run(clone, "switch", "-q", "-c", "feat/pay")
    register(clone)
    register(clone, branch="feat/pa", name="never")
    run(clone, "branch", "-m", "feat/payment")
    log = clone / ".git/logs/refs/heads/feat/payment"
    log.write_text("".join(log.read_text().splitlines(keepends=True)[:-1]))
    told(log, message)
    assert not is_gone()
    assert "renamed to feat/payment" in found().doubt
    assert is_gone("never"), "only the name that was written is meant"


def test_a_rename_that_is_written_as_a_beginning_proves_no_name(clone: Path) -> None:
    """The first of two renames has expired, and the second began with zeros."""
    run(clone, "switch", "-q", "-c", "feat/pay")
    register(clone)
    run(clone, "branch", "-m", "feat/payment")
    log = clone / ".git/logs/refs/heads/feat/payment"
    tip = log.read_text().split()[1]
    entry = f"{'0' * 40} {tip} a <a@example.org> 1900000000 +0000"
    log.write_text(f"{entry}\tBranch: renamed feat/between to feat/payment\n")
    assert not is_gone()
    assert "may be feat/payment now" in found().doubt


def begun_again(clone: Path, monkeypatch: pytest.MonkeyPatch, when: int) -> None:
    """Another repository, in folders that got the numbers of the old one's."""
    for path in (*clone.glob(".git/*"), *clone.glob(".git/objects/*")):
        if path.is_file():
            path.unlink()
        elif path.name != "objects":
            shutil.rmtree(path)
    monkeypatch.setenv("GIT_COMMITTER_DATE", f"{when} +0000")
    run(clone, "init", "-q", "-b", "main", "--template=")
    run(clone, "commit", "-q", "--allow-empty", "-m", "one")


def test_a_new_repository_with_the_numbers_of_the_old_one_proves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clone = tmp_path / "bare of templates"
    clone.mkdir()
    begun_again(clone, monkeypatch, 1_700_000_000)
    assert not (clone / ".git/description").exists()
    numbers = [(clone / ".git" / one).stat().st_ino for one in ("", "objects")]
    run(clone, "switch", "-q", "-c", "feature/x")
    run(clone, "commit", "-q", "--allow-empty", "-m", "two")
    register(clone, branch="never/was", name="before")
    register(clone)
    assert is_gone("before")
    begun_again(clone, monkeypatch, 1_700_000_100)
    assert numbers == [(clone / ".git" / one).stat().st_ino for one in ("", "objects")]
    assert not is_gone()
    assert "another repository" in found().doubt


def test_a_repository_of_which_nothing_tells_it_from_another_proves_nothing(clone: Path) -> None:
    (clone / ".git/description").unlink()
    register(clone, branch="never/was")
    assert is_gone()
    shutil.rmtree(clone / ".git/logs")
    assert not is_gone()
    register(clone, branch="never/was")
    assert repository.identity(clone / ".git") == ""
    assert not is_gone()


@pytest.mark.parametrize("packed", [False, True])
def test_a_remote_that_is_set_up_elsewhere_may_be_fetched_in_part(clone: Path, tmp_path: Path, packed: bool) -> None:
    here = tmp_path / "here"
    run(tmp_path, "clone", "-q", "--single-branch", str(clone), str(here))
    (here / ".git/config").rename(here / ".git/more")
    (here / ".git/config").write_text("[core]\n\trepositoryformatversion = 0\n[include]\n\tpath = more\n")
    if packed:
        run(here, "pack-refs", "--all")
    register(here, branch="feature/q")
    assert not is_gone()
    assert "all that origin has" in found().doubt
    for ref in ("HEAD", "main"):
        run(here, "update-ref", "--no-deref", "-d", f"refs/remotes/origin/{ref}")
    assert is_gone(), "a remote that was removed has left nothing"


def test_refs_of_a_remote_that_is_fetched_whole_are_no_sign_of_another(clone: Path) -> None:
    whole = "+refs/heads/*:refs/remotes/{}/*"
    for name, place in (("team/fork", "team/fork"), ("upstream", "up")):
        run(clone, "config", f"remote.{name}.url", str(clone))
        run(clone, "config", f"remote.{name}.fetch", whole.format(place))
        run(clone, "fetch", "-q", name)
    run(clone, "symbolic-ref", "refs/remotes/team/fork/HEAD", "refs/remotes/team/fork/main")
    assert repository.read(clone / ".git").in_part == frozenset()
    run(clone, "update-ref", "refs/remotes/git-svn", "HEAD")
    assert repository.read(clone / ".git").in_part == frozenset()
    run(clone, "update-ref", "refs/remotes/team/other/main", "HEAD")
    assert repository.read(clone / ".git").in_part == {"team"}


def test_a_remote_that_was_removed_may_have_nothing(clone: Path) -> None:
    run(clone, "remote", "add", "origin", str(clone))
    run(clone, "fetch", "-q", "origin")
    run(clone, "remote", "set-head", "origin", "main")
    run(clone, "remote", "remove", "origin")
    assert repository.read(clone / ".git").in_part == frozenset()


def aged(path: Path, seconds: float) -> None:
    """As if it had been written so long ago."""
    then = path.stat().st_mtime - seconds
    os.utime(path, (then, then))


def test_a_worktree_is_gone_though_a_later_one_elsewhere_has_its_name(clone: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "ga/wt", tmp_path / "gb/wt"
    run(clone, "worktree", "add", "-q", "-b", "g1", str(first))
    register(first)
    aged(workspaces.home("shop") / "workspaces/mine.json", 60)
    run(clone, "worktree", "remove", str(first))
    run(clone, "worktree", "add", "-q", "-b", "g2", str(second))
    assert (clone / ".git/worktrees/wt").is_dir()
    assert is_gone()
    second.rename(tmp_path / "by hand")
    assert not is_gone(), "nobody knows where the one on record is"


def test_a_worktree_that_was_moved_and_is_on_another_branch_is_not_gone(clone: Path, tmp_path: Path) -> None:
    first = tmp_path / "ga/wt"
    run(clone, "worktree", "add", "-q", "-b", "g1", str(first))
    aged(clone / ".git/worktrees/wt/commondir", 60)
    register(first)
    run(clone, "worktree", "move", str(first), str(tmp_path / "moved"))
    run(tmp_path / "moved", "switch", "-q", "-c", "g2")
    assert not is_gone()
    assert "git still lists the worktree" in found().doubt
