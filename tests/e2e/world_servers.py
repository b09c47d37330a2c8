"""The servers that all worlds share, and everything that is on them by their own word."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest
from holding import Holders, holders
from minio import Minio
from psycopg import sql

from envctl import engines, services
from envctl.model import Address
from envctl.server_set import Need, Running, ServerSet
from envctl.services.s3 import identities
from envctl.services.s3.wire import signed

Key = tuple[str, str]
Listing = Mapping[Key, Any]
"""Everything there, by kind and name, with all that tells it from another of its name."""

DATABASES = """
    SELECT d.datname, d.oid, r.rolname, d.datallowconn, d.datistemplate, d.datconnlimit, d.datacl::text,
           shobj_description(d.oid, 'pg_database')
      FROM pg_database d JOIN pg_roles r ON r.oid = d.datdba
"""
LOGINS = """
    SELECT rolname, oid, rolsuper, rolcreatedb, rolcanlogin, rolpassword, shobj_description(oid, 'pg_authid')
      FROM pg_authid WHERE NOT starts_with(rolname, 'pg_')
"""
USER = re.compile("<UserName>(envctl-[^<]+)</UserName>")


@dataclass(frozen=True)
class Ground:
    """One PostgreSQL, one S3, and whoever holds things. The server gives each database a number once: a marker."""

    running: Running
    admin: psycopg.Connection[tuple[Any, ...]]
    s3: Minio
    holders: Holders
    folder: Path

    @property
    def postgres(self) -> Address:
        return self.running.servers["postgres"].address

    @property
    def store(self) -> Address:
        return self.running.servers["s3"].address

    def say(self, statement: LiteralString, *names: str, text: str | None = None) -> None:
        """One statement, with names for its {} and a text for its last."""
        parts: list[sql.Composable] = [sql.Identifier(name) for name in names]
        self.admin.execute(sql.SQL(statement).format(*parts, *([] if text is None else [sql.Literal(text)])))

    def listing(self, *, s3: bool) -> dict[Key, Any]:
        """All of it."""
        found: dict[Key, Any] = {("database", row[0]): row[1:] for row in self.admin.execute(DATABASES).fetchall()}
        found |= {("login", row[0]): row[1:] for row in self.admin.execute(LOGINS).fetchall()}
        if s3:
            found |= {("bucket", one.name): self._bucket(one.name) for one in self.s3.list_buckets()}
            found |= {("user", name): self._policy(name) for name in self.users()}
        return found

    def users(self) -> list[str]:
        """Those that envctl has made."""
        return USER.findall(self._iam("ListUsers"))

    def upgrade(self, kind: str, name: str) -> None:
        """Its record becomes one that a newer envctl has written."""
        catalogue = "pg_database" if kind == "database" else "pg_authid"
        column = "datname" if kind == "database" else "rolname"
        asked: LiteralString = "SELECT shobj_description(oid, {}) FROM {} WHERE {} = {}"
        query = sql.SQL(asked).format(catalogue, sql.Identifier(catalogue), sql.Identifier(column), name)
        (record,) = self.admin.execute(query).fetchone() or ("",)
        said: LiteralString = "COMMENT ON DATABASE {} IS {}" if kind == "database" else "COMMENT ON ROLE {} IS {}"
        self.say(said, name, text=newer(record))

    def clear(self, before: Listing, *, s3: bool) -> None:
        """Everything goes that was not there before the world was made."""
        for kind, name in sorted(self.listing(s3=s3).keys() - before.keys()):
            if kind == "database":
                self.say("DROP DATABASE {} WITH (FORCE)", name)
            if kind == "bucket":
                for one in self.s3.list_objects(name, recursive=True):
                    self.s3.remove_object(name, str(one.object_name))
                self.s3.remove_bucket(name)
            if kind == "user":
                identities.revoke(self.store, name.removeprefix("envctl-"))
        for name in sorted(name for kind, name in self.listing(s3=False).keys() - before.keys() if kind == "login"):
            with suppress(psycopg.errors.UndefinedObject):
                self.say("DROP ROLE {}", name)

    def put(self, bucket: str, text: str) -> None:
        """An object, so that it is seen whether a bucket is what it was."""
        self.s3.put_object(bucket, "marker", io.BytesIO(text.encode()), len(text.encode()))

    def _bucket(self, name: str) -> Any:
        tags = dict(self.s3.get_bucket_tags(name) or {})
        return tags, [(one.object_name, one.etag, one.size) for one in self.s3.list_objects(name, recursive=True)]

    def _policy(self, user: str) -> Any:
        found = re.search("<PolicyDocument>(.*?)</PolicyDocument>", self._iam("GetUserPolicy", user), re.DOTALL)
        return found[1] if found else ""

    def _iam(self, action: str, user: str = "") -> str:
        asked = {"UserName": user, "PolicyName": "envctl"} if user else {}
        form = {"Action": action, "Version": "2010-05-08", **asked}
        return signed(self.store, self.store.user, self.store.password, service="iam", form=form).text


@contextmanager
def serving(folder: Path) -> Iterator[Ground]:
    """All of it started, and ended after the block."""
    kinds = {"postgres": services.get("postgres").settings(), "s3": services.get("s3").settings()}
    needs = {name: Need(services.get(name), settings) for name, settings in kinds.items()}
    asked = ServerSet("worlds", "test", "embedded", folder / "set", needs, folder, idle=0)
    book: list[Running] = []
    engine = engines.get("embedded")
    with ExitStack() as stack:
        with _at_home(folder):
            stack.callback(lambda: engine.stop(book[-1], _silent) if book else None)
            running = engine.start(asked, None, book.append, _silent)
        one, store = running.servers["postgres"].address, running.servers["s3"].address
        login: dict[str, Any] = {"host": one.host, "port": one.port, "user": one.user, "password": one.password}
        admin = stack.enter_context(psycopg.connect(**login, dbname="postgres", autocommit=True))
        client = Minio(f"{store.host}:{store.port}", store.user, store.password, secure=False, region="us-east-1")
        yield Ground(running, admin, client, stack.enter_context(holders()), folder)


@contextmanager
def _at_home(folder: Path) -> Iterator[None]:
    """With a state folder that is the servers' own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ENVCTL_STATE_DIR", str(folder / "state"))
        yield


def files(folder: Path) -> dict[str, str]:
    """Everything in a folder, by its path: what it says, or where it leads."""
    found = sorted(folder.rglob("*"))
    return {str(one.relative_to(folder)): _content(one) for one in found}


def newer(record: str) -> str:
    """The same record as the next version of envctl might write it."""
    return json.dumps({**json.loads(record), "envctl": 2, "more": {"nested": []}}, separators=(",", ":"))


def _content(path: Path) -> str:
    if path.is_symlink():
        return f"→ {path.readlink()}"
    return "" if path.is_dir() else path.read_bytes().hex()


def _silent(_: str) -> None:
    """What engines say while they work is not of interest here."""
