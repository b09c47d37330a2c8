from __future__ import annotations

import stat
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from envctl import engines, held, leases, state
from envctl.held import Lease
from envctl.model import Address, Holder
from envctl.server_set import Running, Server

HOLDER = Holder("held", "feature_a", "/w", "dev run", "2026-01-01T00:00:00+00:00", 7)
text = some.dictionaries(some.text(), some.text(), max_size=3)
addresses = some.builds(Address, some.text(), some.integers(1, 65535), some.text(), some.text(), text)
servers = some.dictionaries(some.text(), some.builds(Server, addresses, text), max_size=3)


@given(some.builds(Running, some.sampled_from(["embedded", "compose", "external"]), servers, some.booleans(), text))
def test_a_record_reads_back_as_it_was_written(tmp_path_factory: pytest.TempPathFactory, running: Running) -> None:
    home = tmp_path_factory.mktemp("set")
    leases.write_record(home, running)
    assert leases.record(home) == running


def test_a_record_is_private_since_it_has_passwords(tmp_path: Path) -> None:
    leases.write_record(tmp_path, Running("embedded", {"postgres": Server(Address("127.0.0.1", 1, "u", "secret"))}))
    assert stat.S_IMODE((tmp_path / "servers.json").stat().st_mode) == 0o600
    assert "secret" not in repr(leases.record(tmp_path))


def test_a_set_that_never_was_has_no_record_no_holders_and_nothing_to_stop(tmp_path: Path) -> None:
    assert leases.record(tmp_path) is None
    assert leases.holders(tmp_path) == ()
    assert not leases.unpin(tmp_path, "feature_a")
    assert not leases.stop_unused(tmp_path, engines.get("embedded"))
    assert not leases.stop_all(tmp_path, engines.get("embedded"))
    assert list(tmp_path.iterdir()) == []


def test_a_lease_is_a_locked_file_that_tells_who_it_is(tmp_path: Path) -> None:
    lease = Lease.taken(tmp_path / "leases", HOLDER)
    assert leases.holders(tmp_path) == (HOLDER,)
    lease.drop()
    assert leases.holders(tmp_path) == ()
    assert list((tmp_path / "leases").iterdir()) == []


def test_a_lease_counts_whatever_its_text_says(tmp_path: Path) -> None:
    lease = Lease.taken(tmp_path / "leases", HOLDER)
    lease.path.write_text('{"pid": ')
    assert [one.kind for one in leases.holders(tmp_path)] == ["held"]
    lease.drop()


def test_the_next_lease_removes_what_dead_ones_left_and_no_living_one(tmp_path: Path) -> None:
    folder = state.folder(tmp_path / "leases")
    (folder / "dead").write_text("{}")
    (folder / ".half").touch()
    first = Lease.taken(folder, HOLDER)
    second = Lease.taken(folder, HOLDER)
    assert sorted(folder.iterdir()) == sorted([first.path, second.path])
    first.drop()
    second.drop()


def test_waiting_for_no_lease_ends_at_once_and_removes_the_dead(tmp_path: Path) -> None:
    folder = state.folder(tmp_path / "leases")
    (folder / "dead").write_text("{}")
    held.until_free(folder)
    held.until_free(tmp_path / "none")
    assert list(folder.iterdir()) == []


def test_a_pin_that_was_damaged_still_counts_and_still_has_its_name(tmp_path: Path) -> None:
    (state.folder(tmp_path / "pins") / "feature_a").write_text("{")
    assert [(one.kind, one.namespace) for one in leases.holders(tmp_path)] == [("pinned", "feature_a")]


def test_stopping_all_gives_up_the_pin_of_a_checkout_that_is_gone_so_that_its_return_pins_nothing(
    tmp_path: Path,
) -> None:
    home, checkout = tmp_path / "set", tmp_path / "checkout"
    leases.write_record(home, Running("embedded", {}))
    state.write(home / "pins" / "feature_a", asdict(replace(HOLDER, workspace=str(checkout))))
    leases.stop_all(home, engines.get("embedded"))
    checkout.mkdir()
    assert leases.holders(home) == ()
