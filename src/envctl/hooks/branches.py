"""What a clean depends on: which branches there are, and what they were at the last look."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from envctl import git, state
from envctl.digests import hexdigest
from envctl.errors import EnvctlError
from envctl.hooks import place, record
from envctl.values import dataclass

REFS = "refs.json"


@dataclass(frozen=True, slots=True)
class Seen:
    """The branches at one look; `done` if nothing was left to do then, as it is where a server did not run."""

    digest: str
    done: bool


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


def last(folder: Path, directory: Path) -> Seen | None:
    """What was seen at the last look."""
    return _known(folder).get(str(directory))


def remember(folder: Path, directory: Path, seen: Seen) -> None:
    """Put it down for the next look."""
    if (folder / record.RECORD).exists():  # Else the hook has gone meanwhile, and its folder with it.
        known = {**_known(folder), str(directory): seen}
        state.write(folder / REFS, {"seen": {name: asdict(one) for name, one in known.items()}})


def _known(folder: Path) -> dict[str, Seen]:
    try:
        content = state.read(folder / REFS)
        return {name: Seen(**one) for name, one in content["seen"].items()} if content else {}
    except (EnvctlError, KeyError, TypeError, AttributeError):
        return {}
