"""What a repository proves to be gone from it. Read from git's own files: no process, however many namespaces ask."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from unicodedata import normalize

from envctl import git
from envctl.digests import hexdigest
from envctl.errors import EnvctlError
from envctl.values import dataclass

PLACES = ("refs/heads/", "refs/remotes/")
ALL_BRANCHES = re.compile(r"\+?refs/(heads/)?\*:refs/((remotes|heads)/.*|\*)")
"""A refspec that fetches every branch there is."""
COARSE = 2.0
"""Seconds that two files' times may be off in file systems that round them."""
RENAMED = rb"branch: renamed "
"""How git's log tells of a rename. Each library writes it in its own case, and the names in full or not."""
_PACKED = re.compile(r"#.*|\^[0-9a-f]{40,64}|[0-9a-f]{40,64} (?P<ref>refs/.+)")


@dataclass(frozen=True, slots=True)
class Worktree:
    """A linked worktree, as its own folder in the repository has it."""

    name: str
    at: Path | None
    """Where it is on record; nothing where git has only just begun that folder, or is about to remove it."""
    there: bool
    """Whether anything is at that place."""
    made: float
    """When git made that folder; 0 where nothing tells."""

    def may_be(self, gitdir: Path, path: Path, since: float) -> bool:
        """Whether it may be the one that had this folder and was last at `path` at that time.

        Git gives a name again: one that is elsewhere was moved there, or it was made since then and is another.
        """
        another = self.there and self.at != _real(path) and self.made > since + COARSE
        return self.name == gitdir.name and not (since and another)


@dataclass(frozen=True, slots=True)
class Repository:
    """Its branches and worktrees at one moment."""

    common_dir: Path
    branches: frozenset[str]
    remote: frozenset[str]
    """The branches that its remotes had when they were last asked, each with its remote's name before it."""
    worktrees: tuple[Worktree, ...]
    """Its linked worktrees; a moved, locked or prunable one is among them."""
    at_work: frozenset[str]
    """The branches that a working tree is on, rebases, or is yet to make its first commit on."""
    identity: str = ""
    """What tells it from another one in the same place."""
    in_part: frozenset[str] = frozenset()
    """The remotes of which not every branch is fetched: what is not here may well be there."""

    def has_branch(self, branch: str) -> bool:
        """Whether anything here is called so. In doubt (`A` and `a`, where a remote's name ends) it is."""
        wanted = _folded(branch)
        here = any(_folded(one) == wanted for one in (*self.branches, *self.at_work))
        return here or any(_folded(one).endswith(f"/{wanted}") for one in self.remote)

    def is_at_work(self, branch: str) -> bool:
        """Whether a working tree is on it."""
        return _folded(branch) in map(_folded, self.at_work)

    def has_worktree(self, gitdir: Path, path: Path, since: float) -> bool:
        """Whether the linked worktree with that own folder, last seen at `path` at that time, may still be there."""
        return any(one.may_be(gitdir, path, since) for one in self.worktrees)


def read(common_dir: Path) -> Repository:
    """What is there; an error where any of it cannot be read, as silence would read as "all gone"."""
    try:
        if not all((common_dir / one).is_dir() for one in ("objects", "refs")):
            raise ValueError("there is no whole repository")
        folders = _worktrees(common_dir)
        at_work = {git.branch_of(common_dir), *map(_branch_of, folders)} - {""}
        worktrees = tuple(map(_worktree, folders))
        # Loose refs before the packed ones: one that is being packed is in both for a moment, never in none.
        refs = {*_loose(common_dir), *_packed(common_dir)}
        local, remote = (frozenset(ref[len(place) :] for ref in refs if ref.startswith(place)) for place in PLACES)
        same, in_part = identity(common_dir), _in_part(common_dir, remote)
    except (OSError, ValueError) as error:
        raise EnvctlError(f"the repository {common_dir} cannot be read", cause=str(error), code="git") from error
    return Repository(common_dir, local, remote, worktrees, frozenset(at_work), same, in_part)


def identity(common_dir: Path) -> str:
    """The same for as long as it is this repository, whatever is done in it; another clone's in this place is another.

    Numbers of folders that git makes once, and of the file that it writes once and nobody changes. A device's number
    is another one after a restart, and says nothing. A template without that file leaves the oldest line of the log,
    as numbers are given again; once that has expired it is another repository to us. Empty where nothing tells.
    """
    known = [str((common_dir / one).stat().st_ino) for one in ("", "objects")]
    try:
        once = (common_dir / "description").stat()
    except FileNotFoundError:
        line = _oldest(common_dir / "logs" / "HEAD")
        return "-".join((*known, hexdigest(line)[:16])) if line else ""
    return "-".join((*known, str(once.st_ino), str(once.st_mtime_ns)))


def _oldest(log: Path) -> bytes:
    try:
        with log.open("rb") as lines:
            return lines.readline()
    except FileNotFoundError:
        return b""


