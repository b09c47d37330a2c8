"""What is said of S3 alone."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import minio
import pytest
import test_services
import urllib3
from hands import HANDS, Hand, s3_client
from minio.commonconfig import ENABLED, CopySource, Tags
from minio.deleteobjects import DeleteObject
from minio.versioningconfig import VersioningConfig
from service_ground import Ground, Servers, engine_names, has_image, required, serving, settings_for

from envctl import shell, state
from envctl.errors import ConfigError, EnvctlError
from envctl.model import Access, Address, Command
from envctl.server_set import Observed, Place
from envctl.services.s3 import SERVICE, Settings, contents, identities, wire
from envctl.services.s3 import buckets as s3_buckets
from envctl.services.s3.identities import key_of
from envctl.services.s3.wire import Answer, signed

PART = 5 * 1024 * 1024

DYING = """
import os, pickle, signal, socket, sys
from envctl import services
verb, address, settings, what, steps = pickle.load(sys.stdin.buffer)
send = socket.socket.sendall
def counted(self, *arguments):
    global steps
    if steps == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    steps -= 1
    return send(self, *arguments)
socket.socket.sendall = counted
service = services.get("s3")
if verb == "create":
    service.create(address, settings, what)
else:
    for each in what:
        service.drop(address, each)
"""
"""Create or drop, and die just before the request number `steps`."""


@pytest.fixture
def service() -> str:
    return "s3"


@pytest.fixture
def admin(ground: Ground) -> Any:
    place = ground.address
    return minio.Minio(f"{place.host}:{place.port}", place.user, place.password, secure=False, region="us-east-1")


def made(ground: Ground, namespace: str) -> Access:
    return SERVICE.create(ground.address, ground.settings, ground.claim(namespace))


def put(client: Any, bucket: str, name: str, content: bytes = b"x") -> None:
    client.put_object(bucket, name, io.BytesIO(content), len(content))


def test_a_namespace_can_do_what_applications_do(ground: Ground) -> None:
    values = made(ground, "a").values
    client, bucket = s3_client(values), values["bucket"]
    put(client, bucket, "docs/ä b+c.txt", b"hello")
    assert client.get_object(bucket, "docs/ä b+c.txt").data == b"hello"
    client.copy_object(bucket, "copy", CopySource(bucket, "docs/ä b+c.txt"))
    client.put_object(bucket, "big", io.BytesIO(b"x" * (PART + 1)), -1, part_size=PART)
    assert client.stat_object(bucket, "big").size == PART + 1
    assert [each.object_name for each in client.list_objects(bucket, recursive=True)] == [
        "big",
        "copy",
        "docs/ä b+c.txt",
    ]
    assert [each.name for each in client.list_buckets()] == sorted(
        values[f"bucket.{name}"] for name in ground.settings.buckets
    )
    with urllib3.PoolManager() as web:
        assert web.request("GET", client.presigned_get_object(bucket, "copy")).data == b"hello"
        assert web.request("PUT", client.presigned_put_object(bucket, "signed"), body=b"up").status == 200
        assert web.request("GET", f"{values['endpoint']}/{bucket}/copy").status == 403
    assert list(client.remove_objects(bucket, [DeleteObject("copy"), DeleteObject("signed")])) == []
    put(client, values["bucket.exports"], "k")


def test_a_namespace_cannot_touch_what_is_not_its_own(ground: Ground, admin: Any) -> None:
    mine, theirs = made(ground, "mine").values, made(ground, "theirs").values
    admin.make_bucket(f"strangers-{ground.project}")
    put(admin, f"strangers-{ground.project}", "k", b"private")
    put(s3_client(theirs), theirs["bucket"], "k", b"private")
    client = s3_client(mine)
    put(client, mine["bucket"], "own")
    for bucket in (theirs["bucket"], f"strangers-{ground.project}"):
        for attempt in (
            lambda bucket=bucket: client.get_object(bucket, "k"),
            lambda bucket=bucket: put(client, bucket, "k", b"overwritten"),
            lambda bucket=bucket: client.remove_object(bucket, "k"),
            lambda bucket=bucket: list(client.list_objects(bucket)),
            lambda bucket=bucket: client.copy_object(mine["bucket"], "stolen", CopySource(bucket, "k")),
            lambda bucket=bucket: client.copy_object(bucket, "k", CopySource(mine["bucket"], "own")),
            lambda bucket=bucket: client.remove_bucket(bucket),
            lambda bucket=bucket: client.delete_bucket_tags(bucket),
        ):
            with pytest.raises(minio.S3Error, match="AccessDenied"):
                attempt()
        assert admin.get_object(bucket, "k").data == b"private"
    with pytest.raises(minio.S3Error, match="AccessDenied"):
        client.make_bucket(f"more-{ground.project}")


def test_a_namespace_cannot_lose_its_own_record_or_open_its_bucket(ground: Ground) -> None:
    access = made(ground, "a")
    client, bucket = s3_client(access.values), access.values["bucket"]
    public = {"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": f"arn:aws:s3:::{bucket}/*"}
    attempts: list[Callable[[], Any]] = [
        lambda: client.delete_bucket_tags(bucket),
        lambda: client.set_bucket_tags(bucket, Tags.new_bucket_tags()),
        lambda: client.remove_bucket(bucket),
        lambda: client.set_bucket_policy(bucket, json.dumps({"Version": "2012-10-17", "Statement": [public]})),
    ]
    for attempt in attempts:
        with pytest.raises(minio.S3Error, match="AccessDenied"):
            attempt()
    form = {"Action": "CreateUser", "Version": "2010-05-08", "UserName": "intruder"}
    keys = access.values["access_key"], access.values["secret_key"]
    assert signed(ground.address, *keys, service="iam", form=form).status == 403
    assert len(SERVICE.list(ground.address, ground.project)) == 2


def test_drop_removes_versions_markers_and_unfinished_uploads(ground: Ground, admin: Any) -> None:
    access = made(ground, "a")
    client, bucket = s3_client(access.values), access.values["bucket"]
    client.set_bucket_versioning(bucket, VersioningConfig(ENABLED))
    for content in (b"one", b"two"):
        put(client, bucket, "k", content)
    client.remove_object(bucket, "k")
    admin._create_multipart_upload(bucket, "unfinished", {})
    for each in access.resources:
        SERVICE.drop(ground.address, each)
    assert not admin.bucket_exists(bucket)
    assert made(ground, "a").created
    assert list(admin.list_objects(bucket, recursive=True, include_version=True)) == []


def test_the_key_lives_as_long_as_any_of_its_buckets(ground: Ground) -> None:
    access = made(ground, "a")
    first, second = access.resources
    SERVICE.drop(ground.address, first)
    put(s3_client(access.values), second.name, "k")
    SERVICE.drop(ground.address, second)
    with pytest.raises(minio.S3Error, match="InvalidAccessKeyId"):
        s3_client(access.values).list_buckets()
    form = {"Action": "ListUsers", "Version": "2010-05-08"}
    address = ground.address
    assert ground.project not in signed(address, address.user, address.password, service="iam", form=form).text


def test_taking_a_key_back_lets_the_server_write_its_keys_no_more_than_twice(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SeaweedFS writes all that it has, and reads all of it for each that it writes."""
    keys = Settings(("statements",), access_key="FIXEDKEYNEARBY", secret_key="a-secret-of-the-suite")
    fixed = SERVICE.create(ground.address, keys, ground.claim("nearby"))
    access, asked = made(ground, "a"), list[str]()
    real = identities.iam

    def heard(address: Address, action: str, **parameters: str) -> Answer:
        asked.append(action)
        return real(address, action, **parameters)

    monkeypatch.setattr(identities, "iam", heard)
    dropped(ground, access)
    assert [one for one in asked if not one.startswith("List")] == ["DeleteUserPolicy", "DeleteUser"]
    dropped(ground, fixed)


