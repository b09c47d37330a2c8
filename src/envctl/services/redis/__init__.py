"""Redis and Valkey: a database number for each namespace (or worker), and a login that can reach no other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from envctl import owners
from envctl.errors import UnavailableError
from envctl.migrations import Migration
from envctl.model import Access, Address, Capacity, Claim, Command, Resource, Seen
from envctl.server_set import Container, Observed, Place, Program
from envctl.services.base import Outcome, one_by_one
from envctl.services.likeness import Like
from envctl.services.ownership import leased, may_take, not_ours, of_this_run, same_claimant, same_record
from envctl.services.redis import wire
from envctl.settings import setting
from envctl.values import dataclass

if TYPE_CHECKING:
    from envctl.services.redis import registry


@dataclass(frozen=True, slots=True)
class Settings:
    """`[services.redis]`."""

    isolation: Literal["number", "prefix"] = setting(
        "A database number for each namespace, or one database with a key prefix for each.", default="number"
    )
    databases: int = setting("How many database numbers a server that envctl starts has.", default=10_000)
    port: int = setting("A fixed port for the server, as in `[services.postgres]`.", default=0, example="6380")
    image: str = setting("The image of a server that runs as a container.", default="valkey/valkey:9")


class Redis:
    """A record in the server's own registry allots the number: record and creation are one step."""

    name = "redis"
    settings: type[Any] = Settings
    templates = None
    exports: Mapping[str, str] = {"REDIS_URL": "{redis.url}"}

    def program(self, settings: Settings) -> Program:
        """Valkey from its wheel."""
        from envctl.services.redis import server

        return server.program()

    def init(self, settings: Settings, place: Place) -> tuple[Command, ...]:
        """An empty folder is all that it needs."""
        return ()

    def serve(self, settings: Settings, place: Place) -> Command:
        """The configuration goes by stdin, so that the password stands in no argument."""
        from envctl.services.redis import server

        return server.serve(place, settings.databases)

    def container(self, settings: Settings) -> Container:
        """The official image's entry point, fed the same way."""
        from envctl.services.redis import server

        return server.container(settings.image, settings.databases)

    def adopt(self, seen: Observed) -> Address | None:
        """A running redis or valkey container."""
        from envctl.services.redis import server

        return server.adopt(seen)

    def external(self, url: str) -> Address:
        """`redis://user:password@host:port/number`, or `rediss://` for TLS."""
        from envctl.services.redis import server

        return server.external(url)

    def check(self, address: Address) -> str:
        """One INFO with the administrator's password."""
        return wire.version(address)

    def logical_names(self, settings: Settings) -> tuple[tuple[str, str], ...]:
        """None: a claim's identity is its name here."""
        return ()

    def migration(self, settings: Settings) -> Migration | None:
        """None: a new database is empty."""
        return None

    def placeholders(self, settings: Settings) -> tuple[str, ...]:
        """The whole URL, and its parts."""
        return ("url", "host", "port", "number", "user", "password", "prefix")

    def create(self, address: Address, settings: Settings, claim: Claim) -> Access:
        """Allot a number (or the one allotted before), then let the claim's login into that one only.

        What is in quarantine is given back by that.
        """
        from envctl.services.redis import logins, quarantine, registry

        with wire.connected(address) as client:
            entry, created = registry.allot(client, settings.isolation, claim)
            if entry is None:
                raise registry.exhausted(address, claim.identity)
            if entry.owner is None or not may_take(entry.owner, claim):
                raise not_ours(f"redis database {claim.identity}", entry.owner)
            if (owner := of_this_run(entry.owner, claim.owner)) != entry.owner:
                registry.rewrite(client, entry, owner)
            entry = quarantine.taken_out(client, entry)
            scoped = logins.give(client, entry, claim.secret)
            entry = quarantine.taken_out(client, entry)
        user, password = (claim.identity, claim.secret) if scoped else (address.user, address.password)
        return Access((_resource(entry),), _values(address, entry, user, password), created)

    def opens(self, address: Address, claim: Claim, access: Access) -> bool:
        """Whether the claim's own login enters the number, and the registry still says that it is this claim's."""
        from envctl.services.redis import registry

        user, password, number = (access.values[part] for part in ("user", "password", "number"))
        if user != claim.identity:
            return False
        text = wire.entered(address, user, password, number, registry.HASH, claim.identity)
        entry = registry.parse(claim.identity, text or "")
        return str(entry.number) == number and same_claimant(entry.owner, claim.owner)

    def note(self, address: Address, resource: Resource, notes: Mapping[str, str]) -> None:
        """Swap the record for one with these notes, if it is still the one that the caller saw."""
        from envctl.services.redis import registry

        with wire.connected(address) as client:
            entry = _entry_of(client, resource)
            if entry is None or entry.owner is None:
                raise not_ours(f"redis database {resource.name}", None)
            if not registry.rewrite(client, entry, replace(entry.owner, notes=dict(notes))):
                raise UnavailableError(f"the record of {resource.name} changed meanwhile", hint="try again")

    def drop(self, address: Address, resource: Resource, *, sessions: Literal["refuse", "end"] = "refuse") -> None:
        """The login goes first, so that nobody writes; then, in one step, the data and the record that names them."""
        from envctl.services.redis import logins, registry

        with wire.connected(address) as client:
            entry = _entry_of(client, resource)
            if resource.kind == "login":
                raise not_ours(f"redis login {resource.name}", None)
            if entry is None:
                return
            if sessions == "refuse":
                logins.refuse_sessions(client, entry)
            logins.end_sessions(client, entry)
            logins.remove(client, entry.identity)
            if entry.kind == "prefix":
                registry.unlink(client, entry.prefix)
            registry.release(client, entry)

    def drop_all(self, address: Address, resources: Iterable[Resource]) -> Iterator[Outcome]:
        """One after the other."""
        return one_by_one(partial(self.drop, address), resources)

    def quarantine(self, address: Address, resource: Resource, *, notes: Mapping[str, str]) -> Resource:
        """Its number stays allotted, and its login is switched off, where the server has logins."""
        from envctl.services.redis import quarantine

        return quarantine.put(address, resource, notes)

    def restore(self, address: Address, resource: Resource) -> Resource:
        """Its login is switched on again; one that a restart of the server took comes with the next `create`."""
        from envctl.services.redis import quarantine

        return quarantine.give_back(address, resource)

    def list(
        self, address: Address, project: str, *, lease: str = "", like: Like | None = None, sizes: bool = True
    ) -> list[Resource]:
        """Every allotted number of the project, those whose record cannot be read, and logins without a number."""
        from envctl.services.redis import registry

        entries, logins = (None if sizes else registry.glance(address)) or _listed(address)
        mine = [_resource(each) for each in entries if _of(project, each, like)]
        known = {each.identity for each in entries}
        lost = [one for one in logins if like and not lease and like("login", one) and one not in known]
        return leased([*mine, *(Resource("redis", "login", one, None) for one in lost)], lease)

    def unfinished(self, address: Address, memory: Path) -> None:
        """Nothing ever is: the record allots the number."""

    def census(self, address: Address, *, lease: str) -> tuple[Seen, ...]:
        """Its keys, numbers and users."""
        from envctl.services.redis import census

        return census.census(address, lease)

    def capacity(self, address: Address) -> Capacity | None:
        """Nothing of it runs out."""
        return None

    def visits(self, address: Address, names: Iterable[str]) -> dict[str, int]:
        """Not told."""
        return {}


