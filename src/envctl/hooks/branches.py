"""What a clean depends on: which branches there are, and what they were when we last cleaned."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from envctl import git, state
from envctl.digests import hexdigest
from envctl.errors import EnvctlError
from envctl.hooks import place, record

REFS = "refs.json"


def changed(folder: Path, directory: Path) -> str:
    """A digest of the branches as they are now; empty where they are what they were."""
    now = digest(directory)
    return "" if _known(folder).get(str(directory)) == now else now


def digest(directory: Path) -> str:
    """Of remote branches as they are, local ones and worktrees by their names."""
    checkout = git.checkout(directory)
    said = place.asked(directory, "for-each-ref", "--format=%(refname) %(objectname)", "refs/heads", "refs/remotes")
    if checkout is None or said is None:
        raise EnvctlError("git does not answer there", cause=git.trouble(directory))
    lines = [one if one.startswith("refs/remotes/") else one.partition(" ")[0] for one in said.splitlines()]
    with suppress(OSError):
        lines += sorted(path.name for path in (checkout.common_dir / "worktrees").iterdir())
    return hexdigest("\n".join(lines).encode("utf-8", "surrogateescape"))


def remember(folder: Path, directory: Path, found: str) -> None:
    """Put down what the branches were when we last cleaned."""
    if (folder / record.RECORD).exists():  # Else the hook has gone meanwhile, and its folder with it.
        state.write(folder / REFS, {"refs": {**_known(folder), str(directory): found}})


def _known(folder: Path) -> dict[str, str]:
    try:
        content = state.read(folder / REFS)
    except EnvctlError:
        return {}
    return dict(content["refs"]) if content else {}
