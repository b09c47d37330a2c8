"""The parts of a world, each made as its value says: places, runs, strangers, what is in quarantine, neighbours."""

from __future__ import annotations

import base64
import json
import os
import shutil
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import psycopg
from checkouts import git
from minio import S3Error
from minio.commonconfig import Tags
from world_making import Made, begun, claim_of, fetches, keys, owner, registered, repository, true_time
from world_places import ended, placed
from world_servers import Ground, Key, newer
from worlds import (
    UNREADABLE,
    Aside,
    Stranger,
    World,
    fate_of_aside,
    fate_of_run,
    fate_of_what_came_back,
    whose,
)

from envctl import owners, residue, sandbox, services, state
from envctl.project import Project
from envctl.runs import folders
from envctl.services.postgres.records import UNFINISHED

THEIRS = 4321
"""Another user."""


@contextmanager
def made(world: World, ground: Ground) -> Iterator[Made]:
    """All of it."""
    with begun(world, ground) as there:
        main = repository(there, "main")
        if world.primary:
            _primary(there, main)
        up = [placed(there, one, number, main) for number, one in enumerate(world.places)]
        for number, aside in enumerate(world.asides):
            _aside(there, aside, f"old{number}")
        by_place = {id(one): project for one, project in zip(world.places, up, strict=True)}
        for number, run in enumerate(world.runs):
            place = whose(world, run)
            _run(there, number, by_place[id(place)] if place else there.desk, "" if place else "solo")
        if world.theirs:
            _neighbour(there)
        for stranger in world.strangers:
            _stranger(there, stranger)
        for number, (one, project) in enumerate(zip(world.places, up, strict=True)):
            ended(there, one, project, number, main)
        _whole_state(there, main)
        yield there


def _primary(made: Made, main: Path) -> None:
    project = registered(made, made.open(main))
    fate = "goes" if made.world.everything and not made.world.someone else "stays"
    made.create(project, sandbox.claim(project, "postgres"), fate)


def _run(made: Made, number: int, of: Project, flag: str) -> None:
    """A run's folder, and what it made, held by a process or not any more."""
    run = made.world.runs[number]
    project = replace(of, environment="test", namespace=replace(of.namespace, name=flag or of.namespace.name))
    project = replace(project, names=replace(of.names, namespace=project.namespace.name, primary=False))
    pid, record = made.ground.holders.run(state.root(), project, made.home, made.world.engine)
    folder = project.home / "runs" / record.identity
    mine = replace(project, names=replace(project.names, slot=record.slot))
    fate, names, upgraded = fate_of_run(made.world, number), list[str](), list[Key]()
    for worker in ("", "gw0")[: run.workers + 1]:
        for service in ("postgres", *(["s3"] if run.bucket else [])):
            memory = folder / residue.CLAIMS
            claim = sandbox.claim(mine, service, worker, lease=record.id, memory=memory)
            access = made.create(mine, claim, fate, service)
            names += [one.name for one in access.resources]
            upgraded += keys(claim, access, service) if run.state == "newer ended" and service == "postgres" else ()
            if run.session and service == "postgres":
                made.session(access.values)
    (made.living if "at work" in run.state else made.killed)(pid)
    if run.state in ("at work", *UNREADABLE) or (run.state == "kept" and fate == "stays"):
        made.kept.add(folder)
    _run_ended(made, run.state, folder, tuple(names))
    made.upgrade(*upgraded)


def _run_ended(made: Made, state_of_it: str, folder: Path, names: tuple[str, ...]) -> None:
    if state_of_it in ("ended", "newer ended"):
        shutil.rmtree(folder)
    elif state_of_it == "kept":
        folders.write(folder, replace(folders.read(folder), kept=names))
    elif state_of_it.startswith("unreadable"):
        (folder / residue.RECORD).write_text((folder / residue.RECORD).read_text()[:-20])
    elif state_of_it.startswith("newer"):
        content = json.loads((folder / residue.RECORD).read_text())
        (folder / residue.RECORD).write_text(json.dumps({**content, "version": 2}))
    elif state_of_it == "a link":
        target = made.root / "victim" / folder.name
        folder.rename(target)
        folder.symlink_to(target)
    elif state_of_it == "another user's":
        if os.geteuid():
            (folder / residue.RECORD).write_text("not to be read")  # Only root can give something to another user.
        else:
            os.chown(folder, THEIRS, THEIRS)


def _aside(made: Made, one: Aside, name: str) -> None:
    """In quarantine, by the calls that put it there."""
    project = made.open(made.root / "desk", flag=name)
    fate, when = fate_of_aside(made.world, one), true_time(made.world)
    until = {"past": when - timedelta(hours=1), "future": when + timedelta(days=3)}.get(one.until)
    notes = {"since": when.isoformat(), "until": until.isoformat() if until else "soon", "why": "its branch is gone"}
    for service in ("postgres", *(["s3"] if one.more == "bucket" else [])):
        claim = sandbox.claim(project, service)
        access = made.create(project, claim, fate, service)
        resource = access.resources[0]
        moved = services.get(service).quarantine(made.address(service), resource, notes=notes)
        if service == "postgres":
            made.fates[("database", moved.name)] = fate
            del made.fates[("database", resource.name)]
            if one.more == "newer":
                made.upgrade(("database", moved.name), ("login", claim.identity))
    if one.more == "back":
        made.create(project, sandbox.claim(project, "postgres"), fate_of_what_came_back(made.world))