def test_a_key_with_a_forgotten_secret_is_replaced(ground: Ground) -> None:
    claim = ground.claim("a")
    old = SERVICE.create(ground.address, ground.settings, claim).values
    new = SERVICE.create(ground.address, ground.settings, replace(claim, secret="another-secret")).values
    assert old["access_key"] == new["access_key"] == key_of(claim.identity)
    put(s3_client(new), new["bucket"], "k")
    with pytest.raises(minio.S3Error):
        put(s3_client(old), old["bucket"], "k")


def test_a_strangers_bucket_is_never_taken_filled_or_empty(ground: Ground, admin: Any) -> None:
    claim = ground.claim("a")
    bucket = claim.names["statements"]
    admin.make_bucket(bucket)
    for content in (None, b"a stranger's"):
        if content:
            put(admin, bucket, "k", content)
        with pytest.raises(EnvctlError, match="left alone"):
            SERVICE.create(ground.address, ground.settings, claim)
        assert admin.get_bucket_tags(bucket) is None
    assert admin.get_object(bucket, "k").data == b"a stranger's"
    assert bucket not in {each.name for each in SERVICE.list(ground.address, ground.project)}


def test_a_bucket_that_was_filled_before_it_had_its_record_is_not_taken(ground: Ground, admin: Any) -> None:
    claim = ground.claim("a")
    bucket = claim.names["statements"]
    die(ground, "create", claim, steps=3)  # the question whether it says anything, and two more
    assert admin.bucket_exists(bucket)
    assert admin.get_bucket_tags(bucket) is None
    put(admin, bucket, ".hidden", b"not ours")
    with pytest.raises(EnvctlError, match="left alone"):
        SERVICE.create(ground.address, ground.settings, claim)
    admin.remove_object(bucket, ".hidden")
    assert SERVICE.create(ground.address, ground.settings, claim).resources


