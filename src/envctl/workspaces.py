"""Which checkout has which namespace, and which one has the project's bare names."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, field
from pathlib import Path
from typing import Any

from envctl import git, locks, repository, state
from envctl.errors import EnvctlError, UsageError
from envctl.model import Namespace, Talk, silent
from envctl.values import dataclass

KEY_BYTES = 32
WAIT = 30.0


@dataclass(frozen=True, slots=True)
class Workspace:
    """One checkout that has used envctl, as it registered itself."""

    namespace: str
    path: Path
    branch: str
    primary: bool
    source: str = ""
    """Where the namespace came from: only one that git named can end with its branch."""
    repository: str = ""
    """The repository's common folder; empty where there was none, or the registration is older than this."""
    gitdir: str = ""
    """The linked worktree's own folder in that repository, which git removes with it; empty for a plain clone."""
    identity: str = ""
    """What tells that repository from another one in its place; empty in registrations older than this."""
    used: float = field(default=0.0, compare=False)
    """When it last registered itself."""

    @property
    def live(self) -> bool:
        """Whether the checkout is still there."""
        return self.path.is_dir()


class Unread(Workspace):
    """A checkout whose registration, at `path`, cannot be read: it counts as there, and as having the bare names.

    It names no namespace: they are nobody's until it can be read, not even its own.
    """

    __slots__ = ()

    @property
    def live(self) -> bool:
        """Nothing tells that it is gone."""
        return True


def home(project: str) -> Path:
    """The state folder of a project."""
    return state.root() / "projects" / project


def register(
    project: str, namespace: Namespace, *, default_branch: str, chosen: bool = False, wait: float, talk: Talk
) -> Workspace:
    """Record this checkout before it makes anything; refuse a namespace that another live checkout has."""
    with locked(project, wait=wait, talk=talk):
        mine = find(project, namespace.name)
        if mine is not None and mine.path != namespace.workspace and mine.live:
            raise UsageError(
                f"the namespace {namespace.name} belongs to another checkout",
                cause=f"{mine.path} uses it (branch {mine.branch or 'unknown'}), this one is {namespace.workspace}",
                hint="give this checkout its own: set WORKSPACE_ID, or pass --namespace",
                code="namespace_taken",
            )
        found = _described(namespace, primary=primary(project, namespace, default_branch, chosen=chosen))
        if mine != found:
            content = {**asdict(found), "path": str(found.path)}
            del content["namespace"], content["used"]
            state.write(_file(project, namespace.name), content)
        else:
            os.utime(_file(project, namespace.name))  # As `used` has it.
    return found


def _described(namespace: Namespace, *, primary: bool) -> Workspace:
    """A checkout with all that could tell one day that it is gone."""
    checkout = git.checkout(namespace.workspace)
    return Workspace(
        namespace.name,
        namespace.workspace,
        namespace.branch,
        primary,
        source=namespace.source,
        repository=str(checkout.common_dir) if checkout else "",
        gitdir=str(checkout.git_dir) if checkout and git.linked(checkout) else "",
        identity=_identity(checkout.common_dir) if checkout else "",
    )


def _identity(common_dir: Path) -> str:
    """Without one, the repository can prove nothing later."""
    try:
        return repository.identity(common_dir)
    except OSError:
        return ""


def primary(project: str, namespace: Namespace, default_branch: str, *, chosen: bool = False) -> bool:
    """Whether the bare names are this namespace's: it has claimed them, or may, being on the default branch.

    A claim outlives a change of what git calls the default branch, as its data are under these names; but not a
    branch that the configuration has `chosen`.
    """
    claimant, may = bare_names_of(project), bool(namespace.branch) and namespace.branch == default_branch
    return may if claimant is None else claimant.namespace == namespace.name and (may or not chosen)


def bare_names_of(project: str) -> Workspace | None:
    """Who claimed the bare names. The claim lasts as long as its data, even where the checkout is gone."""
    return next((one for one in workspaces(project) if one.primary), None)


