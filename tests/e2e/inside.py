"""What the servers themselves say is in them: asked with the administrator's login, not through envctl's lists."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from checkouts import BIN, Envctl

from envctl import libpq
from envctl.model import Address

TEMPLATES = "SELECT datname, oid FROM pg_database WHERE datname ~ '__t_' AND datistemplate AND NOT datallowconn"
DATABASES = "SELECT datname FROM pg_database WHERE datname NOT IN ('postgres', 'template0', 'template1')"
ROLES = "SELECT rolname FROM pg_roles WHERE rolname !~ '^pg_|_owner$|^postgres$'"
FOR_ALL = ("__t_", "__p_")
"""Templates and ready copies are made for whoever comes next."""


def addresses(envctl: Envctl, service: str) -> Iterator[Address]:
    """Where the servers of that kind are, of every set that is up."""
    for record in sorted(envctl.state.glob("projects/*/*/servers.json")):
        content = json.loads(record.read_text())
        if content["ready"] and service in content["servers"]:
            yield Address(**content["servers"][service]["address"])


def sql(address: Address, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
    """The rows of one statement."""
    with libpq.connect(
        host=address.host, port=address.port, user=address.user, password=address.password, dbname=database
    ) as connection:
        return list(connection.execute(statement.encode()).fetchall())


def databases(envctl: Envctl) -> set[str]:
    """The databases that are nobody's template or ready copy."""
    found = {str(row[0]) for one in addresses(envctl, "postgres") for row in sql(one, DATABASES)}
    return {name for name in found if not any(mark in name for mark in FOR_ALL)}


def roles(envctl: Envctl) -> set[str]:
    """The logins, but for the server's own and the project's group."""
    return {str(row[0]) for one in addresses(envctl, "postgres") for row in sql(one, ROLES)}


def templates(envctl: Envctl) -> dict[str, int]:
    """The sealed templates, each with the number that the server gave it: a rebuilt one has another."""
    return {str(name): int(oid) for one in addresses(envctl, "postgres") for name, oid in sql(one, TEMPLATES)}


def buckets(envctl: Envctl) -> set[str]:
    """The buckets, and the users that we made for them."""
    from envctl.services.s3.wire import connected, signed

    found: set[str] = set()
    for one in addresses(envctl, "s3"):
        form = {"Action": "ListUsers", "Version": "2010-05-08"}
        users = signed(one, one.user, one.password, service="iam", form=form).text.split("<UserName>")[1:]
        found |= {f"user {user.partition('<')[0]}" for user in users if user.startswith("envctl-")}
        with connected(one) as client:
            found |= {f"bucket {bucket.name}" for bucket in client.list_buckets()}
    return found


def numbers(envctl: Envctl) -> set[str]:
    """The redis databases with keys in them but the registry's, the logins, and what the registry allots."""
    from envctl.services.redis.wire import connected

    found: set[str] = set()
    for one in addresses(envctl, "redis"):
        with connected(one) as client:
            found |= {f"keys in {name}" for name in client.info("keyspace") if name != "db0"}
            found |= {f"login {name}" for name in client.acl_users() if name != "default"}
            found |= {f"allotted {name}" for name in client.hkeys("envctl:registry")}
    return found


def everything(envctl: Envctl) -> set[str]:
    """All of it, in one set."""
    return databases(envctl) | roles(envctl) | buckets(envctl) | numbers(envctl)


def files(envctl: Envctl) -> set[str]:
    """What stands in the state folder, but for what servers, logs and templates are kept in."""
    found = (path.relative_to(envctl.state) for path in envctl.state.rglob("*") if not path.is_dir())
    kept = {"data", "logs", "plugin", "templates", "run"}
    return {str(path) for path in found if not kept & set(path.parts)}


def started(envctl: Envctl, *words: str, cwd: Path, **env: str) -> subprocess.Popen[str]:
    """A command beside the test, in a session of its own; what it prints is there for `communicate`."""
    envctl("ns", cwd=cwd)  # So that its end is seen to with the others'.
    return subprocess.Popen(
        [BIN / "envctl", *words],
        cwd=cwd,
        env={**envctl.environment, **env},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