@pytest.mark.parametrize("steps", range(14))
def test_create_killed_before_any_request_is_finished_by_the_next(ground: Ground, steps: int) -> None:
    claim = ground.claim("a")
    die(ground, "create", claim, steps=steps)
    access = SERVICE.create(ground.address, ground.settings, claim)
    put(s3_client(access.values), access.values["bucket"], "k")
    assert [each.owner for each in SERVICE.list(ground.address, ground.project)] == [claim.owner] * 2


@pytest.mark.parametrize("steps", range(0, 40, 3))
def test_drop_killed_before_any_request_is_finished_by_the_next(ground: Ground, steps: int) -> None:
    access = made(ground, "a")
    for name in ("k", "l"):
        put(s3_client(access.values), access.values["bucket"], name)
    die(ground, "drop", access.resources, steps=steps)
    for each in SERVICE.list(ground.address, ground.project):
        SERVICE.drop(ground.address, each)
    assert SERVICE.list(ground.address, ground.project) == []
    assert made(ground, "a").created


def test_a_bucket_that_was_only_meant_is_given_up(ground: Ground, admin: Any) -> None:
    claim = ground.claim("a")
    die(ground, "create", claim, steps=4)
    meant = next(claim.memory.glob("s3-*.json"))
    bucket = meant.name.removeprefix("s3-").removesuffix(".json")
    assert admin.bucket_exists(bucket)
    assert SERVICE.list(ground.address, ground.project) == []
    SERVICE.unfinished(ground.address, claim.memory)
    assert not admin.bucket_exists(bucket)
    assert not meant.exists()


def test_a_bucket_with_a_record_or_with_content_is_never_given_up(ground: Ground, admin: Any) -> None:
    access = made(ground, "a")
    bare = f"bare-{ground.project}"
    admin.make_bucket(bare)
    admin.put_object(bare, "k", io.BytesIO(b"kept"), 4)
    for name in (bare, access.values["bucket"], f"never-{ground.project}"):
        state.write(ground.memory / f"s3-{name}.json", {"bucket": name, "identity": "a"})
    SERVICE.unfinished(ground.address, ground.memory)
    assert admin.bucket_exists(bare)
    assert len(SERVICE.list(ground.address, ground.project)) == 2
    assert not list(ground.memory.glob("s3-*.json"))


def die(ground: Ground, verb: str, what: object, *, steps: int) -> None:
    """A process that does `verb` and is killed before its request number `steps`, if it sends so many."""
    import pickle

    command = Command((sys.executable, "-c", DYING), env={"PYTHONPATH": os.pathsep.join(sys.path)})
    with tempfile.TemporaryFile() as script, tempfile.TemporaryFile() as said:
        pickle.dump((verb, ground.address, ground.settings, what, steps), script)
        script.seek(0)
        process = shell.spawn(command, log=said, stdin=script)
        code = process.wait()
        said.seek(0)
        assert code in (0, -signal.SIGKILL), said.read().decode()


