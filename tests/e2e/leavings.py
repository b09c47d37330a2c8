"""What is still there after runs: asked of the servers and of the file system themselves, not of envctl's own book."""

from __future__ import annotations

import json
import time
from pathlib import Path

from checkouts import Envctl

from envctl import libpq

LEFT = r"""
    SELECT 'database ' || datname FROM pg_database
     WHERE datname !~ '__[tp]_' AND datname NOT IN ('postgres', 'template0', 'template1')
     UNION ALL
    SELECT 'role ' || rolname FROM pg_roles WHERE rolname !~ '^pg_|_owner$|^postgres$'
"""


def leavings(envctl: Envctl, place: Path) -> list[str]:
    """Databases, logins, run folders and processes that a run left; nobody's where there are none."""
    return [*_folders(envctl), *_databases(envctl), *_processes(envctl)]


def settled(envctl: Envctl, place: Path, seconds: float = 30.0) -> None:
    """Wait until recovery in the background has come to its end, and nothing is left."""
    deadline = time.monotonic() + seconds
    while found := leavings(envctl, place):
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


def _folders(envctl: Envctl) -> list[str]:
    return [path.name for path in envctl.state.glob("projects/*/runs/*") if not path.name.startswith(".")]


def _databases(envctl: Envctl) -> list[str]:
    """Everything but templates, ready clones and the group; on every server that answers."""
    found: list[str] = []
    for record in envctl.state.glob("projects/*/*/servers.json"):
        server = json.loads(record.read_text())["servers"].get("postgres")
        if server is None or not json.loads(record.read_text())["ready"]:
            continue
        address = server["address"]
        with libpq.connect(
            host=address["host"],
            port=address["port"],
            user=address["user"],
            password=address["password"],
            dbname="postgres",
        ) as connection:
            rows = connection.execute(LEFT).fetchall()
        found += [row[0] for row in rows]
    return found


def _processes(envctl: Envctl) -> list[str]:
    """What of a run still lives; servers and their watchers may."""
    words = [process.cmdline() for process in envctl.processes()]
    ours = ("pytest", "envctl.testing", "envctl.keeper", "test", "run")
    return [" ".join(one) for one in words if any(word in ours or "envctl.keeper" in word for word in one)]
