"""The facts that verdicts rest on, gathered once: who lives by the kernel's word, what is there by git's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path

from envctl import git, hosts, leases, namespace, repository, workspaces
from envctl.errors import EnvctlError
from envctl.inventory import clock, spared
from envctl.inventory.verdicts import Facts, RunState, Whereabouts
from envctl.project import Project
from envctl.repository import Repository
from envctl.residue import ours, private, stuck
from envctl.runs import folders, origin
from envctl.runs.folders import Record
from envctl.workspaces import Unread, Workspace


def gather(project: Project) -> Facts:
    """What is known now."""
    published = [(one, _record(one), folders.alive(one)) for one in _published(project.home)]
    foreign = {one: why for one, record, alive in published if record and not alive and (why := _foreign(record, one))}
    runs = [(record, alive) for one, record, alive in published if record is not None and one not in foreign]
    return Facts(
        project=project.config.project,
        patterns=project.config.names,
        buckets=project.buckets,
        host=hosts.this_host(),
        hosts=hosts.former(),
        now=clock.now(),
        runs={record.id: _state(alive) for record, alive in runs},
        unread={
            **_unregistered(project.config.project),
            **_unread(project.config.project, [one for one, record, _ in published if record is None]),
            **{record.namespace: foreign[one] for one, record, _ in published if record and one in foreign},
        },
        kept=frozenset((record.id, name) for record, alive in runs if not alive for name in record.kept),
        stuck={record.id: stuck(one) for one, record, alive in published if record and not alive},
        checkouts=checkouts(project.config.project),
        spared=spared.read(project.home),
        users=users(project.home, [record for record, alive in runs if alive]),
    )


def users(project_home: Path, runs: Iterable[Record]) -> Mapping[str, str]:
    """Who uses a namespace now. A lease that cannot be read is somebody's: its words stand under ""."""
    found = {one.namespace: f"its run `{one.command}` is at work" for one in runs}
    for home in _used(project_home):
        for holder in leases.holders(home):
            if holder.kind == "pinned":
                found[holder.namespace] = f"pinned by `dev up` in {holder.workspace} (`envctl dev down` there)"
            elif holder.namespace or not holder.command:
                found[holder.namespace] = f"`{holder.command}` uses it in {holder.workspace}"
    return found


def pinned(project: Project) -> frozenset[str]:
    """The namespaces of checkouts that are gone by git's word, and of which a pin keeps everything."""
    gone = {name for name, where in checkouts(project.config.project).items() if where.gone}
    pins = (one for home in _used(project.home) for one in leases.holders(home) if one.kind == "pinned")
    return frozenset(one.namespace for one in pins if one.namespace in gone)


def _used(project_home: Path) -> list[Path]:
    """The server sets that somebody uses or has used."""
    return sorted({path.parent for name in ("leases", "pins") for path in project_home.glob(f"*/{name}")})


def checkouts(project: str) -> Mapping[str, Whereabouts]:
    """Every registered checkout, with what its repository says of it; each repository is asked once."""
    asked = cache(_read)
    return {one.namespace or one.path.stem: _whereabouts(one, asked) for one in workspaces.workspaces(project)}


def _whereabouts(one: Workspace, asked: Callable[[Path], Repository | str]) -> Whereabouts:
    if isinstance(one, Unread):
        return Whereabouts(one)
    try:
        there, rooted = _is_there(one.path), _is_there(one.path / ".git")
    except OSError as error:
        return Whereabouts(one, doubt=f"its checkout {one.path} cannot be looked at: {error.strerror}")
    if not one.repository:
        why = f"its checkout {one.path} is gone, and its registration names no repository that could prove it"
        return Whereabouts(one, doubt="" if there else why)
    found = asked(Path(one.repository))
    if isinstance(found, str):
        return Whereabouts(one, doubt="" if there else f"its checkout {one.path} is not there, and {found}")
    if not one.identity:
        why = f"its checkout {one.path} is gone, and its registration tells no repository from another"
        return Whereabouts(one, doubt="" if there else why)
    if other := _another(one, found, rooted=rooted):
        return Whereabouts(one, doubt=other)
    gone, unsure = _gone(one, found, rooted=rooted)
    if gone:
        return Whereabouts(one, gone="" if unsure else gone, doubt=unsure)
    return Whereabouts(one, doubt="" if there else _missing(one))


