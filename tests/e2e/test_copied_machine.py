"""A copy of a machine has its state folder too: what both reach is the original's, what one alone has is its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from world_making import WAIT, Made
from world_parts import made
from world_servers import Ground
from worlds import Place, Run, World

from envctl import clean, hosts, residue
from envctl.clean import Outcome, Plan, Scope
from envctl.runs import folders

pytestmark = pytest.mark.embedded
SHOP = World("shop", "shop_test", places=(Place("feature/gone", end="removed"),), runs=(Run("dead", 0),))
EVERYTHING = Scope(everything=True)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The original."""
    (tmp_path / "machine-id").write_text("0123456789abcdef0123456789abcdef\n")
    monkeypatch.setattr(hosts, "MACHINE", tmp_path / "machine-id")
    monkeypatch.setattr(hosts, "_name", lambda: "original")


def copied(there: Made, monkeypatch: pytest.MonkeyPatch) -> Path:
    """From here on this is the copy, which was started for itself. The folder of the run is the answer."""
    (folder,) = (one for one in (there.desk.home / "runs").iterdir() if one.is_dir())
    folders.write(folder, replace(folders.read(folder), host=hosts.recorded(), boot="the original's"))
    monkeypatch.setattr(hosts, "_name", lambda: "copy")
    return folder


def planned(there: Made, scope: Scope) -> Plan:
    return clean.planned(there.desk, scope, wait=WAIT, talk=print)


def applied(there: Made, scope: Scope) -> tuple[Outcome, ...]:
    return clean.apply(there.desk, planned(there, scope), wait=WAIT, talk=print)


def test_what_the_original_has_on_a_shared_server_is_left_alone_until_its_branch_is_named(
    shared: Ground, machine: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with made(replace(SHOP, engine="external"), shared) as there:
        folder, before = copied(there, monkeypatch), there.listing()
        for scope in (Scope(), EVERYTHING):
            applied(there, scope)
            assert there.listing() == before
        assert folder.exists()
        assert not (folder / residue.VERDICT).exists(), "the original would take its own run for a dead one"
        on_server = [one for one in planned(there, Scope()).actions if one.finding.resource.service == "postgres"]
        assert {one.finding.verdict for one in on_server} == {"unexplained"}
        (remedy,) = {one.finding.remedy for one in on_server}
        assert all("the host original" in one.why for one in on_server)
        with monkeypatch.context() as patch:
            patch.setattr(hosts, "former", frozenset)
            assert {one.finding.remedy for one in planned(there, Scope()).actions} == {""}, "this is nobody's copy"
        named = replace(EVERYTHING, branch=remedy.rpartition(" ")[2])
        applied(there, named)
        assert before.keys() - there.listing().keys() - {("login", "shop_owner")} == there.fates.keys()


def test_what_came_along_on_servers_of_its_own_is_the_copys(
    shared: Ground, machine: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with made(SHOP, shared) as there:
        folder = copied(there, monkeypatch)
        applied(there, Scope())
        assert not folder.exists()
        assert not {key for key, fate in there.fates.items() if fate == "goes"} & there.listing().keys()
