"""Runs die at any moment, and many begin at once: no slot has two, and nothing of the dead is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
import runner
from crew import until

from envctl import inventory, leases, locks, owners, recovery, residue, sandbox, services
from envctl.inventory import evidence
from envctl.inventory.verdicts import Found
from envctl.model import Owner, Resource
from envctl.project import Project
from envctl.recovery import cleaning
from envctl.runs import folders
from envctl.server_set import Running
from envctl.services.base import Outcome


@dataclass
class Stage:
    """Checkouts, the processes that work in them, and what they say."""

    root: Path
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self, verb: str, namespace: str = "feature_a", **options: Any) -> Actor:
        argv = [sys.executable, runner.__file__, verb, str(self.root), namespace, json.dumps(options)]
        pipe = subprocess.PIPE
        self.processes.append(subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, text=True))
        return Actor(self.processes[-1])

    def close(self) -> None:
        for one in self.processes:
            if one.poll() is None:
                one.kill()
            one.communicate()


@dataclass
class Actor:
    """A real process that a test may end in any way."""

    process: subprocess.Popen[str]

    def said(self) -> dict[str, Any]:
        """The next thing it says; waits for it."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.process.communicate()[1]
        found: dict[str, Any] = json.loads(line)
        return found

    def ended(self, word: str = "") -> tuple[int, str]:
        """Give it the word it waits for, and see it end: its code, and what it told people."""
        with suppress(ValueError):
            _, talk = self.process.communicate(f"{word}\n" if word else None)
            return self.process.returncode, talk
        return self.process.wait(), ""

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@contextmanager
def stage(root: Path, monkeypatch: pytest.MonkeyPatch, **options: Any) -> Iterator[Stage]:
    monkeypatch.setenv("ENVCTL_STATE_DIR", str(root / "state"))
    ready = Stage(runner.checkout(root / "shop", **options))
    try:
        yield ready
    finally:
        ready.close()


@pytest.fixture
def crowd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """A checkout without servers."""
    with stage(tmp_path, monkeypatch) as ready:
        yield ready


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stage, Project, Running]]:
    """A checkout whose servers run for all tests of this module."""
    with pytest.MonkeyPatch.context() as patch, stage(tmp_path_factory.mktemp("runs"), patch) as ready:
        project = runner.opened(ready.root)
        with runner.held(project) as running:
            yield ready, project, running


@dataclass(frozen=True)
class Ground:
    """Running servers, and what there is on them."""

    stage: Stage
    project: Project
    running: Running

    @property
    def listed(self) -> set[tuple[str, str, str]]:
        """Everything that envctl made there for this project."""
        return {(one.service, one.kind, one.name) for one in self.resources}

    @property
    def resources(self) -> list[Resource]:
        found = self.running.servers.items()
        return [one for name, server in found for one in services.get(name).list(server.address, "shop")]

    @property
    def raw(self) -> set[str]:
        """What the servers themselves show, records or not."""
        with self.admin() as connection:
            query = "SELECT 'database ' || datname FROM pg_database UNION SELECT 'role ' || rolname FROM pg_roles"
            names = {str(row[0]) for row in connection.execute(query)}
        return names | self._buckets() | self._redis()

    def admin(self, database: str = "postgres") -> psycopg.Connection[Any]:
        place = self.running.servers["postgres"].address
        return psycopg.connect(
            host=place.host, port=place.port, user=place.user, password=place.password, dbname=database, autocommit=True
        )

    def _buckets(self) -> set[str]:
        from envctl.services.s3.wire import connected, signed

        address = self.running.servers["s3"].address
        form = {"Action": "ListUsers", "Version": "2010-05-08"}
        users = signed(address, address.user, address.password, service="iam", form=form).text
        with connected(address) as client:
            found = {f"bucket {one.name}" for one in client.list_buckets()}
        return found | {f"s3 user {one}" for one in users.split("<UserName>")[1:] if one.startswith("envctl-")}

    def _redis(self) -> set[str]:
        from envctl.services.redis.wire import connected

        with connected(self.running.servers["redis"].address) as client:
            return {f"redis {one}" for one in (*client.acl_users(), *client.hkeys("envctl:registry"))}

    @property
    def folders(self) -> list[str]:
        """What is in the folder of runs."""
        return sorted(one.name for one in self.project.home.glob("runs/*") if one.name != folders.MAKING)

    def verdicts(self, lease: str) -> dict[str, str]:
        """What is thought of all that this run left."""
        mine = [one for one in self.resources if one.owner and one.owner.lease == lease]
        return {
            one.resource.name: one.verdict
            for one in inventory.judged([Found(one, "") for one in mine], evidence.gather(self.project))
        }

    def dead(self, namespace: str = "feature_a") -> dict[str, Any]:
        """A run that made all it needs and was killed then."""
        actor = self.stage.start("work", namespace)
        said = actor.said()
        actor.kill()
        return said

    def swept(self) -> None:
        """What every command does, and the end of what it starts."""
        recovery.sweep(self.project)
        self.rested()

    def rested(self) -> None:
        until(lambda: not locks.held(self.project.home / "recovery.lock"))

    @property
    def log(self) -> str:
        return (self.project.home / "logs" / "recovery.log").read_text()


