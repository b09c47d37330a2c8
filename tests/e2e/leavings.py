"""What is still there after runs: asked of the servers and of the file system themselves, not of envctl's own book."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
from checkouts import Envctl

from envctl import libpq, locks
from envctl.model import Address

LEFT = r"""
    SELECT 'database ' || datname FROM pg_database
     WHERE datname !~ '__[tp]_' AND datname NOT IN ('postgres', 'template0', 'template1')
     UNION ALL
    SELECT 'role ' || rolname FROM pg_roles WHERE rolname !~ '^pg_|_owner$|^postgres$'
"""
OURS = ("pytest", "envctl.testing", "envctl.keeper", "test", "run")
"""Words in the command lines of processes that belong to a run."""
MAKING = ".making"
"""The one lock in the folder of runs that is nobody's."""


def leavings(envctl: Envctl, place: Path) -> list[str]:
    """What a run left on servers, in the folder of runs, and of processes; nobody's where there is nothing."""
    return [*_folders(envctl), *_resources(envctl), *_processes(envctl)]


def settled(envctl: Envctl, place: Path, seconds: float = 30.0) -> None:
    """Wait until all work in the background has come to its end, and nothing is left."""
    deadline = time.monotonic() + seconds
    while found := _folders(envctl) or _at_work(envctl) or leavings(envctl, place):
        assert time.monotonic() < deadline, found
        time.sleep(0.03)


def litter(envctl: Envctl) -> list[str]:
    """Of no use to any run: half-written files, dead leases, sockets, and ports of servers that are gone."""
    files = [path for path in envctl.state.rglob("*") if path.name != MAKING]
    hidden = [path for path in files if path.name.startswith(".")]
    dead = [path for path in files if path.parent.name in ("leases", "bookings") and not locks.held(path)]
    names = {str(path.relative_to(envctl.state)) for path in (*hidden, *dead, *filter(Path.is_socket, files))}
    return sorted(names) + [key for key in _ports(envctl) if not Path(key.partition(":")[0]).exists()]


def _ports(envctl: Envctl) -> list[str]:
    """The servers that have one booked, by their state folders."""
    book = envctl.state / "ports.json"
    return [key for key in json.loads(book.read_text())["ports"] if key.startswith("/")] if book.exists() else []


def _folders(envctl: Envctl) -> list[str]:
    """Runs, published or not, with all that is in their folders: sockets, claims."""
    return [path.name for path in envctl.state.glob("projects/*/runs/*") if path.name != MAKING]


def _at_work(envctl: Envctl) -> list[str]:
    """What goes on in the background, and ends by itself."""
    files = (*envctl.state.glob("projects/*/recovery.lock"), *envctl.state.glob("projects/*/*/upkeep.lock"))
    return [f"{path.name} is held" for path in files if locks.held(path)]


def _resources(envctl: Envctl) -> list[str]:
    """Everything but templates, ready clones and the group; on every server that answers."""
    found: list[str] = []
    for record in envctl.state.glob("projects/*/*/servers.json"):
        content = json.loads(record.read_text())
        for name, server in content["servers"].items() if content["ready"] else ():
            found += ON[name](Address(**server["address"]))
    return found


def _in_postgres(address: Address) -> list[str]:
    place: dict[str, Any] = {"host": address.host, "port": address.port, "dbname": "postgres"}
    with libpq.connect(**place, user=address.user, password=address.password) as connection:
        return [row[0] for row in connection.execute(LEFT).fetchall()]


def _in_s3(address: Address) -> list[str]:
    from envctl.services.s3.wire import connected, signed

    form = {"Action": "ListUsers", "Version": "2010-05-08"}
    users = signed(address, address.user, address.password, service="iam", form=form).text.split("<UserName>")[1:]
    with connected(address) as client:
        buckets = [f"bucket {one.name}" for one in client.list_buckets()]
    return [*buckets, *(f"s3 user {one.partition('<')[0]}" for one in users if one.startswith("envctl-"))]


def _in_redis(address: Address) -> list[str]:
    from envctl.services.redis.wire import connected

    with connected(address) as client:
        users = [one for one in client.acl_users() if one not in ("default", address.user)]
        return [f"redis {one}" for one in (*users, *client.hkeys("envctl:registry"), *_used(client))]


def _used(client: Any) -> Iterator[str]:
    """The numbers that have keys, but for the administrator's own."""
    return (one for one in client.info("keyspace") if one != "db0")


ON = {"postgres": _in_postgres, "s3": _in_s3, "redis": _in_redis}


def _processes(envctl: Envctl) -> list[str]:
    """What of a run still lives; servers and their watchers may."""
    found = []
    for process in envctl.processes():
        with suppress(psutil.Error):
            words = process.cmdline()
            if any(word in OURS or "envctl.keeper" in word for word in words):
                found.append(" ".join(words))
    return found
