"""The claims that every service must hold, on every engine."""

from __future__ import annotations

import pickle
import re
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from hands import HANDS, Hand
from service_ground import Ground

from envctl import hosts, shell
from envctl.errors import EnvctlError, UnavailableError
from envctl.model import Access, Address, Claim, Command, Resource
from envctl.server_set import Observed, Place

CREATE = """
import pickle, sys
from envctl import services
name, address, settings, claim = pickle.load(sys.stdin.buffer)
service = services.get(name)
service.check(address)
sys.stderr.write("now")
sys.stderr.flush()
service.create(address, settings, claim)
"""


@pytest.fixture
def hand(service: str) -> Hand:
    return HANDS[service]


def made(ground: Ground, namespace: str, worker: str = "") -> Access:
    return ground.service.create(ground.address, ground.settings, ground.claim(namespace, worker))


def listed(ground: Ground) -> set[str]:
    return {each.name for each in ground.service.list(ground.address, ground.project)}


def by_name(resources: Sequence[Resource]) -> list[Resource]:
    return [replace(each, bytes=None) for each in sorted(resources, key=lambda each: each.name)]


def names(access: Access) -> set[str]:
    return {each.name for each in access.resources}


def drop(ground: Ground, access: Access) -> None:
    for each in access.resources:
        ground.service.drop(ground.address, each)


def test_create_twice_is_create_once(ground: Ground, hand: Hand) -> None:
    first = made(ground, "a")
    hand.put(first.values, "k", "kept")
    second = made(ground, "a")
    assert (first.created, second.created) == (True, False)
    assert (second.resources, second.values) == (first.resources, first.values)
    assert hand.get(second.values, "k") == "kept"


def test_drop_twice_is_drop_once(ground: Ground, hand: Hand) -> None:
    access = made(ground, "a")
    hand.put(access.values, "k", "gone")
    drop(ground, access)
    drop(ground, access)
    assert listed(ground) == set()
    assert hand.get(made(ground, "a").values, "k") is None


def test_list_shows_exactly_what_was_made_with_its_record(ground: Ground) -> None:
    everything = [made(ground, "a"), made(ground, "b", "gw0"), made(ground, "b", "gw1")]
    made(ground.stranger(), "a")
    found = ground.service.list(ground.address, ground.project)
    assert by_name(found) == by_name([each for access in everything for each in access.resources])
    for access, claim in zip(everything, [("a", ""), ("b", "gw0"), ("b", "gw1")], strict=True):
        assert [each.owner for each in access.resources] == [ground.claim(*claim).owner] * len(access.resources)


def test_two_namespaces_do_not_see_each_other(ground: Ground, hand: Hand) -> None:
    mine, theirs = made(ground, "mine").values, made(ground, "theirs").values
    hand.put(theirs, "k", "private")
    assert hand.get(mine, "k") is None
    with pytest.raises(hand.refusals):
        hand.get(hand.with_the_key_of(mine, theirs), "k")
    with pytest.raises(hand.refusals):
        hand.put(hand.with_the_key_of(mine, theirs), "k2", "smuggled")
    assert hand.get(theirs, "k") == "private"


def test_two_workers_of_a_namespace_do_not_see_each_other(ground: Ground, hand: Hand) -> None:
    mine, theirs = made(ground, "a", "gw0").values, made(ground, "a", "gw1").values
    hand.put(theirs, "k", "private")
    with pytest.raises(hand.refusals):
        hand.get(hand.with_the_key_of(mine, theirs), "k")


def test_drop_leaves_everybody_else_alone(ground: Ground, hand: Hand) -> None:
    doomed, neighbour = made(ground, "a"), made(ground, "a", "gw0")
    stranger = made(ground.stranger(), "a")
    for kept in (neighbour, stranger):
        hand.put(kept.values, "k", "kept")
    drop(ground, doomed)
    assert listed(ground) == names(neighbour)
    assert listed(ground.stranger()) == names(stranger)
    assert [hand.get(kept.values, "k") for kept in (neighbour, stranger)] == ["kept", "kept"]


@pytest.mark.parametrize(
    "lie",
    [{"namespace": "b"}, {"project": "theirs"}, {"environment": "dev"}],
    ids=str,
)
def test_drop_refuses_a_record_that_is_not_the_one_there(ground: Ground, hand: Hand, lie: dict[str, str]) -> None:
    access = made(ground, "a")
    hand.put(access.values, "k", "kept")
    for each in access.resources:
        assert each.owner is not None
        with pytest.raises(EnvctlError):
            ground.service.drop(ground.address, replace(each, owner=replace(each.owner, **lie)))  # type: ignore[arg-type]
        with pytest.raises(EnvctlError):
            ground.service.drop(ground.address, replace(each, owner=None))
    assert hand.get(made(ground, "a").values, "k") == "kept"


