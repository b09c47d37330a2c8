"""One template in the making. Its builder holds the server's lock for it on the session that all of this runs on."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from envctl import owners
from envctl.model import Access, Address, Claim, Owner, Resource
from envctl.services.base import Template
from envctl.services.ownership import owned_by
from envctl.services.postgres import clone, create, drop, link, private, records, sessions
from envctl.services.postgres.records import SERVICE
from envctl.values import dataclass

if TYPE_CHECKING:
    from envctl.services.postgres import Settings
    from envctl.services.postgres.link import Connection
    from envctl.services.postgres.records import Database, Role

_RELATIONS = "SELECT count(*) FROM pg_class WHERE oid >= 16384 AND relkind IN ('r', 'p', 'i', 'I', 'm', 'S', 't')"
_MEASURED = """
    SELECT pg_database_size(d.oid),
           (SELECT setconfig FROM pg_db_role_setting WHERE setdatabase = d.oid AND setrole = 0)
      FROM pg_database d WHERE d.datname::text = %s
"""


@dataclass(frozen=True, slots=True)
class Site:
    """Where one template is built, by us alone."""

    address: Address
    connection: Connection
    project: str
    digest: str
    memory: Path

    @property
    def _draft(self) -> str:
        """The draft's name, and that of its login, which has nothing else."""
        return records.legal(private.draft(self.project, self.digest))

    def draft(self, settings: Settings, owner: Owner, ancestor: Template | None) -> Access:
        """An empty database or a copy, open to a login that only this build knows the password of."""
        self.abandon()
        claim = Claim(
            owner=replace(owner, notes={"kind": "draft", "digest": self.digest}),
            identity=self._draft,
            names={"database": self._draft},
            secret=os.urandom(20).hex(),
            memory=self.memory,
        )
        if ancestor is not None:
            return clone.clone(self.address, claim, ancestor, superuser=settings.superuser, memory=self.memory)
        return create.create(self.address, claim, extensions=settings.extensions, superuser=settings.superuser)

    def publish(self, owner: Owner) -> Template:
        """Give all to the group, let nobody in any more, and then name, seal and record it in one step."""
        name = records.legal(private.template(self.project, self.digest))
        login = records.role(self.connection, self._draft)
        if login is not None:
            self._remove_all_of(login, but=self._draft)  # A template is one database; others that it made are nobody's.
        relations = self._hand_over(login.name) if login is not None else 0
        drop.end_sessions(self.connection, self._draft)
        measured = {"relations": str(relations), **self._measured()}
        owner = replace(owner, notes={**owner.notes, "digest": self.digest, **measured})
        former, retired = self._former(name), private.retired(self.project, self.digest)
        with self.connection.transaction():
            if former is not None:
                create.rename(self.connection, name, retired)
            create.rename(self.connection, self._draft, name)
            create.say(self.connection, "ALTER DATABASE {} ALLOW_CONNECTIONS false IS_TEMPLATE true", name)
            records.write(self.connection, "DATABASE", name, owner)
        if login is not None:
            self._drop_login(login)
        if former is not None:
            drop.drop_database(self.connection, Resource(SERVICE, "database", retired, former.owner), "end")
        with sessions.reused(self.address) as connection:
            sessions.hold(connection, name)
        return Template(SERVICE, name, owner)

    def abandon(self) -> None:
        """Remove the draft, whatever else its login made, and the login: nobody else can be at work on them now."""
        login = records.role(self.connection, self._draft)
        if login is not None:
            self._remove_all_of(login)
        left = records.database(self.connection, self._draft)
        if left is not None:
            self._remove(left)
        if login is not None:
            self._drop_login(login)

    def _remove_all_of(self, login: Role, *, but: str = "") -> None:
        """The login's record explains each of its databases, also one whose comment a migration changed."""
        if not (owned_by(login.owner, self.project) and login.owner and login.owner.notes.get("kind") == "draft"):
            raise create.taken("role", login.name, login.owner)
        for one in records.belonging_to(self.connection, login.oid):
            if one.name == but:
                continue
            records.write(self.connection, "DATABASE", one.name, login.owner)
            self._remove(replace(one, comment=owners.to_text(login.owner)))

    def _remove(self, found: Database) -> None:
        owner = found.owner
        if not (owned_by(owner, self.project) and owner and owner.notes.get("kind") == "draft"):
            raise create.taken("database", found.name, owner)
        drop.drop_database(self.connection, Resource(SERVICE, "database", found.name, owner), "end")

    def _hand_over(self, login: str) -> int:
        """All that the login made belongs to the group from now on, and nothing names the login any more.

        Returns how many tables, indexes and the like there are: so many locks a session may come to hold.
        """
        from psycopg import sql

        words = {"login": sql.Identifier(login), "group": sql.Identifier(records.group_name(self.project))}
        statements = "REASSIGN OWNED BY {login} TO {group}; DROP OWNED BY {login}"
        with link.admin(self.address, self._draft) as inside:
            inside.execute(sql.SQL(statements).format(**words))
            row = inside.execute(_RELATIONS).fetchone()
        return int(row[0]) if row else 0

    def _drop_login(self, login: Role) -> None:
        drop.drop_login_of(self.connection, Resource(SERVICE, "database", self._draft, login.owner), login.name)

    def _former(self, name: str) -> Database | None:
        """The template that has the name already, for `--from-scratch`; the rest of a half-dropped one goes at once."""
        found = records.database(self.connection, name)
        if found is None:
            return None
        if not owned_by(found.owner, self.project):
            raise create.taken("database", name, found.owner)
        if found.whole:
            return found
        drop.drop_database(self.connection, Resource(SERVICE, "database", name, found.owner), "end")
        return None

    def _measured(self) -> dict[str, str]:
        """Its size, and what a migration set for this database: CREATE DATABASE copies no such settings."""
        row = self.connection.execute(_MEASURED, (self._draft,)).fetchone()
        size, settings = row or (0, None)
        return {"bytes": str(size), **({"settings": json.dumps(settings)} if settings else {})}
