"""What `list` shows beside what was made and is whole: half-made things, lost records, uploads, look-alikes."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hands import HANDS, Hand, redis_client, s3_client
from postgres_ground import ask
from psycopg import sql
from service_ground import Ground

from envctl.errors import EnvctlError
from envctl.model import Access, Resource
from envctl.services import likeness
from envctl.services.quarantine import inside
from envctl.services.s3 import SERVICE as S3
from envctl.services.s3 import Settings
from envctl.services.s3.wire import connected

POSTGRES, BUCKETS, REDIS = (pytest.mark.parametrize("service", [name]) for name in ("postgres", "s3", "redis"))


@pytest.fixture
def hand(service: str) -> Hand:
    return HANDS[service]


def made(ground: Ground, namespace: str = "a") -> Access:
    return ground.service.create(ground.address, ground.settings, ground.claim(namespace, environment="dev"))


def like(ground: Ground) -> likeness.Like:
    return likeness.of(ground.project, buckets=("statements", "exports"))


def strange(ground: Ground) -> set[tuple[str, str]]:
    """What bears such a name and no record. Buckets bear no project's: those of other tests may lie about."""
    found = ground.service.list(ground.address, ground.project, like=like(ground))
    mine = [one for one in found if ground.project in one.name or one.name == "statements"]
    return {(one.kind, one.name) for one in mine if one.owner is None}