def test_create_refuses_what_belongs_to_somebody_else(ground: Ground, hand: Hand) -> None:
    access = made(ground, "a")
    hand.put(access.values, "k", "kept")
    theirs = ground.claim("a")
    claim = replace(theirs, owner=replace(theirs.owner, namespace="b", workspace="/home/dev/b"))
    with pytest.raises(EnvctlError):
        ground.service.create(ground.address, ground.settings, claim)
    assert hand.get(made(ground, "a").values, "k") == "kept"


@pytest.mark.parametrize(
    ("host", "lease", "bare", "taken"),
    [
        ("other@0123abcd", "0123456789ab", False, True),
        ("other@0123abcd", "", False, True),
        ("other@0123abcd", "", True, True),
        ("other", "0123456789ab", True, True),
        ("other", "", False, True),
        ("other", "", True, False),
    ],
)
def test_on_a_shared_server_nothing_of_another_machine_is_taken_over(
    ground: Ground, hand: Hand, monkeypatch: pytest.MonkeyPatch, host: str, lease: str, bare: bool, taken: bool
) -> None:
    """But a container that was made anew, which has no identity, goes on with what it had."""
    if bare:
        monkeypatch.setattr(hosts, "MACHINE", ground.memory / "no-machine-id")
    mine = ground.claim("a")
    theirs = replace(mine, owner=replace(mine.owner, host=host, lease=lease))
    access = ground.service.create(ground.address, ground.settings, theirs)
    hand.put(access.values, "k", "kept")
    if taken:
        with pytest.raises(EnvctlError):
            ground.service.create(ground.address, ground.settings, replace(mine, shared=True))
    else:
        ground.service.create(ground.address, ground.settings, replace(mine, shared=True))
    assert hand.get(access.values, "k") == "kept"
    assert ground.service.create(ground.address, ground.settings, mine).values == access.values


def test_the_credentials_of_what_was_dropped_open_nothing(ground: Ground, hand: Hand) -> None:
    access, other = made(ground, "a"), made(ground, "b")
    drop(ground, access)
    for place in (access.values, hand.with_the_key_of(access.values, other.values)):
        with pytest.raises(hand.refusals):
            hand.put(place, "k", "ghost")


def test_ten_concurrent_creates_give_ten_working_accesses(ground: Ground, hand: Hand) -> None:
    with ThreadPoolExecutor(10) as pool:
        accesses = list(pool.map(lambda number: made(ground, "many", f"gw{number}"), range(10)))
    for number, access in enumerate(accesses):
        hand.put(access.values, "k", f"value {number}")
    assert [hand.get(access.values, "k") for access in accesses] == [f"value {number}" for number in range(10)]
    assert listed(ground) == set().union(*map(names, accesses))
    for access in accesses:
        drop(ground, access)
    assert listed(ground) == set()


def test_ten_concurrent_creates_of_one_claim_give_one_resource(ground: Ground, hand: Hand) -> None:
    with ThreadPoolExecutor(10) as pool:
        accesses = list(pool.map(lambda _: made(ground, "one"), range(10)))
    assert all(access.resources == accesses[0].resources for access in accesses)
    assert listed(ground) == names(accesses[0])
    hand.put(accesses[0].values, "k", "shared")
    assert [hand.get(access.values, "k") for access in accesses] == ["shared"] * 10


@pytest.mark.parametrize("delay", [0.0, 0.003, 0.01, 0.03, 0.06])
def test_create_that_was_killed_is_finished_by_the_next(
    ground: Ground, service: str, hand: Hand, tmp_path: Path, delay: float
) -> None:
    killed_create(ground, service, ground.claim("a"), tmp_path / "log", delay)
    access = made(ground, "a")
    hand.put(access.values, "k", "works")
    assert hand.get(access.values, "k") == "works"
    assert listed(ground) == names(access)
    drop(ground, access)
    assert listed(ground) == set()


