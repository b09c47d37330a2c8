"""Where git looks for the hook of a checkout, and whether a file may be put there."""

from __future__ import annotations

import os
from pathlib import Path

from envctl import git, shell
from envctl.errors import EnvctlError, UsageError
from envctl.git import Checkout
from envctl.model import Command
from envctl.shell import Done
from envctl.values import dataclass

NAME = "reference-transaction"
KEPT = frozenset({"GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM"})
"""The variables of git's that say where a person's own settings are; all others are of one call or one repository."""


OFF = Path(os.devnull)


@dataclass(frozen=True, slots=True)
class Place:
    """The folder of hooks that counts for a checkout. `setting` names what chose it; empty for git's own."""

    checkout: Checkout
    folder: Path
    setting: str = ""

    @property
    def file(self) -> Path:
        return self.folder / NAME

    @property
    def off(self) -> bool:
        """Whether somebody has turned all hooks off, as is usual by a path that is no folder."""
        return self.folder == OFF

    @property
    def own(self) -> bool:
        """Whether it is in the repository's own folder, where nothing is tracked and nobody else looks."""
        return self.folder.resolve().is_relative_to(self.checkout.common_dir.resolve())


def find(directory: Path) -> Place:
    """What git itself would say: `core.hooksPath` from the file that wins, else the repository's own folder."""
    checkout = git.checkout(directory)
    if checkout is None:
        raise EnvctlError(
            "there is no git repository here to put a hook into", cause=git.trouble(directory), code="no_git_checkout"
        )
    said = _setting(checkout.root)
    if said is None:
        return default(checkout)
    scope, path = said
    # Relative to where git runs its hooks: so each worktree has a folder of its own.
    folder = checkout.root / path if path else OFF
    return Place(checkout, folder, f"core.hooksPath ({scope})")


def default(checkout: Checkout) -> Place:
    """The repository's own folder of hooks, which all its worktrees share."""
    return Place(checkout, checkout.common_dir / "hooks")


def permit(place: Place, *, everywhere: bool, force: bool) -> None:
    """Raise where a file of ours would be seen by git as the project's, or by repositories that nobody spoke of."""
    if place.own:
        return
    if place.off:
        raise EnvctlError(
            "git's hooks are turned off here",
            cause=f"{place.setting} leads nowhere",
            hint="nothing is lost: every envctl command looks after what is left behind",
            code="hooks_off",
        )
    if not _in_repository(place):
        if not everywhere:
            raise UsageError(
                f"the hooks of this repository are in {place.folder}, which others share",
                cause=f"{place.setting or 'a link'} leads out of the repository",
                hint="envctl hooks install --global puts it there; it acts only for projects that installed it",
                code="hooks_shared",
            )
        return
    if not force and not _ignored(place):
        raise UsageError(
            f"{place.file} would show up in `git status`",
            cause=f"{place.setting or 'a link'} leads into the work tree, and git does not ignore that file",
            hint="ignore it in .gitignore or .git/info/exclude, or pass --force to put it there all the same",
            code="hooks_tracked",
        )


def asked(folder: Path, *words: str) -> str | None:
    """What git answers there, as a person's git would; None where it has no answer."""
    done = _run(folder, *words)
    return done.out if done.code == 0 else None


def _setting(folder: Path) -> tuple[str, str] | None:
    """`core.hooksPath` as it counts there, and which of git's files says so."""
    done = _run(folder, "config", "--show-scope", "-z", "--type=path", "--get", "core.hooksPath")
    if done.code == 1:
        return None
    if done.code:
        raise EnvctlError(
            f"git cannot say where the hooks of {folder} are",
            cause=shell.tail(done.err),
            hint="git 2.28 or later is needed",
        )
    scope, _, path = done.out.partition("\0")
    return scope, path.removesuffix("\0")


def _run(folder: Path, *words: str) -> Done:
    without = tuple(name for name in os.environ if name.startswith("GIT_") and name not in KEPT)
    return shell.run(Command(("git", *words), cwd=folder, without=without), check=False, seconds=60)


def _in_repository(place: Place) -> bool:
    """Whether the folder is in a work tree of this repository."""
    near = _nearest(place.folder.resolve())
    said = asked(near, "rev-parse", "--git-common-dir")
    return said is not None and (near / said.removesuffix("\n")).resolve() == place.checkout.common_dir.resolve()


def _ignored(place: Place) -> bool:
    """Whether git takes no notice of the file; one that is tracked is never ignored."""
    real = place.folder.resolve() / NAME
    return asked(_nearest(real.parent), "check-ignore", "-q", "--", str(real)) is not None


def _nearest(folder: Path) -> Path:
    """The folder, or the first above it that is there."""
    return next(one for one in (folder, *folder.parents) if one.is_dir())
