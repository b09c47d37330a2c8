"""Templates in PostgreSQL: a migrated database under a name that its content gives it, closed and marked as a template.

A name of its own says at any moment what a database is: a draft, a template, a copy made ahead. The last step of a
build is one transaction, so that a template is whole or is none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from envctl.errors import LockTimeoutError
from envctl.model import Access, Address, Claim, Resource, Talk
from envctl.services.base import Template, Traits
from envctl.services.ownership import owned_by
from envctl.services.postgres import clone, copying, link, pool, private, records, sessions
from envctl.services.postgres.building import Site
from envctl.services.postgres.records import SERVICE, Database

if TYPE_CHECKING:
    from envctl.services.postgres import Settings
    from envctl.services.postgres.link import Connection

_RESULT = """
    SELECT t.* FROM (
        SELECT current_setting('server_version_num')::int / 10000 AS major,
               pg_encoding_to_char(encoding) AS encoding, datcollate, datctype,
               to_jsonb(d) ->> 'datlocprovider' AS provider,
               coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale') AS locale,
               current_setting('timezone') AS timezone,
               current_setting('datestyle') AS datestyle,
               current_setting('intervalstyle') AS intervalstyle,
               current_setting('default_text_search_config') AS text_search,
               current_setting('default_table_access_method') AS access_method,
               current_setting('search_path') AS search_path
          FROM pg_database d WHERE datname = 'template1') AS t
"""
"""What of a server a migration's result depends on, in every version."""
_HOLDER = """
    SELECT a.application_name FROM pg_locks l JOIN pg_stat_activity a USING (pid)
     WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
       AND (l.classid::bigint << 32) | l.objid::bigint = hashtextextended(%s, 0)
       AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
LONGEST_NAME = 63


class Postgres:
    """The capability, as `services.base.Templates` describes it."""

    def traits(self, address: Address, settings: Settings) -> Traits:
        """Version, locale and the settings that change what SQL means; what the project asks for besides."""
        with sessions.reused(address) as connection:
            cursor = connection.execute(_RESULT)
            row, names = cursor.fetchone(), [one.name for one in cursor.description or ()]
            server = copying.server(connection)
        assert row is not None
        found = {name: str(value) for name, value in zip(names, row, strict=True)}
        asked = {f"setting {name.lower()}": value for name, value in settings.settings.items()}
        wished = {"extensions": ",".join(sorted(settings.extensions)), "superuser": str(settings.superuser)}
        return Traits(server, {**found, **asked, **wished})

    def find(self, address: Address, project: str, digest: str) -> Template | None:
        """The template of that digest, which nobody removes from then on."""
        name = records.legal(private.template(project, digest))
        with sessions.reused(address) as connection:
            sessions.hold(connection, name)
            found = sealed(records.database(connection, name), project)
            if found is None or found.digest != digest:
                sessions.let_go(connection, name)
                return None
            return found

    def all(self, address: Address, project: str) -> Sequence[Template]:
        """Every sealed template of the project."""
        with sessions.reused(address) as connection:
            found = records.beginning_with(connection, private.prefix(project, "t"))
        return [one for one in (sealed(database, project) for database in found) if one is not None]

    @contextmanager
    def building(
        self, address: Address, project: str, digest: str, *, who: str, wait: float, talk: Talk, memory: Path
    ) -> Iterator[Site]:
        """Hold the lock for that template on a session that does nothing else while migrations run."""
        name = records.legal(private.template(project, digest))
        with link.admin(address) as connection:
            label = f"envctl test of {who}".encode("ascii", "replace").decode()[:LONGEST_NAME]
            connection.execute("SELECT set_config('application_name', %s, false)", (label,))
            _lock(connection, name, wait, talk)
            yield Site(address, connection, project, digest, memory)

    def clone(self, address: Address, settings: Settings, claim: Claim, template: Template, *, memory: Path) -> Access:
        """The claim's login and its own copy."""
        return clone.clone(address, claim, template, superuser=settings.superuser, memory=memory)

    def fresh(self, address: Address, claim: Claim, template: Template, name: str, *, memory: Path) -> Access:
        """One more copy for that login."""
        return clone.fresh(address, claim, template, name, memory=memory)

    def discard(self, address: Address, resource: Resource) -> None:
        """Remove a copy of one's own."""
        clone.discard(address, resource)

    def fill(self, address: Address, template: Template, count: int, *, memory: Path) -> int:
        """Make copies ahead."""
        return pool.fill(address, template, count, memory=memory)


TEMPLATES = Postgres()


def sealed(found: Database | None, project: str) -> Template | None:
    """The database as a template, if it is whole and its record says that it is one of ours.

    Another login that has it could have written that record itself.
    """
    if found is None or not found.whole or not owned_by(found.owner, project):
        return None
    if not found.login_is_admin and found.login != records.group_name(project):
        return None
    owner = found.owner
    return Template(SERVICE, found.name, owner) if owner and owner.notes.get("kind") in private.SEALED else None


def _lock(connection: Connection, name: str, wait: float, talk: Talk) -> None:
    """Take the build's lock, and say who has it before waiting."""
    from psycopg import errors

    key = (f"envctl build {name}",)
    row = connection.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", key).fetchone()
    if row and row[0]:
        return
    holders = ", ".join(one[0] for one in connection.execute(_HOLDER, key).fetchall())
    by = f" (built by {holders})" if holders else ""
    talk(f"waiting for the template {name}{by}")
    connection.execute("SELECT set_config('lock_timeout', %s, false)", (f"{max(int(wait * 1000), 1)}ms",))
    try:
        connection.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", key)
    except errors.LockNotAvailable as error:
        raise LockTimeoutError(
            f"the template {name!r} was still being built after {wait:g} s{by}",
            hint="try again, or give it longer with --wait SECONDS",
        ) from error
    connection.execute("SELECT set_config('lock_timeout', %s, false)", (f"{link.PATIENCE}s",))
