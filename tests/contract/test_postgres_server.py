"""The PostgreSQL server that envctl runs as a process: what it listens to, writes down and keeps."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Literal

import psycopg
import pytest
from postgres_ground import ask, connect
from service_ground import serving

from envctl.errors import EnvctlError
from envctl.model import Address, Claim, Owner
from envctl.services.postgres import SERVICE, Settings
from envctl.services.postgres import program as postgres_program


@contextmanager
def server(home: Path, name: Literal["dev", "test"] = "test", **settings: str) -> Iterator[Address]:
    with serving("embedded", "postgres", Settings(settings=settings), home, name=name) as address:
        yield address


def claim(home: Path, secret: str) -> Claim:
    owner = Owner("shop", "test", "one", "/home/dev/one", "main", "laptop", "2026-01-02T03:04:05Z")
    return Claim(owner, "shop_test_one", {"database": "shop_test_one"}, secret, home)


def show(address: Address, setting: str) -> str:
    return str(ask(address, f"SHOW {setting}".encode())[0][0])


def test_no_secret_reaches_a_log_that_writes_down_every_statement(tmp_path: Path) -> None:
    secret = secrets.token_hex(16)
    with server(tmp_path, log_statement="all", log_min_messages="debug1") as address:
        for password in (secret, f"{secret}-new"):
            access = SERVICE.create(address, Settings(), claim(tmp_path, password))
        with suppress(EnvctlError):
            SERVICE.create(address, Settings(extensions=("teleport",)), claim(tmp_path, secret))
        with psycopg.connect(access.values["url"], password=secret) as session:
            session.execute("SELECT 1")
        SERVICE.drop(address, access.resources[0])
        log = "".join(file.read_text() for file in tmp_path.rglob("postgres.log*"))
    assert "CREATE ROLE" in log
    assert secret not in log
    assert address.password not in log


def test_the_project_s_own_settings_win(tmp_path: Path) -> None:
    with server(tmp_path, wal_level="logical", max_connections="33", fsync="on") as address:
        found = {name: show(address, name) for name in ("wal_level", "max_connections", "fsync")}
        ask(address, b"SELECT pg_create_logical_replication_slot('changes', 'pgoutput')")
    assert found == {"wal_level": "logical", "max_connections": "33", "fsync": "on"}


def test_the_server_is_reached_on_loopback_with_a_password_and_by_no_other_way(tmp_path: Path) -> None:
    with server(tmp_path) as address:
        assert (show(address, "listen_addresses"), show(address, "unix_socket_directories")) == ("127.0.0.1", "")
        for password in ("", "guess"):
            with pytest.raises(psycopg.OperationalError):
                connect(replace(address, password=password), passfile="/dev/null")


def test_a_throw_away_server_skips_what_only_durability_needs_and_a_durable_one_does_not(tmp_path: Path) -> None:
    found = {}
    for name in ("dev", "test"):
        with server(tmp_path / name, name) as address:
            found[name] = [
                show(address, one) for one in ("fsync", "full_page_writes", "synchronous_commit", "timezone")
            ]
    assert found == {"dev": ["on", "on", "on", "UTC"], "test": ["off", "off", "off", "UTC"]}


def test_text_sorts_the_same_on_every_machine(tmp_path: Path) -> None:
    with server(tmp_path) as address:
        rows = ask(address, "SELECT string_agg(x, '' ORDER BY x), upper('é') FROM unnest('{b,A,a,B,é}'::text[]) x")
    assert rows == [("ABabé", "É")]


def test_this_machine_s_own_postgres_serves_what_the_wheel_lacks(tmp_path: Path) -> None:
    system = [one for one in postgres_program.candidates() if one.system and not one.lacks(["pgcrypto"])]
    if not system:
        pytest.skip("this machine has no PostgreSQL of its own with pgcrypto")
    settings = Settings(extensions=("pgcrypto",))
    with serving("embedded", "postgres", settings, tmp_path) as address:
        assert SERVICE.check(address).startswith(f"{system[0].major}.")
        access = SERVICE.create(address, settings, claim(tmp_path, "secret"))
        with psycopg.connect(access.values["url"]) as session:
            session.execute("CREATE TABLE hashed AS SELECT digest('x', 'sha256')")
            session.execute("DROP SCHEMA public CASCADE")
        SERVICE.drop(address, access.resources[0])
        assert SERVICE.list(address, "shop") == []


def test_a_number_that_another_program_has_since_a_reboot_does_not_keep_the_server_down(tmp_path: Path) -> None:
    with server(tmp_path, "dev") as address:
        ask(address, b"CREATE TABLE kept ()")
        folder = Path(str(ask(address, b"SHOW data_directory")[0][0]))
        lines = (folder / "postmaster.pid").read_text().splitlines()
    (folder / "postmaster.pid").write_text("\n".join([str(os.getppid()), *lines[1:]]) + "\n")
    with server(tmp_path, "dev") as address:
        assert ask(address, b"SELECT count(*) FROM kept") == [(0,)]