def _another(one: Workspace, found: Repository, *, rooted: bool) -> str:
    """Why that repository may say nothing of this checkout: it may never have had it."""
    if one.identity != found.identity:
        return f"another repository may be in {found.common_dir} than when its checkout was there"
    checkout = git.checkout(one.path) if rooted else None
    if rooted and checkout is None:
        return git.trouble(one.path)
    if checkout is not None and checkout.common_dir != found.common_dir:
        return f"{one.path} is a checkout of another repository now"
    return ""


def _gone(one: Workspace, found: Repository, *, rooted: bool) -> tuple[str, str]:
    """The proof, and what speaks against it. A checkout without a branch has nothing whose end git could tell."""
    if not one.branch:
        return "", ""
    if one.gitdir and not rooted and not found.has_worktree(Path(one.gitdir), one.path, one.used):
        busy = f"its checkout {one.path} is gone, but another working tree is on the branch {one.branch}"
        return f"git has no worktree {one.path} any more", busy if found.is_at_work(one.branch) else ""
    if one.source == "git" and not found.has_branch(one.branch):
        return f"git has no branch {one.branch} any more, neither here nor of a remote", _elsewhere(one, found)
    return "", ""


def _elsewhere(one: Workspace, found: Repository) -> str:
    """Where a branch may live that is not here."""
    if found.in_part:
        return f"git has no branch {one.branch}, but does not fetch all that {', '.join(sorted(found.in_part))} has"
    try:
        now = repository.renamed(found.common_dir, one.branch)
        may_be = "" if now else repository.untold(found.common_dir, found.branches, one.used)
    except (OSError, ValueError) as error:
        return f"whether the branch {one.branch} was renamed cannot be told: {error}"
    if may_be:
        return f"its branch {one.branch} may be {may_be} now: git's log of that one does not go back far enough"
    return f"its branch {one.branch} was renamed to {now}" if now else ""


def _missing(one: Workspace) -> str:
    """Why a folder that is not there proves nothing."""
    if one.gitdir:
        return f"its checkout {one.path} is not there, but git still lists the worktree (moved? `git worktree prune`)"
    return f"its checkout {one.path} is not there, which a disk that is not mounted would look like too"


def _is_there(path: Path) -> bool:
    """Whether the folder is; an error where that cannot be told."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _read(common_dir: Path) -> Repository | str:
    try:
        return repository.read(common_dir)
    except EnvctlError as error:
        return f"{error.message} ({error.cause})"


def _published(project_home: Path) -> list[Path]:
    return sorted(one for one in (project_home / "runs").glob("*") if not private(one))


def _record(folder: Path) -> Record | None:
    """What a run put down; nothing where that cannot be read, or the folder is a link or another user's."""
    try:
        return folders.read(folder) if ours(folder) else None
    except EnvctlError:
        return None


def _foreign(record: Record, folder: Path) -> str:
    """Why a run on record here is not this host's to judge."""
    why = origin.foreign(record, folder)
    return f"it may be of a run that nobody here can judge: {why}" if why else ""


def _unregistered(project: str) -> Mapping[str, str]:
    """The namespaces of checkouts of which nobody can tell what they use."""
    found = [one for one in workspaces.workspaces(project) if isinstance(one, Unread)]
    return {one.path.stem: f"the registration of its checkout cannot be read: {one.path}" for one in found}


def _unread(project: str, runs: Iterable[Path]) -> Mapping[str, str]:
    """The namespaces of runs of which nobody can tell what they made. A run's folder is named by its namespace."""
    named = ((one, namespace.parse_identity(project, one.name)) for one in runs)
    return {
        parsed.namespace: f"it may be of the run in {one}, whose record cannot be read"
        for one, parsed in named
        if parsed
    }


def _state(alive: bool) -> RunState:
    return "live" if alive else "dead"