def renamed(common_dir: Path, branch: str) -> str:
    """What that branch is called now, by the logs of those that are there; empty where none says that it was it."""
    was = re.escape(branch.encode("utf-8", "surrogateescape"))
    mark = re.compile(rb"\t" + RENAMED + rb"(refs/heads/)?" + was + rb" to ", re.IGNORECASE)
    logs = common_dir / "logs" / "refs" / "heads"
    for folder, _, files in os.walk(logs, onerror=_unless_missing, followlinks=True):
        for path in (Path(folder) / name for name in sorted(files)):
            if mark.search(path.read_bytes()):
                return str(path.relative_to(logs))
    return ""


def untold(common_dir: Path, branches: Iterable[str], since: float) -> str:
    """A branch that may have had another name at that time; empty where all are proven to have been called so then.

    Logs expire, and a renamed branch takes its own along: only one that goes back far enough tells.
    """
    return next((one for one in sorted(branches) if not _so_called(common_dir, one, since)), "")


def _so_called(common_dir: Path, branch: str, since: float) -> bool:
    """A rename writes the ref anew: what was written before and never since, in its own file or packed, is another."""
    ref = f"refs/heads/{branch}"
    loose, packed = common_dir / ref, common_dir / "packed-refs"
    try:
        if (loose if loose.exists() else packed).stat().st_mtime < since:
            return True
        return _goes_back((common_dir / "logs" / ref).read_bytes(), since, _tip(loose, packed, ref))
    except FileNotFoundError:
        return False


def _tip(loose: Path, packed: Path, ref: str) -> bytes:
    if loose.exists():
        return loose.read_bytes().strip()
    ending = b" " + os.fsencode(ref)
    return next((line for line in packed.read_bytes().splitlines() if line.endswith(ending)), b"").partition(b" ")[0]


def _goes_back(log: bytes, since: float, tip: bytes) -> bool:
    """Whether nothing is missing from a log since then: each line begins where the one before it ended.

    Only a branch that was made begins with zeros; a library that writes a rename so tells nothing of before.
    """
    begun, before = None, b""
    for line in log.splitlines():
        entry, _, message = line.partition(b"\t")
        old, new, *_, when, _ = entry.split()
        if old != before:
            made = not old.strip(b"0") and not message.lower().startswith(RENAMED)
            begun = 0.0 if made else int(when) + 1.0  # whole seconds
        before = new
    return begun is not None and begun <= since and before == tip


def _in_part(common_dir: Path, refs: Iterable[str]) -> frozenset[str]:
    """The remotes that are not fetched whole, as a clone of a single branch has one.

    One that has refs here and no word in the repository's own file is set up in a file that only git finds.
    """
    fetched = _fetched(common_dir / "config")
    told = {f"{name}/" for name in fetched} | {_place(one) for specs in fetched.values() for one in specs} - {""}
    strange = {ref.partition("/")[0] for ref in refs if "/" in ref and not ref.startswith(tuple(told))}
    return frozenset(strange | {name for name, specs in fetched.items() if not _whole(specs)})


def _fetched(config: Path) -> dict[str, list[str]]:
    """What is fetched of each remote that this file names."""
    fetched: dict[str, list[str]] = {}
    remote = None
    for line in config.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        if section := re.match(r'\s*\[\s*([\w.-]+)\s*(?:"(.*)")?\s*\]', line):
            remote = section[2] if section[1].lower() == "remote" and section[2] else None
            line = line[section.end() :]
        if remote is not None and (setting := re.match(r'\s*(\w+)\s*=\s*"?([^"#;\s]*)', line)):
            specs = fetched.setdefault(remote, [])
            specs += [setting[2]] if setting[1].lower() == "fetch" else []
    return fetched


def _place(spec: str) -> str:
    """The folder of remote branches that a refspec fills; empty where it fills none of its own."""
    filled = re.fullmatch(r"[^:]*:refs/remotes/(.+/)\*", spec)
    return filled[1] if filled else ""


def _whole(specs: list[str]) -> bool:
    return any(map(ALL_BRANCHES.fullmatch, specs)) and not any(one.startswith("^") for one in specs)


def _worktrees(common_dir: Path) -> list[Path]:
    """Every linked worktree's own folder; git removes the folder of them all with the last one."""
    try:
        return sorted((common_dir / "worktrees").iterdir())
    except FileNotFoundError:
        return []


def _worktree(gitdir: Path) -> Worktree:
    """Of the files in that folder git writes `commondir` once; `gitdir` is written anew with each move."""
    try:
        text = (gitdir / "gitdir").read_text(encoding="utf-8", errors="surrogateescape").strip()
        made = (gitdir / "commondir").stat().st_mtime
    except (FileNotFoundError, NotADirectoryError):
        return Worktree(gitdir.name, None, there=False, made=0.0)
    pointer = gitdir / text
    return Worktree(gitdir.name, _real(pointer.parent), there=bool(text) and os.path.lexists(pointer), made=made)


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


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
        content = (common_dir / "packed-refs").read_bytes().decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return set()
    *lines, rest = content.split("\n")
    matches = [_PACKED.fullmatch(line) for line in lines]
    if rest or not lines or None in matches:  # Cut off somewhere: what it does not name may have been in it.
        raise ValueError("its packed-refs is damaged (`git fsck`)")
    return {one["ref"] for one in matches if one and one["ref"]}


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
