"""A world, made: with the product's own calls as far as they go, by hand where somebody else's hand is meant."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from checkouts import git
from world_servers import Ground, Key
from worlds import World

from envctl import clean, leases, locks, namespace, sandbox, services, state, workspaces
from envctl.clean import Outcome, Plan, Scope, aside
from envctl.inventory import clock
from envctl.model import Access, Claim, Environment, Owner
from envctl.project import Project, open_project
from envctl.server_set import Running, Server

CONFIG = """
project = "{project}"
engine = "embedded"

[services.postgres]

[services.s3]
buckets = ["files"]
"""
DAYS = 30
LONG_OFF = 900
"""Before so many days envctl looked at the clock last: such a clock is not believed yet."""
WAIT = 20.0


@dataclass
class Made:
    """A world that is there, and what may become of each thing in it; what is not named must stay as it is."""

    world: World
    ground: Ground
    root: Path
    desk: Project
    home: Path
    """The state folder of its servers."""
    stack: ExitStack
    fates: dict[Key, str] = field(default_factory=dict)
    values: dict[Key, Mapping[str, str]] = field(default_factory=dict)
    """How what goes aside is entered."""
    names: set[str] = field(default_factory=set)
    """The namespaces of what goes aside."""
    kept: set[Path] = field(default_factory=set)
    """What must stay in the state folder, and outside of it."""

    @property
    def s3(self) -> bool:
        """Whether the world has a second server: to ask it takes as long as all the rest."""
        return has_buckets(self.world)

    def listing(self) -> dict[Key, Any]:
        return self.ground.listing(s3=self.s3)

    def planned(self) -> Plan:
        """As the command does it."""
        return clean.planned(self.desk, Scope(everything=self.world.everything), wait=WAIT, talk=_silent)

    def apply(self, plan: Plan) -> tuple[Outcome, ...]:
        return clean.apply(self.desk, plan, wait=WAIT, talk=_silent)

    def restore(self, name: str) -> None:
        """All of a namespace's."""
        found = aside.restore(self.desk, name, wait=WAIT, talk=_silent)
        assert not [one.error for one in found if one.error]

    def open(self, place: Path, *, flag: str = "", branch: str = "") -> Project:
        environ = {"BRANCH_NAME": branch} if branch else {}
        return open_project(place, "dev", environ, namespace_flag=flag, engine=self.world.engine)

    def upgrade(self, *keys: Key) -> None:
        """A newer envctl had its hands on these: this one leaves them alone."""
        for kind, name in keys:
            self.ground.upgrade(kind, name)
            self.fates[(kind, name)] = "stays"

    def create(self, project: Project, claim: Claim, fate: str, service: str = "postgres") -> Access:
        """One claim's database and login, or bucket and user, with a marker in it."""
        access = services.get(service).create(self.address(service), project.config.services[service], claim)
        for key in keys(claim, access, service):
            self.fates[key] = fate
            self.values[key] = access.values
        if service == "s3":
            self.ground.put(access.values["bucket"], claim.owner.created)
        return access

    def address(self, service: str) -> Any:
        return self.ground.running.servers[service].address

    def session(self, values: Mapping[str, str]) -> None:
        """Somebody is connected for as long as the world lasts."""
        self.stack.enter_context(entered(values))

    def killed(self, pid: int) -> None:
        self.ground.holders.end(pid)

    def living(self, pid: int) -> None:
        """It lives as long as the world does."""
        self.stack.callback(self.ground.holders.end, pid)


def has_buckets(world: World) -> bool:
    """Whether anything of S3 is in it."""
    asked = [one.bucket for one in world.places] + [one.bucket for one in world.runs]
    asked += [one.more == "bucket" for one in world.asides] + [one.kind == "bucket" for one in world.strangers]
    return any(asked)


def keys(claim: Claim, access: Access, service: str) -> Iterator[Key]:
    if service == "postgres":
        yield from (("login" if one.kind == "role" else "database", one.name) for one in access.resources)
    else:
        yield from (("bucket", one.name) for one in access.resources)
        yield "user", f"envctl-{claim.identity}"


@contextmanager
def entered(values: Mapping[str, str]) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    """A session as an application has it."""
    place: dict[str, Any] = {"host": values["host"], "port": values["port"], "dbname": values["database"]}
    login: dict[str, Any] = {"user": values["user"], "password": values["password"]}
    with psycopg.connect(**place, **login, autocommit=True) as connection:
        yield connection