@pytest.mark.parametrize("lie", [{"worker": "gw0"}, {"created": "2025-01-01"}], ids=str)
def test_what_was_made_again_since_it_was_listed_is_not_dropped(ground: Ground, lie: dict[str, str]) -> None:
    for there in made(ground, "a").resources:
        assert there.owner
        with pytest.raises(EnvctlError, match="left alone"):
            SERVICE.drop(ground.address, replace(there, owner=replace(there.owner, **lie)))  # type: ignore[arg-type]
    assert len(SERVICE.list(ground.address, ground.project)) == 2


def test_tags_of_others_stay_when_the_record_changes(ground: Ground, admin: Any) -> None:
    access = made(ground, "a")
    bucket = access.resources[0].name
    tags = admin.get_bucket_tags(bucket)
    tags["cost-centre"] = "4711"
    admin.set_bucket_tags(bucket, tags)
    SERVICE.note(ground.address, access.resources[0], {"state": "ready"})
    assert admin.get_bucket_tags(bucket)["cost-centre"] == "4711"
    (found,) = [each for each in SERVICE.list(ground.address, ground.project) if each.name == bucket]
    assert found.owner is not None
    assert found.owner.notes == {"state": "ready"}


def test_a_record_that_cannot_be_read_is_listed_and_never_dropped(ground: Ground, admin: Any) -> None:
    access = made(ground, "a")
    put(s3_client(access.values), access.values["bucket"], "k", b"kept")
    bucket = access.resources[0].name
    tags = admin.get_bucket_tags(bucket)
    tags["envctl.0"] = tags["envctl.0"][:-4]
    admin.set_bucket_tags(bucket, tags)
    (found,) = [each for each in SERVICE.list(ground.address, ground.project) if each.name == bucket]
    assert found.owner is None
    for each in (found, access.resources[0]):
        with pytest.raises(EnvctlError, match="left alone"):
            SERVICE.drop(ground.address, each)
    assert admin.get_object(bucket, "k").data == b"kept"
    admin.remove_object(bucket, "k")
    admin.remove_bucket(bucket)


def test_a_record_too_long_for_tags_is_an_error_and_leaves_the_old_one(ground: Ground) -> None:
    access = made(ground, "a")
    with pytest.raises(EnvctlError, match="too long"):
        SERVICE.note(ground.address, access.resources[0], {"noise": os.urandom(2000).hex()})
    assert [each.owner for each in SERVICE.list(ground.address, ground.project)] == [ground.claim("a").owner] * 2


def test_without_tags_the_record_is_an_object_that_nothing_else_counts(ground: Ground, admin: Any) -> None:
    bucket = f"tagless-{ground.project}"
    admin.make_bucket(bucket)
    client = Tagless(admin)
    unmarked = s3_buckets.read(client, bucket)
    assert unmarked is not None
    assert not unmarked.marked
    owner = ground.claim("a").owner
    s3_buckets.write(client, bucket, unmarked, owner, "identity")
    found = s3_buckets.read(client, bucket)
    assert found == s3_buckets.Record(owner, "identity", True)
    assert contents.empty(client, bucket)
    put(admin, bucket, "k")
    assert not contents.empty(client, bucket)
    contents.remove(client, bucket)
    assert s3_buckets.read(client, bucket) is None


