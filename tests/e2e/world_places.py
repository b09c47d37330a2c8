"""The checkouts of a world: up once, and ended in all the ways in which checkouts end, or seem to."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
from checkouts import git
from world_making import Made, fetches, registered, registration, repository
from worlds import BRANCH_LIVES, Place, fate_of_place, opened

from envctl import sandbox, state
from envctl.inventory import spared
from envctl.model import Holder
from envctl.project import Project
from envctl.services.postgres.records import INVALID, UNFINISHED

NOT_ITS_BUCKETS = "half made", "half dropped", "newer record", "newer database"
"""How far the database came says nothing of the bucket."""
UNKNOWN = {
    "old": ("source", "repository", "gitdir", "identity"),
    "no source": ("source",),
    "no identity": ("identity",),
}
"""What a registration of before does not tell."""


def placed(made: Made, place: Place, number: int, main: Path) -> Project:
    """The checkout, up: registered, with its database and bucket."""
    folder = made.root / f"place {number}"
    if place.kind == "clone":
        repository(made, folder.name)
        git(folder, "switch", "-qc", place.branch)
    elif place.kind == "plain":
        folder.mkdir()
        shutil.copy(main / "envctl.toml", folder)
    elif place.kind == "detached":
        git(main, "worktree", "add", "-q", "--detach", str(folder))
    else:
        git(main, "worktree", "add", "-q", "-b", _branch(place, number), str(folder))
    given = place.branch if place.kind == "named" else ""
    flag = f"by-hand-{number}" if place.kind == "flagged" else ""
    project = registered(made, made.open(folder, flag=flag, branch=given))
    fate = fate_of_place(made.world, place)
    access = made.create(project, sandbox.claim(project, "postgres"), fate)
    if fate == "aside":
        made.names.add(project.namespace.name)
        with psycopg.connect(access.values["url"]) as connection:
            connection.execute("CREATE TABLE marker AS SELECT current_database() AS was")
    if place.user == "session" and opened(place):
        made.session(access.values)
    if place.bucket:
        whole = fate_of_place(made.world, replace(place, state="whole")) if place.state in NOT_ITS_BUCKETS else fate
        made.create(project, sandbox.claim(project, "s3"), whole, "s3")
        if whole == "aside":
            made.names.add(project.namespace.name)
    return project


def _branch(place: Place, number: int) -> str:
    return f"wt{number}" if place.kind == "named" else place.branch


def ended(made: Made, place: Place, project: Project, number: int, main: Path) -> None:
    """What became of the checkout, of its database and of its registration."""
    _used(made, place, project)
    name = project.names.database("dev")
    if place.state == "half made":
        made.ground.say(f"ALTER DATABASE {{}} ALLOW_CONNECTIONS false CONNECTION LIMIT {UNFINISHED}", name)
        made.ground.say("COMMENT ON DATABASE {} IS NULL", name)
    if place.state == "half dropped":
        made.ground.say(f"UPDATE pg_database SET datconnlimit = {INVALID} WHERE datname = {{}}", text=name)
    if place.state == "restored before":
        for one in (name, project.names.bucket("files", "dev")):
            now = datetime.now(UTC)
            spared.spare(project.home, one, now + timedelta(days=7), now)
    if place.state == "linked memory":
        memory = project.home / "claims" / project.names.identity("dev")
        shutil.rmtree(memory)
        memory.symlink_to(made.root / "victim")
    if place.state.startswith("newer"):
        login = ("login", project.names.identity("dev"))
        made.upgrade(("database", name), *([login] if place.state == "newer record" else []))
        made.fates[login] = "stays"
    folder, branch = made.root / f"place {number}", _branch(place, number)
    _end(made, place, main if folder.joinpath(".git").is_file() else folder, folder, branch)
    _registered(place, registration(made, project))


def _used(made: Made, place: Place, project: Project) -> None:
    name, path = project.namespace.name, str(project.root)
    if place.user in ("lease", "dead lease"):
        # What it says of its process is nobody's business: the living one names a dead number, the dead one a live one.
        pid = 1 << 22 if place.user == "lease" else os.getpid()
        holder = Holder("held", name, path, "envctl run", "2026-01-01T00:00:00+00:00", pid)
        process = made.ground.holders.lease(state.root(), made.home / "leases", holder)
        (made.living if place.user == "lease" else made.killed)(process)
    if place.user == "pin":
        pinned = {"kind": "pinned", "namespace": name, "workspace": path, "command": "dev up", "since": "", "pid": 1}
        state.write(made.home / "pins" / name, pinned)


def _end(made: Made, place: Place, main: Path, folder: Path, branch: str) -> None:
    """As people do it, with git; one way or another."""
    elsewhere = folder.with_name(f"{folder.name} elsewhere")
    if place.end in ("removed", "added again", "another is on it", "another rebases it"):
        git(main, "worktree", "remove", "--force", str(folder))
        if place.end == "added again":
            git(main, "worktree", "add", "-q", str(folder), branch)
        elif place.end != "removed":
            git(main, "worktree", "add", "-q", str(elsewhere), branch)
        if place.end == "another rebases it":
            git(elsewhere, "switch", "-q", "--detach")
            _rebasing(elsewhere, branch, "rebase-merge")
    elif place.end in ("folder gone", "pruned", "locked"):
        if place.end == "locked":
            git(main, "worktree", "lock", str(folder))
        shutil.rmtree(folder)
        if place.end == "pruned":  # Its own folder alone: `prune` would take those of other places that look gone, too.
            git(main, "worktree", "remove", "--force", str(folder))
    elif place.end == "moved":
        git(main, "worktree", "move", str(folder), str(elsewhere))
    elif place.end == "moved by hand":
        folder.rename(elsewhere)
    elif place.end == "no objects":
        shutil.rmtree(folder / ".git" / "objects")
    elif place.end == "made again":
        shutil.rmtree(folder)
        repository(made, folder.name)
    elif place.end == "renamed":
        git(folder, "branch", "-m", f"{folder.name} renamed".replace(" ", "-"))
    elif place.end in ("branch gone", "branch gone elsewhere", "fetched in part", *BRANCH_LIVES):
        _branch_ended(place.end, folder, branch)


def _branch_ended(end: str, folder: Path, branch: str) -> None:
    """The checkout stays, on something else; or on what has no commit yet."""
    if end == "branch gone elsewhere":
        git(folder, "switch", "-qc", f"wt of {folder.name}".replace(" ", "-"))
    elif end != "yet to begin":
        git(folder, "switch", "-q", "--detach")
    if end == "packed":
        git(folder, "pack-refs", "--all", "--prune")
        return
    if end == "remote has it":
        git(folder, "update-ref", f"refs/remotes/origin/{branch}", branch)
    if end == "its twin is there":
        other = branch.swapcase()  # Where that is the same: a remote's, of which nobody can tell where its name ends.
        git(folder, "update-ref", f"refs/heads/{other}" if other != branch else f"refs/remotes/a/b/{branch}", branch)
    git(folder, "update-ref", "-d", f"refs/heads/{branch}")
    if end in ("rebasing", "applying"):
        _rebasing(folder, branch, "rebase-merge" if end == "rebasing" else "rebase-apply")
    if end == "fetched in part":
        fetches(folder, "+refs/heads/main:refs/remotes/origin/main")


def _rebasing(folder: Path, branch: str, notes: str) -> None:
    """In the midst of it, as git notes it: HEAD is detached, and the branch stands in a file."""
    pointer = folder / ".git"
    own = Path(pointer.read_text().partition(":")[2].strip()) if pointer.is_file() else pointer
    (own / notes).mkdir()
    (own / notes / "head-name").write_text(f"refs/heads/{branch}\n")


def _registered(place: Place, file: Path) -> None:
    if place.registration == "none":
        file.unlink()
    elif place.registration == "broken":
        file.write_text(file.read_text()[:-20])
    elif place.registration != "whole":
        content = json.loads(file.read_text())
        changed = {"version": 2} if place.registration == "newer" else {}
        kept = {name: one for name, one in content.items() if name not in UNKNOWN.get(place.registration, ())}
        file.write_text(json.dumps({**kept, **changed}))
