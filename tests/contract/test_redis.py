"""What is said of redis alone."""

from __future__ import annotations

import socketserver
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import redis
from hands import redis_client
from service_ground import Ground, Servers, serving

from envctl.errors import ConfigError, EnvctlError, UnavailableError
from envctl.model import Access, Address
from envctl.server_set import Observed
from envctl.services.redis import SERVICE, Settings
from envctl.services.redis.registry import HASH, literal

PREFIX = Settings(isolation="prefix")


@pytest.fixture
def service() -> str:
    return "redis"


@pytest.fixture
def admin(ground: Ground) -> Iterator[Any]:
    place = ground.address
    with closing(redis.Redis(place.host, place.port, password=place.password, decode_responses=True)) as client:
        yield client


def made(ground: Ground, namespace: str, settings: Settings | None = None) -> Access:
    return SERVICE.create(ground.address, settings or Settings(), ground.claim(namespace))


ESCAPES = [
    ("SELECT", "{theirs}"),
    ("MOVE", "own", "{theirs}"),
    ("COPY", "own", "copy", "DB", "{theirs}"),
    ("SWAPDB", "{mine}", "{theirs}"),
    ("FLUSHALL",),
    ("EVAL", "redis.call('SELECT', '{theirs}') return redis.call('GET', 'k')", "0"),
    ("EVAL", "return redis.call('FLUSHALL')", "0"),
    ("CONFIG", "GET", "requirepass"),
    ("ACL", "SETUSER", "default", "on", "nopass"),
    ("ACL", "LIST"),
    ("CLIENT", "LIST"),
    ("CLIENT", "KILL", "TYPE", "normal"),
    ("CLIENT", "PAUSE", "1"),
    ("CLIENT", "TRACKING", "ON", "BCAST"),
    ("MONITOR",),
    ("SHUTDOWN", "NOSAVE"),
    ("SAVE",),
    ("REPLICAOF", "127.0.0.1", "1"),
    ("MIGRATE", "127.0.0.1", "1", "own", "{theirs}", "1"),
    ("FUNCTION", "FLUSH"),
    ("SCRIPT", "FLUSH"),
]


@pytest.mark.parametrize("command", ESCAPES, ids=" ".join)
def test_a_namespace_cannot_reach_beyond_its_number(ground: Ground, command: tuple[str, ...]) -> None:
    mine, theirs = made(ground, "mine").values, made(ground, "theirs").values
    with redis_client(theirs) as client:
        client.set("k", "private")
    with redis_client(mine) as client:
        client.set("own", "x")
        words = [word.replace("{mine}", mine["number"]).replace("{theirs}", theirs["number"]) for word in command]
        with pytest.raises(redis.ResponseError, match=r"(?i)permission"):
            client.execute_command(*words)
    with redis_client(theirs) as client:
        assert client.get("k") == "private"


def test_a_namespace_can_do_what_applications_do(ground: Ground) -> None:
    connect: Any = redis.Redis.from_url
    with connect(made(ground, "a").values["url"], decode_responses=True) as client:
        client.set("k", "v", ex=60)
        client.rpush("list", 2, 1)
        assert set(client.keys("*")) == {"k", "list"}
        assert client.sort("list") == ["1", "2"]
        assert client.register_script("return redis.call('GET', KEYS[1])")(keys=["k"]) == "v"
        assert client.pipeline().incr("n").incr("n").execute() == [1, 2]
        assert client.info("server")["redis_version"]
        with client.pubsub() as channel:
            channel.subscribe("news")
            assert channel.get_message(timeout=5)
        client.flushdb()
        assert client.dbsize() == 0


def test_flushdb_of_one_namespace_empties_no_other(ground: Ground) -> None:
    mine, theirs = made(ground, "mine").values, made(ground, "theirs").values
    with redis_client(mine) as one, redis_client(theirs) as other:
        other.set("k", "kept")
        one.flushdb()
        assert other.get("k") == "kept"


def test_a_number_that_holds_a_strangers_data_is_stepped_over(ground: Ground, admin: Any) -> None:
    probe = made(ground, "probe")
    number = probe.values["number"]
    SERVICE.drop(ground.address, probe.resources[0])
    with redis_client({**probe.values, "user": "", "password": ground.address.password}) as stranger:
        stranger.set("k", "a stranger's")
        assert made(ground, "a").values["number"] != number
        assert stranger.get("k") == "a stranger's"
        stranger.flushdb()