class Tagless:
    """A real server's client, to which the server says that it has no tags."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def get_bucket_tags(self, bucket: str) -> None:
        list(self._client.list_objects(bucket))
        raise self._refusal()

    def set_bucket_tags(self, bucket: str, tags: object) -> None:
        raise self._refusal()

    def _refusal(self) -> Exception:
        response: Any = None
        return minio.S3Error(response, "NotImplemented", "no tags here", None, None, None)


def test_nothing_is_served_to_who_has_no_key(tmp_path: Path) -> None:
    with serving("embedded", "s3", settings_for("s3"), tmp_path) as address:
        ground = Ground(SERVICE, settings_for("s3"), address, "closed", tmp_path)
        bucket = made(ground, "a").values["bucket"]
        put(s3_client(made(ground, "a").values), bucket, "k", b"private")
        ports = listening(tmp_path)
        assert len(ports) >= 9
        with urllib3.PoolManager(retries=False, timeout=5) as web:
            for port in ports:
                for path in (f"/{bucket}/k", f"/buckets/{bucket}/k", "/1,0100000000", f"/?collection={bucket}"):
                    assert b"private" not in answer(web, port, path)


def listening(home: Path) -> list[int]:
    """The ports of the one server that runs with its data below `home`."""
    sockets = [each for one in running(home) for each in one.net_connections()]
    return sorted({each.laddr.port for each in sockets if each.status == "LISTEN"})


def running(home: Path) -> list[Any]:
    """The processes of that server."""
    import psutil

    return [one for one in psutil.process_iter() if one.pid != os.getpid() and below(one, home)]


def below(process: Any, home: Path) -> bool:
    import psutil

    try:
        return any(Path(each.path).is_relative_to(home) for each in process.open_files())
    except psutil.Error:
        return False


def answer(web: urllib3.PoolManager, port: int, path: str) -> bytes:
    try:
        return web.request("GET", f"http://127.0.0.1:{port}{path}").data
    except urllib3.exceptions.HTTPError:
        return b""


def test_a_sandbox_around_the_server_makes_it_no_bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S3_BUCKET", "somebody-elses")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "theirs")
    with serving("embedded", "s3", settings_for("s3"), tmp_path) as address:
        client = minio.Minio(f"{address.host}:{address.port}", address.user, address.password, secure=False)
        assert client.list_buckets() == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_no_socket_of_a_server_stays_however_it_ends(tmp_path: Path, number: int) -> None:
    with serving("embedded", "s3", settings_for("s3"), tmp_path):
        mine = [path for port in listening(tmp_path) for path in Path("/tmp").glob(f"seaweedfs-*-{port}.sock")]
        assert mine
        if number == signal.SIGKILL:
            for one in running(tmp_path):
                one.kill()
                one.wait(10)
    assert not [path for path in mine if path.exists()]


def test_a_folder_with_any_name_keeps_its_objects_over_a_stop(tmp_path: Path) -> None:
    home = tmp_path / "a, b ü 'c'"
    for run in range(2):
        with serving("embedded", "s3", settings_for("s3"), home, name="dev") as address:
            ground = Ground(SERVICE, settings_for("s3"), address, "durable", tmp_path / "memory")
            access = made(ground, "a")
            assert access.created is (run == 0)
            client = s3_client(access.values)
            if run == 0:
                put(client, access.values["bucket"], "k", b"kept")
            assert client.get_object(access.values["bucket"], "k").data == b"kept"


def test_its_inner_worker_calls_our_own_port_and_no_strangers(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        stranger = taken.getsockname()[1]
        ports = (*range(20_000, 20_008), stranger + 10_000, 30_999)
        place = Place(tmp_path, Address("127.0.0.1", 20_000, "u", "p"), ports, False)
        argv = SERVICE.serve(settings_for("s3"), place).argv
    assert "-admin.port=20999" in argv
    assert "-admin.port.grpc=30999" in argv


@pytest.mark.parametrize(
    ("image", "environment", "port", "login"),
    [
        ("chrislusf/seaweedfs", {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"}, 8333, ("k", "s")),
        ("quay.io/minio/minio:RELEASE.2025", {"MINIO_ROOT_USER": "k", "MINIO_ROOT_PASSWORD": "s"}, 9000, ("k", "s")),
        ("minio/minio@sha256:00", {}, 9000, ("minioadmin", "minioadmin")),
        ("rustfs/rustfs:1", {"RUSTFS_ACCESS_KEY": "k", "RUSTFS_SECRET_KEY": "s"}, 9000, ("k", "s")),
    ],
)
def test_a_running_container_is_understood(
    image: str, environment: dict[str, str], port: int, login: tuple[str, str]
) -> None:
    seen = Observed("shop-s3-1", image, environment, (), {port: ("0.0.0.0", 29_000), 9001: ("0.0.0.0", 29_001)})
    assert SERVICE.adopt(seen) == Address("127.0.0.1", 29_000, *login)
    assert SERVICE.adopt(replace(seen, image="minio/mc")) is None


def test_the_url_of_an_external_server_is_understood() -> None:
    assert SERVICE.external("https://key:s%2Fcret@s3.example?region=eu-west-1") == Address(
        "s3.example", 443, "key", "s/cret", {"region": "eu-west-1", "secure": "true"}
    )
    assert SERVICE.external("http://key:secret@127.0.0.1:9000/") == Address("127.0.0.1", 9000, "key", "secret")


@pytest.mark.parametrize(
    "url",
    [
        "s3://bucket",
        "http://",
        "http://key:topsecret@host/a/path",
        "http://key:topsecret@[::1",
        "http://key:topsecret@host:port",
        "http://key:topsecret/more@host:9000",
        "http://key:1?topsecret@host:9000",
        "http://key:1#topsecret@host:9000",
    ],
)
def test_a_url_that_cannot_be_read_is_told_without_its_secret(url: str) -> None:
    with pytest.raises(ConfigError) as refused:
        SERVICE.external(url)
    assert "topsecret" not in f"{refused.value}{refused.value.cause}{refused.value.hint}"
    assert refused.value.__context__ is None


MINIO = Settings(buckets=("statements", "exports"), image="minio/minio:latest")


@pytest.fixture(scope="module")
def minio_server(private_state: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    """MinIO, where its image is: it can no longer be had from the public hub."""
    if "compose" not in engine_names() or (not required() and not has_image(MINIO.image)):
        pytest.skip("no Docker with MinIO's image here")
    with serving("compose", "s3", MINIO, tmp_path_factory.mktemp("minio")) as address:
        yield address


@pytest.mark.docker
@pytest.mark.parametrize(
    "claim",
    [
        test_services.test_create_twice_is_create_once,
        test_services.test_drop_twice_is_drop_once,
        test_services.test_two_namespaces_do_not_see_each_other,
        test_services.test_drop_leaves_everybody_else_alone,
        test_services.test_create_refuses_what_belongs_to_somebody_else,
        test_services.test_the_credentials_of_what_was_dropped_open_nothing,
        test_services.test_ten_concurrent_creates_give_ten_working_accesses,
        test_services.test_ten_concurrent_creates_of_one_claim_give_one_resource,
        test_services.test_notes_are_kept_with_the_record_and_change_nothing_else,
    ],
    ids=lambda claim: claim.__name__.removeprefix("test_"),
)
def test_minio_is_held_to_the_same_claims(
    minio_server: Address, tmp_path: Path, claim: Callable[[Ground, Hand], None]
) -> None:
    claim(Ground(SERVICE, MINIO, minio_server, f"shop{os.urandom(3).hex()}", tmp_path), HANDS["s3"])


def test_an_external_server_gives_the_same_access(ground: Ground, servers: Servers) -> None:
    place = ground.address
    address = SERVICE.external(f"http://{place.user}:{place.password}@{place.host}:{place.port}")
    assert SERVICE.create(address, ground.settings, ground.claim("a")).values == made(ground, "a").values


def test_a_key_of_one_s_own_is_told_without_a_client(ground: Ground) -> None:
    access = made(ground, "one")
    scoped = access.values["access_key"] != ground.address.user
    assert SERVICE.opens(ground.address, ground.claim("one"), access) == scoped
    made(ground, "two")
    assert not SERVICE.opens(ground.address, ground.claim("two"), access)


def test_a_bucket_that_a_stranger_made_anew_does_not_open(ground: Ground, admin: Any) -> None:
    access, claim = made(ground, "a"), ground.claim("a")
    bucket = access.values["bucket"]
    assert SERVICE.opens(ground.address, claim, access)
    admin.remove_bucket(bucket)
    admin.make_bucket(bucket)
    put(admin, bucket, "k", b"a stranger's")
    assert not SERVICE.opens(ground.address, claim, access)
    with pytest.raises(EnvctlError, match="left alone"):
        SERVICE.create(ground.address, ground.settings, claim)
    assert admin.get_object(bucket, "k").data == b"a stranger's"


def test_a_bucket_that_bears_the_record_of_another_does_not_open(ground: Ground, admin: Any) -> None:
    mine, theirs, claim = made(ground, "mine"), made(ground, "theirs"), ground.claim("mine")
    bucket = mine.values["bucket"]
    own, other = (admin.get_bucket_tags(access.values["bucket"]) for access in (mine, theirs))
    identity = Tags.new_bucket_tags()
    identity.update({**own, "envctl.identity": other["envctl.identity"]})
    for lie in (other, identity):
        admin.set_bucket_tags(bucket, lie)
        assert not SERVICE.opens(ground.address, claim, mine)
    own["cost-centre"] = "a+b=4711"
    admin.set_bucket_tags(bucket, own)
    assert SERVICE.opens(ground.address, claim, mine)


def test_opening_needs_no_client(ground: Ground) -> None:
    import pickle

    access = made(ground, "a")
    asked = """