def _neighbour(made: Made) -> None:
    """Another project's things: of a branch, of a dead run, in quarantine since long ago; and its state folder."""
    name, memory = made.world.neighbour, made.root / "neighbour"
    for namespace_name, environment, more in (("x", "dev", {}), ("x", "test", {"lease": "deadbeef0123"})):
        claim = claim_of(name, namespace_name, environment, memory, **more)  # type: ignore[arg-type]
        made.create(made.desk, claim, "stays")
        if made.s3 and environment == "dev":
            made.create(made.desk, claim, "stays", "s3")
    access = made.create(made.desk, claim_of(name, "old", "dev", memory), "stays")
    notes = {"until": "2020-01-01T00:00:00+00:00"}
    services.get("postgres").quarantine(made.address("postgres"), access.resources[0], notes=notes)
    made.fates = {key: fate for key, fate in made.fates.items() if key not in keys_of(access)}
    folder = state.folder(made.desk.home.with_name(name) / "runs" / f"{name}_test_x")
    state.write(folder / residue.RECORD, {"id": "deadbeef0123"})
    made.kept.add(folder.parent.parent)


def keys_of(access: object) -> set[tuple[str, str]]:
    """What of an access is called otherwise now."""
    resources = getattr(access, "resources", ())
    return {("database", one.name) for one in resources if one.kind == "database"}


def _stranger(made: Made, one: Stranger) -> None:
    """By hand; a name that is taken or that the server refuses is none."""
    record = _record(made, one)
    with suppress(psycopg.Error, S3Error, ValueError):
        if one.kind == "bucket":
            _foreign_bucket(made, one.name, record)
        elif one.kind == "login":
            made.ground.say("CREATE ROLE {} LOGIN", one.name)
            _comment(made, "COMMENT ON ROLE {} IS {}", one.name, record)
        else:
            half = f" ALLOW_CONNECTIONS false CONNECTION LIMIT {UNFINISHED}" if one.record == "half made" else ""
            made.ground.say(f"CREATE DATABASE {{}} STRATEGY file_copy{half}", one.name)
            _comment(made, "COMMENT ON DATABASE {} IS {}", one.name, record)


def _comment(made: Made, statement: str, name: str, record: str) -> None:
    if record:
        made.ground.say(statement, name, text=record)


def _record(made: Made, one: Stranger) -> str:
    """What stands with it. A whole record of ours would make it ours, with `--all`."""
    project = made.world.project
    whole = owners.to_text(owner(project, "zz", "test", lease="feedbeef0123"))
    nobody = owners.to_text(owner(project, "zz"))
    expired = owners.to_text(owner(project, "zz", notes={"kind": "quarantine", "until": "2020-01-01T00:00:00+00:00"}))
    texts = {
        "by hand": "the billing archive, do not touch",
        "broken": whole[:-5],
        "newer": newer(whole),
        "not an object": "[]",
        "another project": owners.to_text(owner(made.world.neighbour, "zz", "test", lease="feedbeef0123")),
        "another namespace": whole,
        "another host's": expired if made.world.engine == "external" else "[]",
        "no such checkout": "[]" if made.world.everything else nobody,
        "a private kind": "[]" if made.world.everything else owners.to_text(
            owner(project, "zz", notes={"kind": "template"})
        ),
    }  # fmt: skip
    return texts.get(one.record, "")


def _foreign_bucket(made: Made, name: str, record: str) -> None:
    made.ground.s3.make_bucket(name)
    made.ground.put(name, "precious")
    if record:
        tags = Tags.new_bucket_tags()
        packed = base64.urlsafe_b64encode(zlib.compress(record.encode(), 9)).decode()
        tags.update({"envctl.0": packed[:250], "envctl.1": packed[250:]} if record.startswith("{") else {"team": "us"})
        made.ground.s3.set_bucket_tags(name, tags)


def _whole_state(made: Made, main: Path) -> None:
    """What is of the world and of none of its parts."""
    world = made.world
    if world.someone:
        made.living(made.ground.holders.lock(state.root(), made.home / "leases" / "someone"))
    if world.links:
        _links(made)
    if world.primary and world.repository == "whole":  # Its branch is gone; no evidence releases the bare names.
        git(main, "switch", "-q", "--detach")
        git(main, "update-ref", "-d", "refs/heads/main")
    if world.repository in ("gone", "made again"):
        shutil.rmtree(main)
    if world.repository == "made again":
        repository(made, "main")
    elif world.repository == "fetched in part":
        fetches(main, "+refs/heads/main:refs/remotes/origin/main")
    elif world.repository == "broken HEAD":
        (main / ".git" / "HEAD").write_text("nothing\n")
    elif world.repository.startswith("no "):
        shutil.rmtree(main / ".git" / world.repository.removeprefix("no "))


def _links(made: Made) -> None:
    """Ways out of the state folder, to where nothing may be touched."""
    home, victim = made.desk.home, made.root / "victim"
    (state.folder(home / "runs") / f"{made.world.project}_test_linked").symlink_to(victim)
    (state.folder(made.home / "leases") / "linked").symlink_to(victim / "precious")
    for name in made.names:
        (state.folder(home / "quarantined") / name).symlink_to(victim / "new")