@contextmanager
def begun(world: World, ground: Ground) -> Iterator[Made]:
    """An empty world: its state folder, its servers on record, a desk to call envctl from; gone after the block."""
    root = Path(os.path.realpath(ground.folder)) / f"world {time.monotonic_ns()}"
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        stack.callback(shutil.rmtree, root, ignore_errors=True)
        patch.setenv("ENVCTL_STATE_DIR", str(root / "state"))
        desk = root / "desk"
        desk.mkdir(parents=True)
        (desk / "envctl.toml").write_text(CONFIG.format(project=world.project))
        project = open_project(desk, "dev", {}, namespace_flag="desk", engine=world.engine)
        home = state.folder(project.home / f"dev-{world.engine}")
        watcher = locks.claim(home / "idle.lock")
        assert watcher is not None
        stack.callback(locks.free, watcher)
        leases.write_record(home, on_record(world, ground))
        (root / "victim").mkdir()
        (root / "victim" / "precious").write_text("data")
        made = Made(world, ground, root, project, home, stack, kept={root / "victim"})
        before = made.listing()
        ground_clear = ExitStack()
        ground_clear.callback(lambda: ground.clear(before, s3=made.s3))
        with ground_clear, made.stack.pop_all() as living:
            made.stack = living
            set_clock(world, root / "state")
            yield made


def on_record(world: World, ground: Ground) -> Running:
    """The shared servers, as the world's own record of them says it."""
    servers = {name: one for name, one in ground.running.servers.items() if name == "postgres" or has_buckets(world)}
    if world.engine == "external":
        servers = {name: Server(one.address) for name, one in servers.items()}
    return Running(world.engine, servers, ready=True, detail=ground.running.detail)


def set_clock(world: World, folder: Path) -> None:
    """What envctl put down of the clock when it first looked at it in this boot."""
    if world.clock == "right":
        return
    file = folder / "clock.json"
    if world.clock == "broken":
        file.write_text('{"version": 1, "wall": "to')
        return
    ahead = {"forward": DAYS, "back": -DAYS, "another boot": LONG_OFF}[world.clock]
    boot = "another" if world.clock == "another boot" else clock._boot()
    wall = datetime.now(UTC) - timedelta(days=ahead)
    state.write(file, {"boot": boot, "wall": wall.isoformat(), "elapsed": time.clock_gettime(clock.ELAPSED)})


def true_time(world: World) -> datetime:
    """What time it is for whatever is lost by it."""
    return datetime.now(UTC) - timedelta(days={"forward": DAYS, "another boot": LONG_OFF}.get(world.clock, 0))


def owner(project: str, name: str, environment: Environment = "dev", **more: Any) -> Owner:
    """A record of somebody's, made by hand."""
    made = datetime.now(UTC).isoformat(timespec="microseconds")
    return Owner(project, environment, name, "/somewhere/else", "gone", "another-host", made, **more)


def claim_of(project: str, name: str, environment: Environment, memory: Path, **more: Any) -> Claim:
    """What another project's namespace would ask for."""
    names = namespace.Names(project, name)
    wanted = {"database": names.database(environment), "files": names.bucket("files", environment)}
    identity = names.identity(environment)
    return Claim(owner(project, name, environment, **more), identity, wanted, "s" * 40, state.folder(memory / identity))


def repository(made: Made, name: str) -> Path:
    """A clone of the project: copied, for git takes longer to make one."""
    template = made.ground.folder / f"template {made.world.project}"
    if not template.exists():
        template.mkdir()
        (template / "envctl.toml").write_text(CONFIG.format(project=made.world.project))
        git(template, "init", "-q", "--template=", "-b", "main")
        git(template, "add", ".")
        git(template, "commit", "-qm", "The project")
        fetches(template, "+refs/heads/*:refs/remotes/origin/*")
    shutil.copytree(template, made.root / name)
    (made.root / name / ".git" / "description").write_text("as git writes it once\n")
    return made.root / name


def fetches(repository: Path, refspec: str) -> None:
    """A remote, and what of it is fetched."""
    config = repository / ".git" / "config"
    rest = config.read_text().partition("[remote")[0]
    config.write_text(f'{rest}[remote "origin"]\n\turl = /nowhere\n\tfetch = {refspec}\n')


def registered(made: Made, project: Project) -> Project:
    return sandbox.register(project, wait=WAIT, talk=_silent)


def registration(made: Made, project: Project) -> Path:
    return workspaces.home(made.world.project) / "workspaces" / f"{project.namespace.name}.json"


def with_lease(claim: Claim, lease: str) -> Claim:
    return replace(claim, owner=replace(claim.owner, lease=lease))


def _silent(_: str) -> None:
    """What envctl says meanwhile is not of interest here."""