@pytest.fixture
def ground(shared: tuple[Stage, Project, Running], monkeypatch: pytest.MonkeyPatch) -> Iterator[Ground]:
    """Servers with nothing of this project on them, before and after."""
    found = Ground(*shared)
    monkeypatch.setattr(cleaning, "PATIENCE", 60)
    before = found.raw
    yield found
    for one in found.resources:
        services.get(one.service).drop(found.running.servers[one.service].address, one, sessions="end")
    for folder in residue.dead(found.project.home):
        folders.remove(folder)
    assert found.raw == before


def test_twenty_processes_that_claim_at_once_get_twenty_slots(crowd: Stage) -> None:
    actors = [crowd.start("claim") for _ in range(20)]
    said = [one.said() for one in actors]
    assert sorted(one["slot"] for one in said) == list(range(1, 21))
    assert len({one["id"] for one in said}) == 20
    talks = [one.ended("done")[1] for one in actors]
    assert sum("another run of this checkout is at work" in talk for talk in talks) >= 19
    assert [one.name for one in (runner.opened(crowd.root).home / "runs").iterdir()] == [folders.MAKING]


def test_no_slot_has_two_runs_while_others_clean_up(crowd: Stage, tmp_path: Path) -> None:
    busy, stop = tmp_path / "busy", tmp_path / "stop"
    busy.mkdir()
    cleaners = [crowd.start("clean", until=str(stop)) for _ in range(2)]
    actors = [crowd.start("churn", count=60, busy=str(busy)) for _ in range(4)]
    ends = [one.ended() for one in actors]
    stop.touch()
    assert sum(one.said()["count"] for one in cleaners) > 10
    assert [code for code, _ in ends] == [0] * 4, ends
    home = runner.opened(crowd.root).home
    for folder in residue.dead(home):
        assert cleaning.clean(folder).verdict == "clean"
    assert [one.name for one in (home / "runs").iterdir()] == [folders.MAKING]


def test_a_killed_run_leaves_its_slot_to_recovery_and_the_next_takes_another(crowd: Stage) -> None:
    first = crowd.start("claim")
    assert first.said()["slot"] == 1
    first.kill()
    second = crowd.start("claim")
    assert second.said()["slot"] == 2
    code, told = second.ended("done")
    assert code == 0
    assert "is being removed: this one is slot 2" in told


def test_nothing_of_a_killed_run_is_left_after_the_next_call(ground: Ground) -> None:
    before = ground.raw
    said = ground.dead()
    assert {name for names in said["made"].values() for name in names} <= {name for _, _, name in ground.listed}
    ground.swept()
    assert (ground.listed, ground.folders) == (set(), [])
    assert ground.raw == before
    assert f"{said['identity']}: removed database {said['identity']}_gw0" in ground.log
    assert oct((ground.project.home / "logs" / "recovery.log").stat().st_mode)[-3:] == "600"