import pickle, sys
from envctl import services
address, claim, access = pickle.load(sys.stdin.buffer)
assert services.get("s3").opens(address, claim, access)
assert not {"minio", "urllib3"} & set(sys.modules)
"""
    command = Command((sys.executable, "-c", asked), env={"PYTHONPATH": os.pathsep.join(sys.path)})
    with tempfile.TemporaryFile() as script, tempfile.TemporaryFile() as said:
        pickle.dump((ground.address, ground.claim("a"), access), script)
        script.seek(0)
        process = shell.spawn(command, log=said, stdin=script)
        code = process.wait()
        said.seek(0)
        assert code == 0, said.read().decode()


FIXED = {"access_key": "minioadmin", "secret_key": "minioadmin"}


def test_a_fixed_key_opens_every_claims_buckets_and_no_others(ground: Ground, admin: Any) -> None:
    settings = replace(ground.settings, **FIXED)
    claims = [ground.claim(f"fixed{number}") for number in range(6)]
    with ThreadPoolExecutor() as pool:
        given = list(pool.map(lambda one: SERVICE.create(ground.address, settings, one), claims))
    for access, claim in zip(given, claims, strict=True):
        assert {name: access.values[name] for name in FIXED} == FIXED
        assert SERVICE.opens(ground.address, claim, access)
    foreign = f"{ground.project}-foreign"
    admin.make_bucket(foreign)
    assert not wire.sees(ground.address, "minioadmin", "minioadmin", foreign)
    dropped(ground, given[0])
    assert SERVICE.opens(ground.address, claims[1], given[1])
    successor = given[0].resources[0].name
    admin.make_bucket(successor)
    assert not wire.sees(ground.address, "minioadmin", "minioadmin", successor), "its policy went with it"
    changed = SERVICE.create(ground.address, replace(settings, secret_key="another-secret"), claims[1])
    assert SERVICE.opens(ground.address, claims[1], changed)
    assert not SERVICE.opens(ground.address, claims[1], given[1])
    for bucket in (successor, foreign):
        admin.remove_bucket(bucket)
    dropped(ground, *given[1:])


def test_a_fixed_key_that_the_configuration_names_no_more_opens_nothing(ground: Ground, admin: Any) -> None:
    claim, secret = ground.claim("a"), "a-secret-of-the-suite"
    keys = [f"{name}{ground.project}" for name in ("OLD", "NEW")]
    settings = [replace(ground.settings, access_key=key, secret_key=secret) for key in keys]
    bucket = SERVICE.create(ground.address, settings[0], claim).values["bucket"]
    assert wire.sees(ground.address, keys[0], secret, bucket)
    access = SERVICE.create(ground.address, settings[1], claim)
    assert [wire.sees(ground.address, key, secret, bucket) for key in keys] == [False, True]
    access = SERVICE.create(ground.address, ground.settings, claim)
    assert not any(wire.sees(ground.address, key, secret, bucket) for key in keys)
    assert wire.sees(ground.address, access.values["access_key"], access.values["secret_key"], bucket)
    dropped(ground, access)


def test_a_fixed_key_that_is_somebody_elses_is_refused(ground: Ground) -> None:
    claim = ground.claim("theirs")
    theirs = SERVICE.create(ground.address, ground.settings, claim)
    stolen = replace(ground.settings, access_key=theirs.values["access_key"], secret_key="a-secret-of-mine")
    with pytest.raises(EnvctlError) as caught:
        SERVICE.create(ground.address, stolen, ground.claim("mine"))
    assert caught.value.code == "fixed_key"
    assert "a-secret-of-mine" not in caught.value.message + caught.value.cause + caught.value.hint
    assert SERVICE.opens(ground.address, claim, theirs)
    dropped(ground, theirs)


@pytest.mark.parametrize(("key", "secret"), [("abc", ""), ("", "abc"), ("a/b", "c")])
def test_a_fixed_key_is_whole_or_refused(key: str, secret: str) -> None:
    with pytest.raises(ConfigError):
        Settings(access_key=key, secret_key=secret)


def dropped(ground: Ground, *given: Access) -> None:
    for access in given:
        for resource in access.resources:
            SERVICE.drop(ground.address, resource)