def _database(ground: Ground, name: str) -> Callable[[], object]:
    ask(ground.address, sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return lambda: ask(ground.address, sql.SQL("DROP DATABASE {}").format(sql.Identifier(name)))


def _role(ground: Ground, name: str) -> Callable[[], object]:
    ask(ground.address, sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(name)))
    return lambda: ask(ground.address, sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def _bucket(ground: Ground, name: str) -> Callable[[], object]:
    with connected(ground.address) as client:
        client.make_bucket(name)
        return lambda: client.remove_bucket(name)


def _login(ground: Ground, name: str) -> Callable[[], object]:
    place = {"host": ground.address.host, "port": str(ground.address.port), "number": "0"}
    admin = redis_client({**place, "user": "", "password": ground.address.password})
    admin.execute_command("ACL", "SETUSER", name, "off")
    return lambda: admin.execute_command("ACL", "DELUSER", name)


CASES = [
    ("postgres", "database", _database, ("{p}_dev_a", "{p}_test_a_gw0", "{p}__t_0123456789ab", "{p}__q_0123456789ab")),
    ("postgres", "role", _role, ("{p}_dev_mine", "{p}__b_0123456789ab")),
    ("s3", "bucket", _bucket, ("statements-dev-mine-{p}", "exports-{p}")),
    ("redis", "login", _login, ("{p}_dev_mine",)),
]
NOT = {
    "database": ("{p}", "{p}_test", "{p}_owner", "{p}other_dev_mine", "{p}xdev_mine", "{p}_dev_Mine"),
    "role": ("{p}", "{p}other_dev_mine", "x{p}_dev_mine"),
    "bucket": ("statements", "my-exports-{p}", "stat-dev-{p}"),
    "login": ("{p}", "{p}other_dev_mine"),
}
"""Names that a pattern without a namespace makes, or that only resemble one: these may be anybody's."""


@pytest.mark.parametrize(("service", "kind", "make", "names"), CASES, ids=["database", "role", "bucket", "login"])
def test_what_bears_our_name_and_no_record_is_shown_to_who_asks_and_never_touched(
    ground: Ground, kind: str, make: Callable[[Ground, str], Callable[[], object]], names: tuple[str, ...]
) -> None:
    wanted = [name.format(p=ground.project) for name in names]
    gone = [make(ground, name) for name in (*wanted, *(one.format(p=ground.project) for one in NOT[kind]))]
    try:
        assert strange(ground) == {(kind, name) for name in wanted}
        assert ground.service.list(ground.address, ground.project) == []
        for one in ground.service.list(ground.address, ground.project, like=like(ground)):
            for work in (ground.service.drop, ground.service.restore):
                with pytest.raises(EnvctlError):
                    work(ground.address, one)
            with pytest.raises(EnvctlError):
                ground.service.quarantine(ground.address, one, notes={})
            with pytest.raises(EnvctlError):
                ground.service.drop(ground.address, replace(one, owner=ground.claim("mine").owner))
        assert strange(ground) == {(kind, name) for name in wanted}
    finally:
        for remove in gone:
            remove()


@POSTGRES
@pytest.mark.usefixtures("service")
def test_a_half_made_database_is_shown_with_the_maker_that_its_login_names(ground: Ground) -> None:
    access = made(ground)
    name = access.values["database"]
    ask(ground.address, sql.SQL("COMMENT ON DATABASE {} IS NULL").format(sql.Identifier(name)))
    statement = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false CONNECTION LIMIT 1163286339")
    ask(ground.address, statement.format(sql.Identifier(name)))
    found = {one.name: one for one in ground.service.list(ground.address, ground.project) if one.kind == "database"}
    assert found[name].owner == ground.claim("a", environment="dev").owner
    ground.service.drop(ground.address, found[name])


@REDIS
@pytest.mark.usefixtures("service")
def test_a_login_whose_registry_was_lost_is_shown(ground: Ground) -> None:
    access = made(ground)
    place = {**access.values, "user": "", "password": ground.address.password, "number": "0"}
    with redis_client(place) as admin:
        entry = admin.hget("envctl:registry", access.values["user"])
        admin.hdel("envctl:registry", access.values["user"])
        assert strange(ground) == {("login", access.values["user"])}
        admin.hset("envctl:registry", access.values["user"], entry)
    assert strange(ground) == set()


# uploads


@pytest.fixture
def uploads(ground: Ground) -> tuple[Access, Any]:
    """A bucket with uploads that nobody completed."""
    access = made(ground)
    client = s3_client(access.values)
    bucket = access.values["bucket"]
    for number in range(3):
        upload = client._create_multipart_upload(bucket, f"big-{number}", {})
        client._upload_part(bucket, f"big-{number}", b"x" * 5_000_000, None, upload, 1)
    return access, client


@BUCKETS
@pytest.mark.usefixtures("service")
def test_uploads_that_nobody_completed_count_in_their_bucket_and_go_with_it(
    ground: Ground, uploads: tuple[Access, Any]
) -> None:
    access, client = uploads
    bucket = access.values["bucket"]
    client.put_object(bucket, "small", io.BytesIO(b"12345"), 5)
    sizes = {one.name: one.bytes for one in ground.service.list(ground.address, ground.project)}
    assert sizes[bucket] == 15_000_005
    assert [size for name, size in sizes.items() if name != bucket] == [0]
    for one in access.resources:
        ground.service.drop(ground.address, one)
    assert ground.service.list(ground.address, ground.project) == []


@BUCKETS
@pytest.mark.usefixtures("service")
def test_a_fixed_key_does_not_reach_what_is_in_quarantine_and_reaches_the_rest(ground: Ground, hand: Hand) -> None:
    fixed = replace(
        ground,
        settings=Settings(("statements",), access_key=f"KEY{ground.project}", secret_key="a-secret-of-the-suite"),
    )
    one, other = made(fixed, "a"), made(fixed, "b")
    for access in (one, other):
        hand.put(access.values, "k", "precious")
    (put,) = [_put(fixed, each) for each in one.resources]
    with pytest.raises(hand.refusals):
        hand.get(one.values, "k")
    assert hand.get(other.values, "k") == "precious"
    assert inside(put.owner)
    S3.restore(fixed.address, put)
    assert [hand.get(access.values, "k") for access in (one, other)] == ["precious"] * 2


@BUCKETS
@pytest.mark.usefixtures("service")
def test_a_fixed_key_gets_nothing_of_a_claim_that_has_a_key_of_its_own(ground: Ground, hand: Hand) -> None:
    keys = Settings(("statements",), access_key=f"KEY{ground.project}", secret_key="a-secret-of-the-suite")
    fixed, own = made(replace(ground, settings=keys), "a"), made(ground, "b")
    hand.put(own.values, "k", "private")
    for put in [_put(ground, each) for each in own.resources]:
        S3.restore(ground.address, put)
    assert hand.get(own.values, "k") == "private"
    with pytest.raises(hand.refusals):
        hand.get({**own.values, **{name: fixed.values[name] for name in ("access_key", "secret_key")}}, "k")


def _put(ground: Ground, one: Resource) -> Resource:
    return ground.service.quarantine(ground.address, one, notes={"since": "today"})
