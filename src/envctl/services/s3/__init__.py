"""S3: buckets of each namespace (or worker), and a key that opens no other."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from envctl import locks, owners
from envctl.errors import ConfigError
from envctl.migrations import Migration
from envctl.model import Access, Address, Capacity, Claim, Command, Resource, Seen, silent
from envctl.server_set import Container, Observed, Place, Program
from envctl.services.base import Outcome, one_by_one
from envctl.services.likeness import Like
from envctl.services.ownership import leased, not_ours, same_claimant, same_record
from envctl.services.quarantine import inside
from envctl.settings import setting
from envctl.spelling import bucket_name
from envctl.values import dataclass

KEY = re.compile(r"[A-Za-z0-9_.-]{3,64}")
"""An access key that the configuration may fix."""

if TYPE_CHECKING:
    from envctl.services.s3 import buckets


@dataclass(frozen=True, slots=True)
class Settings:
    """`[services.s3]`."""

    buckets: tuple[str, ...] = setting("The buckets, by the names that the project knows them by.", default=("files",))
    region: str = setting("The region that clients are told.", default="us-east-1")
    access_key: str = setting(
        "A fixed key, together with `secret_key`, where a suite has it written down. It opens the buckets of every "
        "checkout on that server.",
        default="",
    )
    secret_key: str = setting("The secret of the fixed key.", default="")
    port: int = setting("A fixed port for the server, as in `[services.postgres]`.", default=0, example="9000")
    image: str = setting(
        "The image of a server that runs as a container: SeaweedFS or MinIO.", default="chrislusf/seaweedfs:4.48"
    )

    def __post_init__(self) -> None:
        for name in self.buckets:
            bucket_name(name)
        if bool(self.access_key) != bool(self.secret_key):
            raise ConfigError("services.s3: access_key and secret_key belong together: give both or neither")
        if self.access_key and not KEY.fullmatch(self.access_key):
            raise ConfigError("services.s3: access_key has 3 to 64 letters, digits, `_`, `.` and `-`")


class S3:
    """Intent, bucket, record, key, in this order: whatever a kill leaves behind is finished by the next create."""

    name = "s3"
    settings: type[Any] = Settings
    templates = None
    exports: Mapping[str, str] = {
        "AWS_ENDPOINT_URL_S3": "{s3.endpoint}",
        "AWS_ACCESS_KEY_ID": "{s3.access_key}",
        "AWS_SECRET_ACCESS_KEY": "{s3.secret_key}",
        "AWS_REGION": "{s3.region}",
        "AWS_DEFAULT_REGION": "{s3.region}",
        "S3_BUCKET": "{s3.bucket}",
    }

    def program(self, settings: Settings) -> Program:
        """SeaweedFS from its wheel."""
        from envctl.services.s3 import server

        return server.program()

    def init(self, settings: Settings, place: Place) -> tuple[Command, ...]:
        """An empty folder is all that it needs."""
        return ()

    def serve(self, settings: Settings, place: Place) -> Command:
        """All of SeaweedFS in one process."""
        from envctl.services.s3 import server

        return server.serve(place)

    def container(self, settings: Settings) -> Container:
        """The same in the image that the settings name."""
        from envctl.services.s3 import server

        return server.container(settings.image)

    def adopt(self, seen: Observed) -> Address | None:
        """A running SeaweedFS, MinIO or RustFS container."""
        from envctl.services.s3 import server

        return server.adopt(seen)

    def external(self, url: str) -> Address:
        """`https://key:secret@host:port?region=eu-west-1`."""
        from envctl.services.s3 import server

        return server.external(url)

    def check(self, address: Address) -> str:
        """A signed list of the buckets; the version is what the server calls itself."""
        from envctl.services.s3 import identities
        from envctl.services.s3.wire import looking

        with looking(address) as client:
            client.list_buckets()
        return identities.server_name(address)

    def logical_names(self, settings: Settings) -> tuple[tuple[str, str], ...]:
        """Every bucket of the settings."""
        return tuple(("bucket", name) for name in settings.buckets)

    def migration(self, settings: Settings) -> Migration | None:
        """None: a new bucket is empty."""
        return None

    def placeholders(self, settings: Settings) -> tuple[str, ...]:
        """`bucket` is the first one; each has a name of its own besides."""
        parts = ("endpoint", "region", "access_key", "secret_key", "host", "port", "secure")
        first = ("bucket",) if settings.buckets else ()
        return parts + first + tuple(f"bucket.{name}" for name in settings.buckets)

    def create(self, address: Address, settings: Settings, claim: Claim) -> Access:
        """Every bucket with its record, then the one key for all of them; what is in quarantine is given back."""
        from envctl.services.s3 import fixed, identities, intents
        from envctl.services.s3.wire import connected

        names = {logical: claim.names[logical] for logical in settings.buckets}
        held = locks.locked(claim.memory / "s3.lock", what=f"the buckets of {claim.identity}", wait=60, talk=silent)
        with held, connected(address) as client:
            made = {name: intents.make(client, name, claim) for name in names.values()}
            wanted = tuple(names.values())
            if settings.access_key:
                key, secret = fixed.grant(address, claim.identity, (settings.access_key, settings.secret_key), wanted)
            else:
                key, secret = identities.grant(address, claim.identity, claim.secret, wanted)
            resources = tuple(_resource(name, intents.seen_again(client, name, made[name][0])) for name in wanted)
        values = _values(address, settings, names, key, secret)
        return Access(resources, values, any(created for _, created in made.values()))

    def opens(self, address: Address, claim: Claim, access: Access) -> bool:
        """Whether the claim's own key still sees every bucket, and each still bears the claim's record in its tags."""
        from envctl.services.s3 import buckets, wire

        key, secret = access.values["access_key"], access.values["secret_key"]
        if key == address.user or not all(wire.sees(address, key, secret, one) for one in claim.names.values()):
            return False
        found = [buckets.recognised(wire.tags(address, one)) for one in claim.names.values()]
        mine = all(same_claimant(one.owner, claim.owner) and one.identity == claim.identity for one in found)
        return mine and not any(inside(one.owner) for one in found)

    def note(self, address: Address, resource: Resource, notes: Mapping[str, str]) -> None:
        """All tags are replaced in one request, the foreign ones by themselves."""
        from envctl.services.s3 import buckets
        from envctl.services.s3.wire import connected

        with connected(address) as client:
            found = _record_of(client, resource)
            if found is None or found.owner is None:
                raise not_ours(f"bucket {resource.name}", None)
            buckets.write(client, resource.name, found, replace(found.owner, notes=dict(notes)), found.identity)

    def drop(self, address: Address, resource: Resource, *, sessions: Literal["refuse", "end"] = "refuse") -> None:
        """The key goes first, so that nobody writes; the bucket, which bears the record, last. S3 has no sessions."""
        from envctl.services.s3 import contents, identities
        from envctl.services.s3.wire import connected

        with connected(address) as client:
            found = _record_of(client, resource)
            if found is None:
                return
            if found.identity and found.identity not in _identities(client, but=resource.name):
                identities.revoke(address, found.identity)
            contents.remove(client, resource.name)

    def drop_all(self, address: Address, resources: Iterable[Resource]) -> Iterator[Outcome]:
        """One after the other."""
        return one_by_one(partial(self.drop, address), resources)

    def quarantine(self, address: Address, resource: Resource, *, notes: Mapping[str, str]) -> Resource:
        """It keeps its name, and its key does not reach it, where the server has such keys."""
        from envctl.services.s3 import quarantine

        return quarantine.put(address, resource, notes)

    def restore(self, address: Address, resource: Resource) -> Resource:
        """Its key reaches it again."""
        from envctl.services.s3 import quarantine

        return quarantine.give_back(address, resource)

    def list(
        self, address: Address, project: str, *, lease: str = "", like: Like | None = None, sizes: bool = True
    ) -> list[Resource]:
        """Every bucket with a record of the project's, and those whose record cannot be read.

        Uploads that nobody completed are of their bucket: they count in its bytes and go with it.
        """
        from envctl.services.s3 import buckets, contents, glance
        from envctl.services.s3.wire import looking

        def wanted(there: Mapping[str, buckets.Record]) -> list[Resource]:
            return leased([_resource(name, one) for name, one in there.items() if _of(project, name, one, like)], lease)

        seen = None if sizes else glance.everything(address)
        if seen is not None:
            return wanted(seen)
        with looking(address) as client:
            mine = wanted(buckets.everything(client))
            bytes_of = contents.sizes(client, [one.name for one in mine]) if sizes and not lease else {}
        return [replace(one, bytes=bytes_of.get(one.name)) for one in mine]

    def unfinished(self, address: Address, memory: Path) -> None:
        """Buckets that were to be made, and are there without a record and without content."""
        from envctl.services.s3 import intents

        intents.give_up(address, memory)

    def census(self, address: Address, *, lease: str) -> tuple[Seen, ...]:
        """Its buckets, and how much is in those of others."""
        from envctl.services.s3 import census

        return census.census(address, lease)

    def capacity(self, address: Address) -> Capacity | None:
        """Nothing of it runs out."""
        return None

    def visits(self, address: Address, names: Iterable[str]) -> dict[str, int]:
        """Not told."""
        return {}


SERVICE = S3()


def _record_of(client: Any, resource: Resource) -> buckets.Record | None:
    """The record as it stands now, None where the bucket is gone; refuses one that is not what the caller saw."""
    from envctl.services.s3 import buckets

    found = buckets.read(client, resource.name)
    if found is not None and not same_record(found.owner, resource.owner):
        raise not_ours(f"bucket {resource.name}", found.owner)
    return found


def _identities(client: Any, *, but: str) -> set[str]:
    """Whose keys are still needed by other buckets."""
    from envctl.services.s3 import buckets

    return {one.identity for name, one in buckets.recorded(client).items() if name != but}


def _of(project: str, name: str, found: buckets.Record, like: Like | None) -> bool:
    """Whether it is the project's, or nobody can read whose it is and nothing names another's."""
    if found.owner is not None:
        return found.owner.project == project
    if found.marked:
        return not found.text or owners.mentions(found.text, project)
    return like is not None and like("bucket", name)


def _resource(name: str, found: buckets.Record) -> Resource:
    return Resource("s3", "bucket", name, found.owner)


def _values(address: Address, settings: Settings, names: Mapping[str, str], key: str, secret: str) -> dict[str, str]:
    from envctl.services.s3.wire import endpoint

    values = {
        "endpoint": endpoint(address),
        "region": address.options.get("region", settings.region),
        "access_key": key,
        "secret_key": secret,
        "host": address.host,
        "port": str(address.port),
        "secure": "true" if endpoint(address).startswith("https:") else "false",
    }
    if settings.buckets:
        values["bucket"] = names[settings.buckets[0]]
    return values | {f"bucket.{logical}": name for logical, name in names.items()}
