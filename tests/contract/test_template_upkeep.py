"""What becomes of old templates, and of servers that are not quite ours."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from postgres_ground import ask, connect, names
from psycopg import sql
from service_ground import Servers, serving, settings_for
from templates_ground import Shop, rows, shop, tables, tables_of

from envctl import services, templates
from envctl.engines.embedded import folders
from envctl.errors import UnavailableError
from envctl.model import Address, Resource
from envctl.services.base import Template
from envctl.services.postgres import copying, sessions
from envctl.templates import upkeep


@pytest.fixture
def address(servers: Servers) -> Iterator[Address]:
    yield servers.address("postgres")
    sessions.close()


@pytest.fixture
def checkout(address: Address, tmp_path: Path) -> Shop:
    made = shop(tmp_path / "one", address, f"shop{secrets.token_hex(3)}")
    made.write(tables(["t1"]))
    return made


def evict(checkout: Shop, limit: int = 0, *, keep: tuple[str, ...] = ()) -> list[str]:
    return templates.evict(checkout.project, checkout.address, "postgres", keep, limit)


def several(checkout: Shop) -> list[Template]:
    """Three templates, each with one ready copy; nobody uses them."""
    made = []
    for name in ("t1", "t2", "t3"):
        checkout.write(tables([name]))
        made.append(checkout.ready().template)
        templates.refill(checkout.project, checkout.address, "postgres", made[-1], 1)
    sessions.close()
    return made


def used(checkout: Shop, template: Template, seconds: float) -> None:
    """As if that had been its last use."""
    (file,) = upkeep.memory(checkout.project).glob(f"used/*/{template.name}")
    os.utime(file, (seconds, seconds))


# eviction


def test_what_was_used_least_goes_first_with_its_copies(checkout: Shop) -> None:
    made = several(checkout)
    for template, seconds in zip(made, (2000, 3000, 1000), strict=True):
        used(checkout, template, seconds)
    found = services.get("postgres").list(checkout.address, checkout.project.config.project)
    total = sum(one.bytes or 0 for one in found if one.kind == "database")
    gone = evict(checkout, total - 1)
    assert gone[0] == made[2].name
    assert len(gone) == 2
    assert evict(checkout, total - 1) == []
    assert {one for one in checkout.kinds() if "__t_" in one} == {made[0].name, made[1].name}


def test_what_is_kept_or_in_use_stays_whatever_the_limit(checkout: Shop) -> None:
    made = several(checkout)
    checkout.remove("t2.sql", "t3.sql")
    assert checkout.ready().template == made[0]
    evict(checkout, keep=(made[1].name,))
    assert {one for one in checkout.kinds() if "__t_" in one} == {made[0].name, made[1].name}
    assert tables_of(checkout.clone(made[0])) == {"revisions", "t1"}


def test_a_template_in_use_is_not_dropped_by_anybody(checkout: Shop) -> None:
    made = checkout.ready().template
    with pytest.raises(UnavailableError, match="in use"):
        services.get("postgres").drop(checkout.address, Resource("postgres", "database", made.name, made.owner))
    sessions.close()
    services.get("postgres").drop(checkout.address, Resource("postgres", "database", made.name, made.owner))
    assert checkout.ready().how == "built"


def test_a_taken_copy_is_nobodys_to_evict(checkout: Shop) -> None:
    made = checkout.ready().template
    templates.refill(checkout.project, checkout.address, "postgres", made, 2)
    taken = checkout.clone(made)
    sessions.close()
    assert len(evict(checkout)) == 2
    assert tables_of(taken) == {"revisions", "t1"}


def test_a_template_that_is_gone_is_said_so_and_built_again(checkout: Shop) -> None:
    made = checkout.ready().template
    sessions.close()
    evict(checkout)
    with pytest.raises(UnavailableError, match="is gone") as caught:
        checkout.clone(made)
    assert caught.value.code == "template_gone"
    assert tables_of(checkout.clone(checkout.ready().template)) == {"revisions", "t1"}


def test_a_strangers_database_with_a_private_name_is_left_alone(checkout: Shop) -> None:
    made = checkout.ready().template
    name = made.name.replace("__t_", "__p_") + "_0123abcd"
    ask(checkout.address, f'CREATE DATABASE "{name}" ALLOW_CONNECTIONS false'.encode())
    checkout.clone(made)
    sessions.close()
    evict(checkout)
    assert ("database", name) in names(checkout.address)
    ask(checkout.address, f'DROP DATABASE "{name}"'.encode())


# sessions that stay


def test_a_session_that_the_server_ended_is_not_used_again(checkout: Shop) -> None:
    made = checkout.ready().template
    ask(
        checkout.address,
        b"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'envctl'",
    )
    assert tables_of(checkout.clone(made)) == {"revisions", "t1"}


def test_a_forked_child_ends_nothing_of_its_parents(checkout: Shop) -> None:
    made = checkout.ready().template
    child = os.fork()
    if not child:
        sessions.close()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    with pytest.raises(UnavailableError, match="in use"):
        services.get("postgres").drop(checkout.address, Resource("postgres", "database", made.name, made.owner))
    assert tables_of(checkout.clone(made)) == {"revisions", "t1"}


# other servers and administrators


@pytest.fixture
def lesser(checkout: Shop) -> Iterator[Shop]:
    """The same checkout with an administrator who may make logins and databases, and is no superuser."""
    user = f"admin_{checkout.project.config.project}"
    ask(checkout.address, f"CREATE ROLE {user} LOGIN CREATEDB CREATEROLE PASSWORD 'long enough'".encode())
    yield replace(checkout, address=replace(checkout.address, user=user, password="long enough"))
    sessions.close()


def test_an_administrator_who_is_no_superuser_can_do_all_of_it(lesser: Shop) -> None:
    made = lesser.ready().template
    templates.refill(lesser.project, lesser.address, "postgres", made, 1)
    one, two = lesser.clone(made, "gw0"), lesser.clone(made, "gw1")
    rows(one, "ALTER TABLE t1 ADD COLUMN more int")
    rows(two, "DROP TABLE t1")
    lesser.write(tables(["t2"]))
    assert lesser.ready().how == "extended"
    for access in (one, two):
        for resource in access.resources:
            services.get("postgres").drop(lesser.address, resource)
    sessions.close()
    evict(lesser)
    assert lesser.names() == set()


def test_an_administrator_without_logins_copies_for_itself(checkout: Shop) -> None:
    user = f"alone_{checkout.project.config.project}"
    ask(checkout.address, f"CREATE ROLE {user} LOGIN CREATEDB PASSWORD 'long enough'".encode())
    alone = replace(checkout, address=replace(checkout.address, user=user, password="long enough"))
    made = alone.ready().template
    templates.refill(alone.project, alone.address, "postgres", made, 1)
    first, second = alone.clone(made, "gw0"), alone.clone(made, "gw1")
    assert first.values["user"] == user
    assert tables_of(first) == tables_of(second) == {"revisions", "t1"}
    for resource in (*first.resources, *second.resources):
        services.get("postgres").drop(alone.address, resource)
    sessions.close()
    evict(alone)
    assert alone.names() == set()
    ask(checkout.address, f"DROP ROLE {user}".encode())


def test_a_durable_server_is_measured_once_for_each_way(servers: Servers, tmp_path: Path) -> None:
    name = f"shop{secrets.token_hex(3)}"
    settings = settings_for("postgres")
    with serving(servers.engine, "postgres", settings, tmp_path / "server", name="dev") as address:
        made = shop(tmp_path / "one", address, name)
        made.write(tables(["t1"]))
        template = made.ready().template
        for number in range(4):
            assert tables_of(made.clone(template, f"gw{number}")) == {"revisions", "t1"}
        assert set(remembered(made, template)) == {"FILE_COPY", "WAL_LOG", *clones(address)}
        sessions.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a file of another file system")
@pytest.mark.parametrize("name", ["dev", "test"])
def test_where_the_disk_cannot_clone_files_the_server_copies_them(
    servers: Servers, tmp_path: Path, name: Literal["dev", "test"]
) -> None:
    if servers.engine != "embedded":
        pytest.skip("a server's files are within reach only where it is embedded")
    settings = settings_for("postgres")
    with serving(servers.engine, "postgres", settings, tmp_path / "server", name=name) as address:
        if not clones(address):
            pytest.skip("this PostgreSQL knows no other way than its own")
        made = shop(tmp_path / "one", address, f"shop{secrets.token_hex(3)}")
        made.write(tables(["t1"]))
        template = made.ready().template
        with foreign_file(address, template, tmp_path):
            for number in range(4):
                assert tables_of(made.clone(template, f"gw{number}")) == {"revisions", "t1"}
        assert remembered(made, template)["clone"] == copying.NEVER
        sessions.close()


def remembered(made: Shop, template: Template) -> dict[str, float]:
    """What is known of copying templates of that size."""
    (file,) = upkeep.memory(made.project).glob("copying/*.json")
    known: dict[str, float] = json.loads(file.read_text())[str((template.bytes >> 20).bit_length())]
    return known


def clones(address: Address) -> list[str]:
    """PostgreSQL's own word for its third way, where it has that."""
    return ["clone"] if ask(address, b"SELECT 1 FROM pg_settings WHERE name = 'file_copy_method'") else []


@contextmanager
def foreign_file(address: Address, template: Template, folder: Path) -> Iterator[None]:
    """One of the template's files lies on another file system: no system call can copy it then."""
    place = "SELECT current_setting('data_directory'), oid FROM pg_database WHERE datname = {}"
    ((data, oid),) = ask(address, sql.SQL(place).format(sql.Literal(template.name)))
    there = Path(data) / "base" / str(oid)
    elsewhere = folder if there.stat().st_dev != folder.stat().st_dev else folders.MEMORY
    with tempfile.NamedTemporaryFile(dir=elsewhere, prefix="envctl-test-") as source:
        Path(source.name).chmod(0o644)
        target = there / "envctl-test"
        target.touch()
        subprocess.run(["mount", "--bind", source.name, str(target)], check=True)
        try:
            yield
        finally:
            subprocess.run(["umount", str(target)], check=True)
            target.unlink()


def test_a_session_of_a_namespace_cannot_enter_a_template(checkout: Shop) -> None:
    made = checkout.ready().template
    access = checkout.clone(made)
    with pytest.raises(Exception, match="not currently accepting connections"):
        connect(checkout.address, made.name, user=access.values["user"], password=access.values["password"])