def test_a_run_at_work_and_what_has_no_lease_are_left_alone(ground: Ground) -> None:
    for name, server in ground.running.servers.items():
        services.get(name).create(
            server.address, ground.project.config.services[name], sandbox.claim(ground.project, name, "gw7")
        )
    others = ground.listed
    worker = ground.stage.start("work")
    made = worker.said()
    alive = ground.listed - others
    assert made["slot"] == 1
    assert ground.dead()["slot"] == 2
    ground.swept()
    assert ground.listed == others | alive
    assert ground.folders == [made["identity"]]
    worker.kill()
    ground.swept()
    assert ground.listed == others


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_run_killed_at_any_step_of_making_leaves_nothing(ground: Ground, when: str) -> None:
    before, at, code = ground.raw, 1, -9
    while code == -9:
        actor = ground.stage.start("work", at=at, when=when)
        code = -9 if not (actor.process.stdout and actor.process.stdout.read()) else 0
        assert actor.ended()[0] == -signal.SIGKILL, "it did not come to its death"
        folders.tidy(ground.project.home)
        for folder in residue.dead(ground.project.home):
            assert (report := cleaning.clean(folder)).verdict == "clean", (at, report)
        assert (ground.raw, ground.folders) == (before, []), f"killed {when} effect {at}"
        at += 1 if os.environ.get("ENVCTL_NIGHTLY") else 15
    assert at > 60


@pytest.mark.parametrize("when", ["before", "after"])
def test_recovery_killed_at_any_step_is_finished_by_the_next(ground: Ground, when: str) -> None:
    before, at, codes = ground.raw, 1, [-9]
    while codes[-1] == -9:
        ground.dead()
        codes.append(ground.stage.start("clean_and_die", at=at, when=when).ended()[0])
        ground.swept()
        assert (ground.raw, ground.folders) == (before, []), f"killed {when} effect {at}"
        at += 1 if os.environ.get("ENVCTL_NIGHTLY") else 9
    assert codes[-1] == 0
    assert at > 60


def test_a_database_that_is_still_in_use_stays_until_it_is_not(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cleaning, "PATIENCE", 0.3)
    said = ground.dead()
    folder = ground.project.home / "runs" / said["identity"]
    with ground.admin(said["identity"]):
        report = cleaning.clean(folder)
        assert report.verdict == "later"
        assert any("in use" in line for line in report.later)
        assert ground.listed == {("postgres", "database", said["identity"]), ("postgres", "role", said["identity"])}
        assert residue.dead(ground.project.home) == [folder]
        assert not residue.settled(folder)
    assert cleaning.clean(folder).verdict == "clean"
    assert (ground.listed, ground.folders) == (set(), [])


