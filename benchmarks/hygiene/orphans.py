"""Databases that dead runs left: how long `leaks` looks at them, and `clean` removes them, beside the bare loop."""

from __future__ import annotations

import json
import socket
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, LiteralString

import ground
import psycopg
from figures import Aim, Figure, Report, ratio
from psycopg import sql

from envctl import owners
from envctl.model import Address, Owner

TOGETHER = 4
WORKERS = 25
"""How many workers each dead run had."""


def measure(folder: Path, rounds: int, count: int, report: Report) -> None:
    """In turn: those of runs that have ended, those of runs that are dead on record, and the same many by hand."""
    samples: dict[str, list[float]] = {"leaks": [], "ended": [], "dead": [], "loop": [], "logins": []}
    with ground.opened(folder, ground.POSTGRES) as place:
        place("run", "--", "true")  # From here on the tests' servers are up, and stay so for a while.
        for number in range(rounds):
            for kind in ("ended", "dead"):
                orphaned(place, count, number, kind)
                if kind == "ended":
                    samples["leaks"].append(audited(place, 2 * count))
                seconds, _ = place.timed("clean")
                left = [name for name in there(place.address) if "_test_" in name]
                if left:
                    sys.exit(f"error: {len(left)} databases are still there")
                samples[kind].append(seconds)
            dropped = by_hand(place.address, count)
            samples["loop"].append(dropped[0])
            samples["logins"].append(sum(dropped))
            told = ", ".join(f"{name} {found[-1]:.2f} s" for name, found in samples.items())
            print(f"  orphans: {told}", flush=True)
        report.servers["envctl"] = settings(place.address)
    tell(samples, count, report)


def orphaned(place: ground.Ground, count: int, number: int, kind: str) -> None:
    """Databases with their logins and records, as runs make them. An empty one has eight MB."""
    lease = {at: f"{number:04x}{kind}{at // WORKERS:04x}" for at in range(count)}
    if kind == "dead":
        for at in range(0, count, WORKERS):
            on_record(place, lease[at], f"r{at // WORKERS}")

    def one(at: int) -> None:
        namespace = f"r{at // WORKERS}"
        name = f"ledger_test_{namespace}_gw{at % WORKERS}"
        made = datetime.now(UTC).isoformat()
        text = Owner(
            "ledger", "test", namespace, "/gone", "", socket.gethostname(), made, f"gw{at % WORKERS}", lease[at]
        )
        with connected(place.address) as connection:
            record = owners.to_text(text)
            say(connection, "CREATE ROLE {} LOGIN", name)
            say(connection, "COMMENT ON ROLE {} IS {}", name, record)
            say(connection, "CREATE DATABASE {} OWNER {} STRATEGY file_copy", name, name)
            say(connection, "COMMENT ON DATABASE {} IS {}", name, record)

    with ThreadPoolExecutor(TOGETHER) as pool:
        list(pool.map(one, range(count)))


def on_record(place: ground.Ground, lease: str, namespace: str) -> None:
    """The folder of a run whose process is gone: nobody has its lock."""
    identity = f"ledger_test_{namespace}"
    folder = place.home / "runs" / identity
    folder.mkdir(parents=True, mode=0o700)
    (folder / "lock").touch(mode=0o600)
    record = {
        "version": 1, "id": lease, "identity": identity, "environment": "test", "namespace": namespace, "slot": 1,
        "workspace": str(place.place), "home": str(place.tests), "engine": "embedded",
        "command": "pytest", "since": datetime.now(UTC).isoformat(), "kept": [],
    }  # fmt: skip
    (folder / "run.json").write_text(json.dumps(record))


def audited(place: ground.Ground, least: int) -> float:
    """`leaks` finds them all."""
    seconds, said = place.timed("leaks", "--json", "--target", "local", codes=(3, 4))
    rows = json.loads(said)["data"]["rows"]
    if len(rows) < least:
        sys.exit(f"error: leaks told of {len(rows)} things")
    return seconds


def by_hand(address: Address, count: int) -> tuple[float, float]:
    """As many databases and logins of nobody's: the seconds of a loop over one session, for each kind."""
    names = [f"by hand {at}" for at in range(count)]

    def one(name: str) -> None:
        with connected(address) as connection:
            say(connection, "CREATE ROLE {} LOGIN", name)
            say(connection, "CREATE DATABASE {} OWNER {} STRATEGY file_copy", name, name)

    with ThreadPoolExecutor(TOGETHER) as pool:
        list(pool.map(one, names))
    with connected(address) as connection:
        return tuple(laps(connection, names))  # type: ignore[return-value]


def laps(connection: psycopg.Connection[Any], names: list[str]) -> Iterator[float]:
    for statement in ("DROP DATABASE {}", "DROP ROLE {}"):
        start = time.perf_counter()
        for name in names:
            say(connection, statement, name)
        yield time.perf_counter() - start


def tell(samples: dict[str, list[float]], count: int, report: Report) -> None:
    names = {
        "leaks": f"leaks --target local, {2 * count} resources",
        "ended": f"clean of {count} databases of ended runs, with their logins",
        "dead": f"clean of {count} databases of dead runs on record, with their logins",
        "loop": f"a loop of {count} DROP DATABASE over one session",
        "logins": "… and of as many DROP ROLE",
    }
    report.figures += [Figure(names[kind], tuple(found)) for kind, found in samples.items()]
    loop, seconds = samples["loop"], Figure("", tuple(samples["leaks"])).median
    note, cost = "of ended runs", "the server's own drops; all in it is judged for the plan, and again in every turn"
    report.aims.append(
        Aim(f"{count} orphaned databases ÷ the DROP loop", 1.5, ratio(samples["ended"], loop), "x", note, cost)
    )
    note, cost = f"{WORKERS} databases each", "each run's servers are held, and what is in them listed before and after"
    report.aims.append(
        Aim(f"{count} of dead runs on record ÷ the DROP loop", 1.5, ratio(samples["dead"], loop), "x", note, cost)
    )
    report.aims.append(Aim(f"leaks, {2 * count} resources", 3, seconds, "s"))


def connected(address: Address) -> psycopg.Connection[Any]:
    login: dict[str, Any] = {"host": address.host, "port": address.port, "user": address.user}
    return psycopg.connect(**login, password=address.password, dbname="postgres", autocommit=True)


def say(connection: psycopg.Connection[Any], statement: LiteralString, *names: str) -> None:
    """One statement; a comment's text is a literal, all else are names."""
    literal = statement.startswith("COMMENT")
    parts = [sql.Literal(one) if literal and at else sql.Identifier(one) for at, one in enumerate(names)]
    connection.execute(sql.SQL(statement).format(*parts))


def there(address: Address) -> list[str]:
    with connected(address) as connection:
        return [str(row[0]) for row in connection.execute("SELECT datname FROM pg_database").fetchall()]


def settings(address: Address) -> dict[str, str]:
    """What the server was told at its start, but for where it is."""
    query = "SELECT name, setting FROM pg_settings WHERE source = 'command line' ORDER BY name"
    with connected(address) as connection:
        found: dict[str, str] = dict(connection.execute(query).fetchall())
    return {name: value for name, value in found.items() if name not in ("port", "data_directory")}
