"""A throw-away PostgreSQL for everybody but envctl: in memory, not durable, with the flags of envctl's own."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from envctl import unprivileged
from envctl.model import Address, Command
from envctl.server_set import Place
from envctl.services.postgres import program

MEMORY = Path("/dev/shm")  # noqa: S108
HOST = "127.0.0.1"


@dataclass(frozen=True)
class Server:
    """A running server, and the ways that programs are told of it."""

    address: Address
    log: Path

    def url(self, database: str, driver: str = "postgresql+psycopg") -> str:
        """The URL of one database."""
        one = self.address
        return f"{driver}://{one.user}:{one.password}@{one.host}:{one.port}/{database}"

    def environment(self, database: str) -> dict[str, str]:
        """What a program needs to find that database, and PostgreSQL's own tools the server."""
        one = self.address
        return {
            "DATABASE_URL": self.url(database),
            "PGHOST": one.host,
            "PGPORT": str(one.port),
            "PGUSER": one.user,
            "PGPASSWORD": one.password,
        }

    def execute(self, statement: LiteralString, *names: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """One statement outside of a transaction; {} are names."""
        with connect(self.address, database) as connection:
            cursor = connection.execute(composed(statement, *names))
            return list(cursor.fetchall()) if cursor.description else []

    def settings(self) -> dict[str, str]:
        """What differs from PostgreSQL's defaults."""
        return settings(self.address)


def composed(statement: LiteralString, *names: str) -> sql.Composed:
    """A statement in which {} are names."""
    return sql.SQL(statement).format(*map(sql.Identifier, names))


def connect(address: Address, database: str) -> psycopg.Connection[tuple[Any, ...]]:
    """A connection of the administrator."""
    return psycopg.connect(
        host=address.host,
        port=address.port,
        user=address.user,
        password=address.password,
        dbname=database,
        autocommit=True,
    )


def settings(address: Address) -> dict[str, str]:
    """What a server was told at its start, but for where it is."""
    query = "SELECT name, setting FROM pg_settings WHERE source = 'command line' ORDER BY name"
    with connect(address, "postgres") as connection:
        found = dict(connection.execute(query).fetchall())
    return {name: value for name, value in found.items() if name not in ("port", "data_directory")}


@contextmanager
def serving() -> Iterator[Server]:
    """A new server, gone without a trace after the block."""
    folder = Path(tempfile.mkdtemp(prefix="envctl-bench-", dir=MEMORY if MEMORY.is_dir() else None))
    process = None
    try:
        place = Place(folder / "data", Address(HOST, port(), "postgres", secrets.token_hex(16)), (), durable=False)
        process, server = start(place, folder / "log")
        yield server
    finally:
        if process is not None:
            process.send_signal(2)
            process.wait()
        shutil.rmtree(folder)


def start(place: Place, log: Path) -> tuple[subprocess.Popen[bytes], Server]:
    """Make the data folder and start; the process and its address, once it answers."""
    binaries = program.find(())
    place = Place(place.data, place.address, (place.address.port,), durable=False)
    way = unprivileged.way(program.program(binaries))
    place.data.mkdir()
    unprivileged.give(way, place.data)
    with log.open("wb") as file:
        for command in program.init(binaries, place):
            run(unprivileged.wrap(way, command), file)
        serve = unprivileged.wrap(way, program.serve(binaries, place, {}))
        process = subprocess.Popen(serve.argv, env={**os.environ, **serve.env}, stdout=file, stderr=file)
    server = Server(place.address, log)
    until_ready(process, server)
    return process, server


def run(command: Command, file: Any) -> None:
    """One command to its end, with what it reads as stdin."""
    done = subprocess.run(
        command.argv, env={**os.environ, **command.env}, input=(command.stdin or "").encode(), stdout=file, stderr=file
    )
    if done.returncode:
        raise SystemExit(f"error: {command.argv[0]} ended with {done.returncode}\n{Path(file.name).read_text()}")


def until_ready(process: subprocess.Popen[bytes], server: Server) -> None:
    """Ask until it answers; one that has ended is an error."""
    while True:
        try:
            connect(server.address, "postgres").close()
            return
        except psycopg.OperationalError:
            if process.poll() is not None:
                raise SystemExit(f"error: the server did not start\n{server.log.read_text()}") from None
            time.sleep(0.005)


def port() -> int:
    """A port that is free now."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        return int(listener.getsockname()[1])