def test_a_session_that_ends_meanwhile_is_waited_for(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    said = ground.dead()
    session = ground.admin(said["identity"])
    service = services.get("postgres")
    drop_all = service.drop_all

    def closing(_: object, *args: Any) -> Iterator[Outcome]:
        yield from list(drop_all(*args))
        session.close()

    monkeypatch.setattr(type(service), "drop_all", closing)
    assert cleaning.clean(ground.project.home / "runs" / said["identity"]).verdict == "clean"


def test_databases_that_the_suite_made_with_its_login_go_too(ground: Ground) -> None:
    said = ground.dead()
    with ground.admin() as connection:
        connection.execute(f'CREATE DATABASE "its own name" OWNER "{said["identity"]}_gw0"')
    ground.swept()
    assert ground.listed == set()
    with ground.admin() as connection:
        assert not connection.execute("SELECT 1 FROM pg_database WHERE datname = 'its own name'").fetchone()


def test_templates_and_ready_clones_that_a_run_made_are_for_those_after_it(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cleaning, "PATIENCE", 0.3)
    said = ground.dead()
    address = ground.running.servers["postgres"].address
    for kind, name in (("template", said["identity"]), ("pool", f"{said['identity']}_gw0")):
        (found,) = [one for one in ground.resources if (one.kind, one.name) == ("database", name)]
        services.get("postgres").note(address, found, {"kind": kind})
    cleaning.clean(ground.project.home / "runs" / said["identity"])
    assert {name for _, kind, name in ground.listed if kind == "database"} == {
        said["identity"],
        f"{said['identity']}_gw0",
    }


def test_what_was_kept_stays_until_the_next_run_of_the_namespace(ground: Ground) -> None:
    with runner.claimed(ground.project) as run:
        run.begun()
        runner.make(run, ground.running)
        run.keep([f"{run.identity}_gw0"])
    ground.swept()
    assert ("postgres", "database", f"{run.identity}_gw0") in ground.listed
    assert ("postgres", "database", run.identity) not in ground.listed
    assert ground.folders == [run.identity]
    assert residue.settled(run.folder)
    with runner.claimed(ground.project) as after:
        assert after.slot == 2
        ground.swept()
        assert (ground.listed, ground.folders) == (set(), [after.identity])
        after.done()


@pytest.mark.parametrize("way", ["copied", "renamed"])
def test_what_a_person_saved_of_a_kept_run_is_not_dropped(ground: Ground, way: str) -> None:
    with runner.claimed(ground.project) as run:
        run.begun()
        runner.make(run, ground.running)
        kept = f"{run.identity}_gw0"
        run.keep([kept])
    statement = f'CREATE DATABASE "saved" TEMPLATE "{kept}" OWNER "{kept}"'
    with ground.admin() as connection:
        connection.execute(statement if way == "copied" else f'ALTER DATABASE "{kept}" RENAME TO "saved"')
    saved, role = ("postgres", "database", "saved"), ("postgres", "role", kept)
    ground.swept()
    assert {saved, role} <= ground.listed
    with runner.claimed(ground.project) as after:
        ground.swept()
        assert ground.listed == {saved, role}
        assert residue.settled(run.folder)
        assert "saved was made or renamed by hand" in residue.stuck(run.folder)
        after.done()
    assert ground.verdicts(run.id) == {"saved": "unexplained", kept: "unexplained"}
    with ground.admin() as connection:
        connection.execute('DROP DATABASE "saved"')
    assert cleaning.clean(run.folder).verdict == "clean"
    assert (ground.listed, ground.folders) == (set(), [])


def test_a_database_of_another_mark_keeps_its_login_and_is_told_once(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cleaning, "PATIENCE", 0.3)
    said = ground.dead()
    login, folder = f"{said['identity']}_gw0", ground.project.home / "runs" / said["identity"]
    mark = owners.to_text(Owner("shop", "dev", "main_x", "", "", "", ""))
    with ground.admin() as connection:
        connection.execute(f'CREATE DATABASE from_dump OWNER "{login}"')
        connection.execute(f"COMMENT ON DATABASE from_dump IS {psycopg.sql.Literal(mark).as_string()}")
    report = cleaning.clean(folder)
    assert (report.verdict, report.settled, residue.settled(folder)) == ("kept", True, True)
    assert "from_dump" in report.stuck == residue.stuck(folder)
    assert ground.listed == {("postgres", "database", "from_dump"), ("postgres", "role", login)}
    assert ground.verdicts(said["id"]) == {login: "unexplained"}
    with ground.admin() as connection:
        connection.execute("DROP DATABASE from_dump")
    assert cleaning.clean(folder).verdict == "clean"
    assert (ground.listed, ground.folders) == (set(), [])


def test_only_one_recovery_of_a_project_is_at_work(ground: Ground) -> None:
    ground.dead()
    lock = locks.claim(ground.project.home / "recovery.lock")
    assert lock is not None
    made = ground.listed
    recovery.sweep(ground.project)
    assert ground.listed == made
    locks.free(lock)
    ground.swept()
    assert ground.listed == set()


def test_a_run_whose_record_is_broken_is_left_alone_and_told_once(ground: Ground) -> None:
    said = ground.dead()
    made = ground.listed
    record = ground.project.home / "runs" / said["identity"] / residue.RECORD
    text = record.read_text()
    for broken in ("{", '{"version": 99}', '{"version": 1, "id": 7}', text.replace(said["identity"], "shop_test_b")):
        record.write_text(broken)
        ground.swept()
        assert ground.listed == made
        assert residue.settled(record.parent)
        assert str(record) in ground.log.splitlines()[-2]
    record.write_text(text)
    ground.swept()
    assert (ground.listed, ground.folders) == (set(), [])


def test_a_record_that_names_other_servers_is_left_alone(ground: Ground, tmp_path: Path) -> None:
    said = ground.dead()
    made = ground.listed
    folder = ground.project.home / "runs" / said["identity"]
    folders.write(folder, replace(folders.read(folder), home=str(tmp_path)))
    report = cleaning.clean(folder)
    assert (report.verdict, report.settled, ground.listed) == ("later", True, made)


def test_only_the_lease_decides_not_the_name(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cleaning, "PATIENCE", 0.3)
    said = ground.dead()
    (role,) = [one for one in ground.resources if (one.kind, one.name) == ("role", said["identity"])]
    assert role.owner is not None
    with ground.admin() as connection:
        other = owners.to_text(replace(role.owner, lease="another"))
        connection.execute(f'COMMENT ON DATABASE "{said["identity"]}" IS {psycopg.sql.Literal(other).as_string()}')
    cleaning.clean(ground.project.home / "runs" / said["identity"])
    assert ("postgres", "database", said["identity"]) in ground.listed


def test_recovery_holds_the_servers_so_that_their_watcher_waits(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = ground.dead()
    home = Path(folders.read(ground.project.home / "runs" / said["identity"]).home)
    seen: list[int] = []
    made: Callable[..., Any] = cleaning._made

    def looked(*args: Any) -> Any:
        seen.append(sum(one.command == "recovery" for one in leases.holders(home)))
        return made(*args)

    monkeypatch.setattr(cleaning, "_made", looked)
    cleaning.clean(ground.project.home / "runs" / said["identity"])
    assert set(seen) == {1}
    assert [one.command for one in leases.holders(home)] == ["envctl test"]


@pytest.mark.parametrize("server", ["own", "shared"])
def test_servers_that_are_down_are_not_started_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: str
) -> None:
    with stage(tmp_path, monkeypatch, names=("redis",), server=server) as one:
        project = runner.opened(one.root)
        with runner.held(project):
            actor = one.start("work")
            said = actor.said()
            actor.kill()
        folder = project.home / "runs" / said["identity"]
        if server == "own":  # Its data went with it.
            assert cleaning.clean(folder).verdict == "clean"
            return
        report = cleaning.clean(folder)
        assert (report.verdict, report.settled) == ("later", True)
        assert residue.settled(folder)
        recovery.sweep(project)
        assert not (project.home / "logs" / "recovery.log").exists()
        with runner.held(project):
            assert not residue.settled(folder)
            assert cleaning.clean(folder).verdict == "clean"
        assert not folder.exists()


class ForkedError(Exception):
    """How a forked child leaves the block of its parent."""


def test_a_forked_child_that_leaves_the_block_gives_nothing_up(crowd: Stage) -> None:
    me = os.getpid()
    with suppress(ForkedError), runner.claimed(runner.opened(crowd.root)) as run:
        child = os.fork()
        if child == 0:
            raise ForkedError
        assert os.waitpid(child, 0)[1] == 0
        assert locks.held(run.folder / residue.LOCK)
        run.done()
    if os.getpid() != me:
        os._exit(0)