def find(project: str, namespace: str) -> Workspace | None:
    """The checkout that registered a namespace."""
    path = _file(project, namespace)
    used = _used(path)
    content = state.read(path)
    if content is None:
        return None
    with state.understood(path, what="the registration of a checkout"):
        return _parsed(namespace, content, used)


def _parsed(namespace: str, content: dict[str, Any], used: float) -> Workspace:
    said = {name: content[name] for name in ("path", "branch")}
    more = {name: content.get(name, "") for name in ("source", "repository", "gitdir", "identity")}
    for name, one in {**said, **more}.items():
        if not isinstance(one, str):
            raise TypeError(f"{name} is {type(one).__name__}, no text")
        if b"\0" in os.fsencode(one):
            raise ValueError(f"{name} has a null character")
    if not isinstance(content["primary"], bool):
        raise TypeError(f"primary is {content['primary']!r}, neither true nor false")
    return Workspace(namespace, Path(said["path"]), said["branch"], content["primary"], **more, used=used)


def _used(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def workspaces(project: str) -> list[Workspace]:
    """Every checkout that has registered itself; last those of which nobody can read what they registered."""
    folder = home(project) / "workspaces"
    names = sorted(path.stem for path in folder.glob("*.json")) if folder.is_dir() else []
    found = [one for one in (_found(project, name) for name in names) if one is not None]
    return sorted(found, key=lambda one: isinstance(one, Unread))  # A claim that can be read comes before.


def _found(project: str, namespace: str) -> Workspace | None:
    """One that is damaged is its own checkout's trouble, and stops no other."""
    try:
        return find(project, namespace)
    except EnvctlError:
        return Unread("", _file(project, namespace), "", primary=True)


def locked(project: str, *, wait: float, talk: Talk) -> AbstractContextManager[None]:
    """The lock under which checkouts come and go."""
    return locks.locked(home(project) / "workspaces.lock", what="the list of checkouts", wait=wait, talk=talk)


def aside(project: str, namespace: str) -> Path:
    """A mark, there since something of that namespace first went into quarantine: whoever comes back looks there."""
    return home(project) / "quarantined" / namespace


def forget(project: str, namespace: str) -> None:
    """Remove a registration; its resources are somebody else's business."""
    _file(project, namespace).unlink(missing_ok=True)
    _warned(project, namespace).unlink(missing_ok=True)


def told(project: str, namespace: Namespace) -> bool:
    """Whether this warning about a namespace was given before; from now on it was."""
    note = _warned(project, namespace.name)
    with suppress(EnvctlError):  # Whoever needs the state folder says what is wrong with it.
        before = state.read(note)
        if before is not None and before.get("warning") == namespace.warning:
            return True
        state.write(note, {"warning": namespace.warning})
    return False


def secret(project: str, identity: str) -> str:
    """The password of an identity: the same on every call, different for each, derived from one private file."""
    import hmac

    return hmac.new(_key(project), identity.encode(), "sha256").hexdigest()[:40]


def _key(project: str) -> bytes:
    path = state.folder(home(project)) / "key"
    if not path.exists():
        _make_key(path)
    try:
        key = bytes.fromhex(state.text(path))
    except (OSError, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise EnvctlError(
            f"the key of {project} is damaged: {path}",
            hint="restore it if you can; without it `rm` it, and every checkout's next `dev up` sets new passwords",
            code="state_broken",
        )
    return key


def _make_key(path: Path) -> None:
    """Once: of several who come at the same time the first makes it, and all read that one."""
    lock = path.with_name("key.lock")
    with locks.locked(lock, what=f"the key of {path.parent.name}", wait=WAIT, talk=silent):
        if path.exists():
            return
        with state.fresh(path) as (file, name):
            file.write(os.urandom(KEY_BYTES).hex())
            file.flush()
            os.fsync(file.fileno())
            name.replace(path)


def _file(project: str, namespace: str) -> Path:
    return home(project) / "workspaces" / f"{namespace}.json"


def _warned(project: str, namespace: str) -> Path:
    return home(project) / "workspaces" / f"{namespace}.warned"