def killed_create(ground: Ground, service: str, claim: Claim, log: Path, delay: float) -> None:
    """A process that creates, and is killed so many seconds after it began to."""
    command = Command((sys.executable, "-c", CREATE), env={"PYTHONPATH": ":".join(sys.path)})
    with tempfile.TemporaryFile() as what, log.open("wb") as said:
        pickle.dump((service, ground.address, ground.settings, claim), what)
        what.seek(0)
        process = shell.spawn(command, log=said, stdin=what)
    while log.read_bytes() != b"now":
        assert process.poll() is None, log.read_text()
        time.sleep(0.001)
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_notes_are_kept_with_the_record_and_change_nothing_else(ground: Ground, hand: Hand) -> None:
    access = made(ground, "a")
    hand.put(access.values, "k", "kept")
    for notes in ({"migrated": "0f" * 32, "state": "ready, so far: ünïcode \"quoted\" 'twice'"}, {"migrated": "1"}):
        for each in access.resources:
            ground.service.note(ground.address, each, notes)
        found = ground.service.list(ground.address, ground.project)
        assert [each.owner.notes for each in found if each.owner] == [notes] * len(access.resources)
        assert all(each.owner == replace(ground.claim("a").owner, notes=notes) for each in found)
    again = made(ground, "a")
    assert [each.owner.notes for each in again.resources if each.owner] == [notes] * len(access.resources)
    assert hand.get(again.values, "k") == "kept"
    drop(ground, access)
    assert listed(ground) == set()


def test_values_are_exactly_the_placeholders(ground: Ground) -> None:
    values = made(ground, "a").values
    assert sorted(values) == sorted(ground.service.placeholders(ground.settings))
    assert all(isinstance(value, str) for value in values.values())


def test_exports_refer_to_what_there_is(ground: Ground) -> None:
    there = {f"{ground.service.name}.{key}" for key in ground.service.placeholders(ground.settings)}
    referred = [re.findall(r"{([^}:]+)", text) for text in ground.service.exports.values()]
    assert all(referred)
    assert {name for found in referred for name in found} <= there


def test_secrets_are_in_no_representation_and_no_argument(ground: Ground, tmp_path: Path) -> None:
    password = "very-secret-password"
    program = ground.service.program(ground.settings)
    address = Address("127.0.0.1", 20_000, program.user, password)
    place = Place(tmp_path, address, tuple(range(20_000, 20_000 + program.ports)), True)
    commands = (*ground.service.init(ground.settings, place), ground.service.serve(ground.settings, place))
    assert password not in repr((address, place, commands))
    claim = ground.claim("a")
    access = made(ground, "a")
    shown = repr((claim, access, ground.address))
    secrets = {value for key, value in access.values.items() if "password" in key or "secret" in key}
    assert not [one for one in (*secrets, claim.secret, ground.address.password) if one in shown]


def test_a_container_is_told_its_password_by_its_environment_and_is_recognised_by_it(ground: Ground) -> None:
    container = ground.service.container(ground.settings)
    assert "${ENVCTL_PASSWORD}" in container.environment.values()
    assert "ENVCTL_PASSWORD" not in " ".join(container.command)
    environment = {
        key: value.replace("${ENVCTL_PASSWORD}", "pa$$ w0rd") for key, value in container.environment.items()
    }
    seen = Observed("x-1", container.image, environment, container.command, {container.port: ("0.0.0.0", 40_000)})
    address = ground.service.adopt(seen)
    assert address is not None
    assert (address.host, address.port, address.password) == ("127.0.0.1", 40_000, "pa$$ w0rd")
    assert ground.service.adopt(replace(seen, ports={})) is None
    assert ground.service.adopt(Observed("y-1", "busybox:1", {}, (), dict(seen.ports))) is None


def test_check_tells_the_version_of_a_server_and_that_there_is_none(ground: Ground) -> None:
    assert re.search(r"\d", ground.service.check(ground.address))
    with pytest.raises(UnavailableError):
        ground.service.check(replace(ground.address, port=1))
    with pytest.raises(EnvctlError):
        ground.service.check(replace(ground.address, password="wrong"))


def test_what_was_given_opens_as_long_as_it_is_the_claim_s_own_and_no_longer(ground: Ground) -> None:
    """A service that cannot tell says no, always: then `create` is asked, which can."""
    access = made(ground, "remembered")
    claim = ground.claim("remembered")
    could_tell = ground.service.opens(ground.address, claim, access)
    drop(ground, access)
    assert not ground.service.opens(ground.address, claim, access), "it is gone"
    other = made(ground, "somebody-else")
    assert not ground.service.opens(ground.address, claim, access), "and what is there now is another's"
    again = made(ground, "remembered")
    assert ground.service.opens(ground.address, claim, again) == could_tell
    drop(ground, other)
    drop(ground, again)


def test_what_was_given_does_not_open_where_nobody_answers(ground: Ground) -> None:
    access = made(ground, "remembered")
    nowhere = replace(ground.address, port=1)
    assert not ground.service.opens(nowhere, ground.claim("remembered"), access)
    drop(ground, access)
