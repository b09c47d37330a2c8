"""What a repository proves to be gone from it. Read from git's own files: no process, however many namespaces ask."""

from __future__ import annotations

import os
from pathlib import Path
from unicodedata import normalize

from envctl import git
from envctl.errors import EnvctlError
from envctl.values import dataclass

PLACES = ("refs/heads/", "refs/remotes/")


@dataclass(frozen=True, slots=True)
class Repository:
    """Its branches and worktrees at one moment."""

    common_dir: Path
    branches: frozenset[str]
    remote: frozenset[str]
    """The branches that its remotes had when they were last asked, each with its remote's name before it."""
    worktrees: frozenset[str]
    """The names of its linked worktrees' own folders; a moved, locked or prunable one is among them."""
    at_work: frozenset[str]
    """The branches that a working tree is on, rebases, or is yet to make its first commit on."""

    def has_branch(self, branch: str) -> bool:
        """Whether anything here is called so. In doubt (`A` and `a`, where a remote's name ends) it is."""
        wanted = _folded(branch)
        here = any(_folded(one) == wanted for one in (*self.branches, *self.at_work))
        return here or any(_folded(one).endswith(f"/{wanted}") for one in self.remote)

    def has_worktree(self, gitdir: Path) -> bool:
        """Whether that own folder of a linked worktree is still there."""
        return gitdir.name in self.worktrees


def read(common_dir: Path) -> Repository:
    """What is there; an error where any of it cannot be read, as silence would read as "all gone"."""
    try:
        if not all((common_dir / one).is_dir() for one in ("objects", "refs")):
            raise ValueError("there is no whole repository")
        worktrees = _worktrees(common_dir)
        at_work = {git.branch_of(common_dir), *map(_branch_of, worktrees)} - {""}
        # Loose refs before the packed ones: one that is being packed is in both for a moment, never in none.
        refs = {*_loose(common_dir), *_packed(common_dir)}
    except (OSError, ValueError) as error:
        raise EnvctlError(f"the repository {common_dir} cannot be read", cause=str(error), code="git") from error
    local, remote = (frozenset(ref[len(place) :] for ref in refs if ref.startswith(place)) for place in PLACES)
    return Repository(common_dir, local, remote, frozenset(one.name for one in worktrees), frozenset(at_work))


def _worktrees(common_dir: Path) -> list[Path]:
    """Every linked worktree's own folder; git removes the folder of them all with the last one."""
    try:
        return sorted((common_dir / "worktrees").iterdir())
    except FileNotFoundError:
        return []


def _branch_of(gitdir: Path) -> str:
    """Nothing where git has only just begun that folder, or is about to remove it: there is no HEAD."""
    try:
        return git.branch_of(gitdir)
    except (FileNotFoundError, NotADirectoryError):
        return ""


def _loose(common_dir: Path) -> set[str]:
    """The refs with a file of their own, whatever stands in it; a folder that cannot be read is an error."""
    if (common_dir / "reftable").is_dir():
        return _in_reftable(common_dir)
    found: set[str] = set()
    for place in PLACES:
        for folder, _, files in os.walk(common_dir / place, onerror=_unless_missing, followlinks=True):
            found |= {str((Path(folder) / name).relative_to(common_dir)) for name in files}
    return found


def _packed(common_dir: Path) -> set[str]:
    try:
        lines = (common_dir / "packed-refs").read_bytes().decode("utf-8", "surrogateescape").split("\n")
    except FileNotFoundError:
        return set()
    return {line.partition(" ")[2] for line in lines}


def _in_reftable(common_dir: Path) -> set[str]:
    """Only the git program reads these."""
    from envctl import shell
    from envctl.model import Command

    words = ("git", f"--git-dir={common_dir}", "for-each-ref", "--format=%(refname)", *PLACES)
    env = {"GIT_DIR": str(common_dir), "GIT_COMMON_DIR": str(common_dir)}
    return set(shell.run(Command(words, env=env), seconds=20).out.splitlines())


def _unless_missing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def _folded(branch: str) -> str:
    return normalize("NFC", branch).casefold()