def test_a_number_that_was_dropped_is_used_again(ground: Ground) -> None:
    first, second = made(ground, "a"), made(ground, "b")
    SERVICE.drop(ground.address, first.resources[0])
    assert made(ground, "c").values["number"] == first.values["number"] != second.values["number"]


def test_an_entry_that_cannot_be_read_is_listed_and_never_dropped(ground: Ground, admin: Any) -> None:
    access = made(ground, "a")
    with redis_client(access.values) as client:
        client.set("k", "kept")
    name = access.resources[0].name
    text = str(admin.hget(HASH, name))
    admin.hset(HASH, name, text.replace('"envctl":1', '"envctl":99'))
    (found,) = [each for each in SERVICE.list(ground.address, ground.project) if each.name == name]
    assert found.owner is None
    for each in (found, access.resources[0]):
        with pytest.raises(EnvctlError, match="left alone"):
            SERVICE.drop(ground.address, each)
    admin.hset(HASH, name, text)
    with redis_client(access.values) as client:
        assert client.get("k") == "kept"


def test_what_is_in_use_is_not_dropped_unless_its_sessions_are_to_end(ground: Ground) -> None:
    access = made(ground, "a")
    with redis_client(access.values) as client:
        client.set("k", "kept")
        with pytest.raises(EnvctlError, match="left alone") as refused:
            SERVICE.drop(ground.address, access.resources[0])
        assert refused.value.code == "in_use"
        assert client.get("k") == "kept"
        SERVICE.drop(ground.address, access.resources[0], sessions="end")
        with pytest.raises(redis.RedisError):
            client.get("k")
    assert SERVICE.list(ground.address, ground.project) == []


@pytest.mark.parametrize("lie", [{"worker": "gw0"}, {"created": "2025-01-01"}], ids=str)
def test_what_was_made_again_since_it_was_listed_is_not_dropped(ground: Ground, lie: dict[str, str]) -> None:
    (there,) = made(ground, "a").resources
    assert there.owner
    with pytest.raises(EnvctlError, match="left alone"):
        SERVICE.drop(ground.address, replace(there, owner=replace(there.owner, **lie)))  # type: ignore[arg-type]
    assert SERVICE.list(ground.address, ground.project) == [there]


def test_numbers_that_run_out_are_an_error_with_a_remedy(tmp_path: Path, servers: Servers) -> None:
    with serving(servers.engine, "redis", Settings(databases=3), tmp_path) as address:
        few = Ground(SERVICE, Settings(databases=3), address, "few", tmp_path)
        numbers = [made(few, namespace).values["number"] for namespace in ("a", "b")]
        assert numbers == ["1", "2"]
        with pytest.raises(EnvctlError, match="no free redis database") as refused:
            made(few, "c")
        assert "databases" in refused.value.hint
        assert made(few, "c", PREFIX).values["number"] == "0"
        assert made(few, "b").values["number"] == "2"


def test_the_url_of_a_server_on_an_ipv6_address_can_be_read_by_clients(tmp_path: Path) -> None:
    with serving("embedded", "redis", Settings(), tmp_path) as address:
        with closing(redis.Redis(address.host, address.port, password=address.password)) as admin:
            admin.config_set("bind", "127.0.0.1 ::1")
        ground = Ground(SERVICE, Settings(), replace(address, host="::1"), "sixth", tmp_path)
        with closing(redis.Redis.from_url(made(ground, "a").values["url"])) as client:
            assert client.ping()


def test_a_prefix_is_as_tight_as_a_number(ground: Ground) -> None:
    mine, theirs = made(ground, "mine", PREFIX).values, made(ground, "mine_too", PREFIX).values
    with redis_client(mine) as client, redis_client(theirs) as other:
        other.set(f"{theirs['prefix']}k", "private")
        client.set(f"{mine['prefix']}k", "own")
        attempts: list[Callable[[], Any]] = [
            lambda: client.get(f"{theirs['prefix']}k"),
            lambda: client.set("bare", "x"),
            lambda: client.hgetall(HASH),
            lambda: client.flushdb(),
            lambda: client.publish(f"{theirs['prefix']}news", "x"),
        ]
        for attempt in attempts:
            with pytest.raises(redis.ResponseError, match=r"(?i)permission"):
                attempt()
        assert client.get(f"{mine['prefix']}k") == "own"


def test_drop_of_a_prefix_removes_its_keys_and_no_others(ground: Ground) -> None:
    doomed, kept = made(ground, "a", PREFIX), made(ground, "a_b", PREFIX)
    with redis_client(doomed.values) as client, redis_client(kept.values) as other:
        client.mset({f"{doomed.values['prefix']}{number}": "x" for number in range(1200)})
        other.set(f"{kept.values['prefix']}k", "kept")
    SERVICE.drop(ground.address, doomed.resources[0])
    with redis_client(kept.values) as other:
        assert list(other.scan_iter(f"{ground.project}*")) == [f"{kept.values['prefix']}k"]