SERVICE = Redis()


def _entry_of(client: Any, resource: Resource) -> registry.Entry | None:
    """The entry as it stands now, None where it is gone; refuses one that is not what the caller saw."""
    from envctl.services.redis import registry

    entry = registry.find(client, resource.name)
    if entry is not None and not same_record(entry.owner, resource.owner):
        raise not_ours(f"redis database {resource.name}", entry.owner)
    return entry


def _listed(address: Address) -> tuple[list[registry.Entry], list[str]]:
    from envctl.services.redis import registry

    with wire.connected(address) as client:
        return registry.entries(client), registry.logins(client)


def _of(project: str, entry: registry.Entry, like: Like | None) -> bool:
    """Whether it is the project's, or nobody can read whose it is and something names the project."""
    if entry.owner is not None:
        return entry.owner.project == project
    return owners.mentions(entry.text, project) or (like is not None and like("login", entry.identity))


def _resource(entry: registry.Entry) -> Resource:
    return Resource("redis", entry.kind, entry.identity, entry.owner)


def _values(address: Address, entry: registry.Entry, user: str, password: str) -> dict[str, str]:
    from urllib.parse import quote

    from envctl.services.servers import in_url

    scheme = "rediss" if address.options.get("secure") == "true" else "redis"
    login = f"{quote(user, safe='')}:{quote(password, safe='')}@" if user or password else ""
    return {
        "url": f"{scheme}://{login}{in_url(address.host)}:{address.port}/{entry.number}",
        "host": address.host,
        "port": str(address.port),
        "number": str(entry.number),
        "user": user,
        "password": password,
        "prefix": entry.prefix,
    }
