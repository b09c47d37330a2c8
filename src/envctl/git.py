"""What git knows about a checkout.

It is read from git's own files: no git program, no start-up cost. Only refs in a reftable are asked of the program.
`GIT_DIR` and its relatives are ignored on purpose: git sets them for its hooks, where they name the repository that
runs the hook, which need not be the one that we were asked about.
"""

from __future__ import annotations

from pathlib import Path

from envctl.errors import EnvctlError
from envctl.values import dataclass

UNKNOWN = "refs/heads/.invalid"
"""What HEAD says where the refs are kept in a reftable, which only the git program can read."""


@dataclass(frozen=True, slots=True)
class Checkout:
    """One working tree. `branch` is the one being rebased during a rebase, and "" at a detached HEAD.

    `head` is the commit, "" on an unborn branch. For a bare repository `root` is the repository itself.
    """

    root: Path
    git_dir: Path
    common_dir: Path
    branch: str
    head: str


def checkout(path: Path) -> Checkout | None:
    """The checkout that `path` is in, or None; `trouble` says why there is none."""
    found = _look(path)
    return found if isinstance(found, Checkout) else None


def trouble(path: Path) -> str:
    """Why there is no checkout at `path`; empty when there is one."""
    found = _look(path)
    return "" if isinstance(found, Checkout) else found


def default_branch(checkout: Checkout) -> str:
    """The branch that the team's work starts from: origin's HEAD, else `main`, else `master`, else this one."""
    origin = "refs/remotes/origin/"
    target = _symbolic(checkout.common_dir, f"{origin}HEAD")
    if target.startswith(origin):
        return target.removeprefix(origin)
    for name in ("main", "master"):
        if any(_commit(checkout.common_dir, f"{place}{name}") for place in ("refs/heads/", origin)):
            return name
    return checkout.branch


def branch_of(git_dir: Path) -> str:
    """The branch of a working tree, told from its own folder inside the repository: also the one being rebased."""
    return _read(git_dir, git_dir).branch


def linked(checkout: Checkout) -> bool:
    """Whether it is a worktree beside others, whose own folder inside the repository goes when git removes it."""
    return checkout.git_dir.parent == checkout.common_dir / "worktrees"


def _look(path: Path) -> Checkout | str:
    """The checkout, or the reason why there is none. The search stops at a broken one: its folders are its own."""
    try:
        here = path.resolve()
        for folder in (here, *here.parents):
            if git_dir := _git_dir(folder):
                return _read(folder, git_dir)
    except (OSError, RuntimeError, ValueError) as error:
        return f"the git checkout at {path} cannot be read ({error})"
    return f"{path} is not in a git checkout"


def _git_dir(folder: Path) -> Path | None:
    """The repository of the working tree at `folder`; a file instead of a folder leads to it."""
    entry = folder / ".git"
    if entry.is_dir():
        return entry
    if entry.is_file():
        pointer = _text(entry)
        target = (folder / pointer.removeprefix("gitdir:").strip()).resolve()
        if not pointer.startswith("gitdir:") or not target.is_dir():
            raise ValueError(f"{entry} leads nowhere")
        return target
    bare = folder.name != ".git" and all((folder / name).exists() for name in ("HEAD", "objects", "refs"))
    return folder if bare else None


def _read(root: Path, git_dir: Path) -> Checkout:
    pointer = git_dir / "commondir"
    common = (git_dir / _text(pointer)).resolve() if pointer.is_file() else git_dir
    head = _text(git_dir / "HEAD")
    if head == f"ref: {UNKNOWN}":
        branch = _run(git_dir, common, "symbolic-ref", "--quiet", "HEAD").removeprefix("refs/heads/")
        branch = "" if branch == ".invalid" else branch
        commit = _run(git_dir, common, "rev-parse", "--verify", "--quiet", "HEAD")
        return Checkout(root, git_dir, common, branch or _rebased(git_dir), commit)
    if head.startswith("ref:"):
        ref = head.removeprefix("ref:").strip()
        return Checkout(root, git_dir, common, ref.removeprefix("refs/heads/"), _commit(common, ref))
    if not _is_commit(head):
        raise ValueError(f"{git_dir / 'HEAD'} names neither a branch nor a commit")
    return Checkout(root, git_dir, common, _rebased(git_dir), head)


def _rebased(git_dir: Path) -> str:
    """The branch that a rebase in progress will put back, so that its name does not change meanwhile."""
    for place in ("rebase-merge", "rebase-apply"):
        note = git_dir / place / "head-name"
        if note.is_file():
            name = _text(note)
            return name.removeprefix("refs/heads/") if name.startswith("refs/heads/") else ""
    return ""


def _symbolic(common: Path, ref: str) -> str:
    if _in_reftable(common):
        return _run(common, common, "symbolic-ref", "--quiet", ref)
    text = _loose(common / ref)
    return text.removeprefix("ref:").strip() if text.startswith("ref:") else ""


def _commit(common: Path, ref: str) -> str:
    """The commit that a ref names: from its own file, else from the packed ones; "" when there is none."""
    if _in_reftable(common):
        return _run(common, common, "rev-parse", "--verify", "--quiet", ref)
    text = _loose(common / ref) or _packed(common / "packed-refs", ref)
    return text if _is_commit(text) else ""


def _loose(path: Path) -> str:
    """A ref's own file. A name too long or too odd for a file has none."""
    try:
        return _text(path)
    except (OSError, ValueError):
        return ""


def _packed(path: Path, ref: str) -> str:
    try:
        content = path.read_bytes()
    except OSError:
        return ""
    before, found, _ = content.partition(b" " + ref.encode("utf-8", "surrogateescape") + b"\n")
    return before.rpartition(b"\n")[2].decode("ascii", "replace") if found else ""


def _is_commit(text: str) -> bool:
    return len(text) in (40, 64) and all(letter in "0123456789abcdef" for letter in text)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="surrogateescape").strip()


def _in_reftable(common: Path) -> bool:
    return (common / "reftable").is_dir()


def _run(git_dir: Path, common: Path, *words: str) -> str:
    """The git program's answer to what the files cannot tell; "" where it has none or is not installed."""
    from envctl import shell
    from envctl.model import Command

    command = Command(("git", f"--git-dir={git_dir}", *words), env=_environment(git_dir, common))
    try:
        done = shell.run(command, check=False, seconds=20)
    except EnvctlError:
        return ""
    return done.out.strip() if done.code == 0 else ""


def _environment(git_dir: Path, common: Path) -> dict[str, str]:
    """The variables with which git looks at this repository, whatever a hook has set for another one."""
    return {"GIT_DIR": str(git_dir), "GIT_COMMON_DIR": str(common)}