def test_a_prefix_is_matched_to_the_letter() -> None:
    assert literal("a*b?[c]^\\-d") == "a\\*b\\?\\[c\\]\\^\\\\\\-d"


def test_an_administrator_who_may_make_no_logins_shares_his_own(ground: Ground, admin: Any) -> None:
    team = f"team{ground.project}"
    admin.execute_command("ACL", "SETUSER", team, "reset", "on", ">pw", "~*", "&*", "+@all", "-acl", "-client|list")
    try:
        address = Address(ground.address.host, ground.address.port, team, "pw")
        access = SERVICE.create(address, Settings(), ground.claim("a"))
        assert (access.values["user"], access.values["password"]) == (team, "pw")
        with redis_client(access.values) as client:
            client.set("k", "v")
        SERVICE.drop(address, access.resources[0])
        assert made(ground, "a").created
    finally:
        admin.execute_command("ACL", "DELUSER", team)


def test_durable_data_survive_a_stop_and_logins_are_made_again(tmp_path: Path, servers: Servers) -> None:
    if servers.engine != "embedded":
        pytest.skip("stop and start of one set is this engine's own test elsewhere")
    values: dict[str, Any] = {}
    for run in range(2):
        with serving("embedded", "redis", Settings(), tmp_path, name="dev") as address:
            ground = Ground(SERVICE, Settings(), address, "durable", tmp_path)
            access = made(ground, "a")
            assert access.created is (run == 0)
            with redis_client(access.values) as client:
                assert client.get("k") == values.get("k")
                client.set("k", "kept")
                values["k"] = "kept"


@pytest.mark.parametrize(
    ("command", "environment", "password"),
    [
        (("redis-server", "--appendonly", "yes", "--requirepass", "pw"), {}, "pw"),
        (("sh", "-c", 'redis-server --requirepass "p w"'), {}, "p w"),
        (("sh", "-c", "redis-server --requirepass $REDIS_PASSWORD"), {"REDIS_PASSWORD": "pw"}, "pw"),
        ((), {"VALKEY_PASSWORD": "pw"}, "pw"),
        ((), {"REDIS_ARGS": "--requirepass pw"}, "pw"),
        (("sh", "-c", "don't"), {}, ""),
    ],
)
def test_a_running_container_is_understood(
    command: tuple[str, ...], environment: dict[str, str], password: str
) -> None:
    seen = Observed("shop-redis-1", "docker.io/library/redis:7-alpine", environment, command, {6379: ("::", 26379)})
    assert SERVICE.adopt(seen) == Address("127.0.0.1", 26379, password=password)


def test_the_url_of_an_external_server_is_understood() -> None:
    assert SERVICE.external("redis://team:p%40ss@db.example:7000/4") == Address(
        "db.example", 7000, "team", "p@ss", {"number": "4"}
    )
    assert SERVICE.external("rediss://cache") == Address("cache", 6379, options={"secure": "true"})


@pytest.mark.parametrize(
    "url",
    [
        "http://x",
        "redis://",
        "redis://u:topsecret@h/not-a-number",
        "redis://u:topsecret@h/²",
        "redis://u:topsecret@[::1/0",
        "redis://u:topsecret@host:port/0",
        "redis://u:topsecret@host:99999/0",
        "redis://u:topsecret/more@host:6379/0",
        "redis://u:1/topsecret@host:6379/0",
        "redis://u:1?topsecret@host:6379/0",
        "redis://u:1#topsecret@host:6379/0",
    ],
)
def test_a_url_that_cannot_be_read_is_told_without_its_password(url: str) -> None:
    with pytest.raises(ConfigError) as refused:
        SERVICE.external(url)
    assert "topsecret" not in f"{refused.value}{refused.value.cause}{refused.value.hint}"
    assert refused.value.__context__ is None


def test_a_login_of_one_s_own_is_told_without_a_client(ground: Ground) -> None:
    access = made(ground, "one")
    assert SERVICE.opens(ground.address, ground.claim("one"), access) == (access.values["user"] != ground.address.user)
    assert not SERVICE.opens(ground.address, ground.claim("two"), access)


