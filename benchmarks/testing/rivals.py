"""The ways to give 300 tests in four workers their databases: each is a command, and what is before and after it."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import app
import tools
from server import Server

WORKERS = ("gw0", "gw1", "gw2", "gw3")
PYTEST = ("python", "-m", "pytest", "-n", "4", "-q")
IMAGE = "postgres:18"
OURS = ("ENVCTL_", "GIT_", "PYTEST_", "PG", "BENCH_", "COV_")
"""Variables of whoever runs the benchmark that must not reach what is measured."""


def nothing() -> None:
    """For a contender that needs no preparation."""


@dataclass(frozen=True)
class Contender:
    """One way. What `before` and `after` do is outside of the clock."""

    name: str
    server: str
    """Which server it uses, in words."""
    folder: Path
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    before: Callable[[], None] = nothing
    after: Callable[[], None] = nothing
    tests: int = app.TESTS


@dataclass(frozen=True, slots=True)
class Lap:
    """One run: the seconds of all of it, until the first test and after the last one, and of the processors."""

    wall: float
    first: float
    last: float
    cpu: float
    """Of the command and its children; servers are not among them."""


def run(one: Contender, clock: Path) -> Lap:
    """Run it once; anything but green is the end of the benchmark."""
    clock.unlink(missing_ok=True)
    one.before()
    try:
        environment = {**one.environment, "BENCH_CLOCK": str(clock)}
        used, start = cpu(), time.monotonic()
        done = subprocess.run(one.command, cwd=one.folder, env=environment, capture_output=True, text=True, check=False)
        end, used = time.monotonic(), cpu() - used
    finally:
        one.after()
    if done.returncode or f"{one.tests} passed" not in done.stdout:
        raise SystemExit(
            f"error: {one.name} ended with {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        )
    times = [[float(word) for word in line.split()] for line in clock.read_text().splitlines()]
    return Lap(end - start, min(first for first, _ in times) - start, end - max(last for _, last in times), used)


def cpu() -> float:
    """What all children until now have used."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def floor(folder: Path, server: Server) -> Contender:
    """The same pytest with databases that are there: whatever anybody does comes on top of this."""
    made = app.generate(folder, "floor")
    environment = plain(tools.environment(tools.APPLICATION), server.environment("floor"))
    template(made, server, environment)

    def before() -> None:
        for worker in WORKERS:
            server.execute("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY", f"floor_{worker}", "prepared")

    return Contender(
        "prepared databases (the floor)", "by hand", made, PYTEST, environment, before, dropper(server, "floor")
    )


def template(made: Path, server: Server, environment: Mapping[str, str]) -> None:
    """A migrated database on that server, to prepare others from."""
    server.execute("CREATE DATABASE {}", "prepared")
    there = {**environment, "DATABASE_URL": server.url("prepared")}
    subprocess.run(["python", "-m", "alembic", "upgrade", "head"], cwd=made, env=there, check=True)


def dropper(server: Server, name: str) -> Callable[[], None]:
    """Removes the workers' databases, after the clock has stopped."""

    def drop() -> None:
        for worker in WORKERS:
            server.execute("DROP DATABASE {} WITH (FORCE)", f"{name}_{worker}")

    return drop


def in_process(folder: Path, server: Server) -> Contender:
    """Alembic in every worker's own process, from the conftest."""
    made = app.generate(folder, "in_process")
    environment = plain(tools.environment(tools.APPLICATION), server.environment("ledger_test"))
    return Contender("Alembic per worker, from conftest", "by hand", made, PYTEST, environment)


def script(folder: Path, server: Server) -> Contender:
    """A shell script with `alembic upgrade head` for every worker."""
    made = app.generate(folder, "floor")
    shutil.copy(app.FILES / "script.sh", made)
    environment = plain(tools.environment(tools.APPLICATION), server.environment("scripted"))
    return Contender("script: create, alembic per worker", "by hand", made, ("sh", "script.sh"), environment)


def postgresql(folder: Path, server: Server, *, dump: Path | None) -> Contender:
    """pytest-postgresql on a running server, its template loaded by Alembic or from a dump made beforehand."""
    made = app.generate(folder, "postgresql")
    more = {"BENCH_DUMP": str(dump)} if dump else {}
    environment = plain(tools.environment(tools.RIVAL), {**server.environment("rival"), **more})
    how = "a dump" if dump else "Alembic"
    return Contender(f"pytest-postgresql, template from {how}", "by hand", made, PYTEST, environment)


def dump(server: Server, target: Path) -> Path:
    """The migrated schema as SQL, as a team would keep it in its repository."""
    environment = plain(Path("/"), server.environment("prepared"))
    argv = ["pg_dump", "--no-owner", "--inserts", "--restrict-key=bench", "prepared"]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=True)
    # psql's own commands are not for a driver.
    lines = (line for line in done.stdout.splitlines() if not line.startswith("\\"))
    target.write_text("\n".join(lines))
    return target


def containers(folder: Path) -> Contender:
    """testcontainers: its server is part of what is measured, for it starts one for every run."""
    made = app.generate(folder, "containers")
    more = {"BENCH_IMAGE": IMAGE, "TESTCONTAINERS_RYUK_DISABLED": "true"}
    environment = plain(tools.environment(tools.APPLICATION), more)
    return Contender("testcontainers, one server, a template", "its own container", made, PYTEST, environment)


def no_docker() -> str:
    """Why testcontainers cannot run here; empty where it can."""
    try:
        done = subprocess.run(["docker", "image", "inspect", IMAGE], capture_output=True, text=True, check=False)
    except OSError as error:
        return f"docker: {error.strerror}"
    return "" if done.returncode == 0 else done.stderr.strip().splitlines()[-1]


def plain(programs: Path, more: Mapping[str, str]) -> dict[str, str]:
    """The user's environment without what would disturb, with these programs first."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(OURS) and key != "VIRTUAL_ENV"}
    path = os.pathsep.join((str(programs), str(postgres_tools()), kept["PATH"]))
    return {**kept, "PATH": path, "GIT_CONFIG_GLOBAL": os.devnull, **more}


def postgres_tools() -> Path:
    """psql, createdb and the like, of the very PostgreSQL that runs."""
    from envctl.services.postgres import program

    return program.find(()).folder