def test_a_registry_that_was_lost_gives_no_number_that_a_login_still_opens(tmp_path: Path, servers: Servers) -> None:
    with serving(servers.engine, "redis", Settings(), tmp_path) as address:
        ground = Ground(SERVICE, Settings(), address, "lost", tmp_path)
        mine, prefixed = made(ground, "mine"), made(ground, "prefixed", PREFIX)
        assert SERVICE.opens(address, ground.claim("mine"), mine)
        assert SERVICE.opens(address, ground.claim("prefixed"), prefixed)
        with closing(redis.Redis(address.host, address.port, password=address.password)) as admin:
            admin.flushall()
        assert not SERVICE.opens(address, ground.claim("mine"), mine)
        assert not SERVICE.opens(address, ground.claim("prefixed"), prefixed)
        theirs = made(ground, "theirs")
        with redis_client(mine.values) as client, pytest.raises(redis.ResponseError, match=r"(?i)permission"):
            client.select(int(theirs.values["number"]))
        again = made(ground, "mine")
        assert again.values["number"] == mine.values["number"] != theirs.values["number"]
        assert SERVICE.opens(address, ground.claim("mine"), again)
        assert SERVICE.opens(address, ground.claim("theirs"), theirs)


@pytest.mark.parametrize(
    ("old", "new"),
    [('"namespace":"a"', '"namespace":"b"'), ("number:", "number:1"), ('"envctl":1', '"envctl":99'), ("number:", "")],
)
def test_a_number_that_the_registry_gives_to_another_does_not_open(
    ground: Ground, admin: Any, old: str, new: str
) -> None:
    access, claim = made(ground, "a"), ground.claim("a")
    text = str(admin.hget(HASH, claim.identity))
    assert old in text
    assert SERVICE.opens(ground.address, claim, access)
    admin.hset(HASH, claim.identity, text.replace(old, new))
    assert not SERVICE.opens(ground.address, claim, access)
    admin.hset(HASH, claim.identity, text)


def test_an_external_server_with_a_home_of_its_own_opens(ground: Ground) -> None:
    address = replace(ground.address, user="default", options={"number": "4242"})
    access = SERVICE.create(address, Settings(), ground.claim("a"))
    try:
        assert SERVICE.opens(address, ground.claim("a"), access)
        assert not SERVICE.opens(ground.address, ground.claim("a"), access)
        assert not SERVICE.opens(replace(address, password="wrong"), ground.claim("a"), access)
    finally:
        SERVICE.drop(address, access.resources[0])


@contextmanager
def answering(*answers: bytes) -> Iterator[Address]:
    """A program that is no Redis: to whatever it hears, it says the next of these, and the last one ever after."""

    class Foreign(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            rest = list(answers)
            while self.request.recv(65536):
                self.request.sendall(rest.pop(0) if len(rest) > 1 else rest[0])

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Foreign) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield Address("127.0.0.1", server.server_address[1], password="topsecret")
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    "answers",
    [
        (b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",),
        (b"\xff\xfe\xfd\r\n" * 9,),
        (b"+\xff\xfe\r\n" * 9,),
        (b":abc\r\n" * 9,),
        (b"$abc\r\n" * 9,),
        (b":1\r\n" * 9,),
        (b"$-1\r\n" * 9,),
        (b"*1\r\n:1\r\n" * 9,),
        (b"+OK\r\n" * 9,),
        (b"+OK\r\n", b"+OK\r\n+OK\r\n", b"+PONG\r\n"),
        (b"+OK\r\n", b"+OK\r\n+OK\r\n", b"+PONG\r\n", b":1\r\n"),
        (b"+OK\r\n", b"+OK\r\n+OK\r\n", b"+PONG\r\n", b"*1\r\n:1\r\n"),
        (b"-ERR unknown command 'AUTH', with args beginning with: 'topsecret'\r\n" * 9,),
        (b"-WRONGPASS topsecret\r\n" * 9,),
    ],
    ids=lambda answers: repr(answers[-1][:12]),
)
def test_what_is_no_redis_is_told_in_one_error_without_the_password(ground: Ground, answers: tuple[bytes, ...]) -> None:
    access = made(ground, "a")
    with answering(*answers) as address:
        with pytest.raises(EnvctlError) as refused:
            SERVICE.check(address)
        assert isinstance(refused.value, UnavailableError) or refused.value.code == "password"
        assert "topsecret" not in f"{refused.value}{refused.value.cause}{refused.value.hint}"
        assert not SERVICE.opens(address, ground.claim("a"), access)
        if b"+PONG\r\n" not in answers:
            with pytest.raises(EnvctlError, match="does not"):
                SERVICE.list(address, ground.project)
