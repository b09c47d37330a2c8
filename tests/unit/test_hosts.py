"""Which machine made something: two of one name are two, and one that was renamed is still itself."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from test_runs import claim, died, open_runs, project, told
from test_verdicts import DEV, FACTS, database

from envctl import hosts, leases, residue, sandbox, state
from envctl.inventory import evidence
from envctl.inventory.verdicts import Facts, judge
from envctl.model import Address, EngineName, Owner
from envctl.project import Project
from envctl.recovery import cleaning
from envctl.runs import folders
from envctl.server_set import Running, Server

__all__ = ["claim", "open_runs", "project", "told"]

IDENTITIES = "0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file in which the system keeps its identity."""
    path = tmp_path / "machine-id"
    path.write_text(f"{IDENTITIES[0]}\n")
    monkeypatch.setattr(hosts, "MACHINE", path)
    return path


def called(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(hosts, "_name", lambda: name)


def earlier_boot(folder: Path) -> None:
    """The run began before this machine was started anew, or while another one was up."""
    folders.write(folder, replace(folders.read(folder), boot="another boot"))
    (folder / residue.UNTOUCHED).touch()


def test_the_identity_itself_is_never_shown(machine: Path, project: Project) -> None:
    folder = died(project).folder
    assert folders.read(folder).host == hosts.this_host() == sandbox.owner(project).host
    assert IDENTITIES[0][:8] not in (folder / residue.RECORD).read_text()
    assert hosts.name(hosts.this_host()) == hosts._name()


@pytest.mark.parametrize("content", ["", "uninitialized\n", None])
def test_a_machine_without_an_identity_has_its_name(machine: Path, content: str | None) -> None:
    machine.unlink() if content is None else machine.write_text(content)
    assert hosts.this_host() == hosts._name()


def test_a_run_of_another_machine_of_this_name_is_not_judged_dead(machine: Path, project: Project) -> None:
    folder = died(project).folder
    earlier_boot(folder)
    machine.write_text(f"{IDENTITIES[1]}\n")
    report = cleaning.clean(folder)
    assert (report.verdict, folder.exists()) == ("later", True)
    assert f"another machine called {hosts._name()}" in report.later[0]
    assert evidence.gather(project).runs == {}
    machine.write_text(f"{IDENTITIES[0]}\n")
    assert cleaning.clean(folder).verdict == "clean"


def test_a_machine_that_was_renamed_judges_what_it_left(
    machine: Path, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = hosts.this_host()
    folder = died(project).folder
    earlier_boot(folder)
    called(monkeypatch, "renamed")
    facts = evidence.gather(project)
    assert facts.host.startswith("renamed@")
    assert facts.ours(before)
    assert cleaning.clean(folder).verdict == "clean"


@pytest.mark.parametrize(
    ("engine", "address", "expected"),
    [
        ("external", "127.0.0.1", "later"),
        ("compose", "127.0.0.1", "clean"),
        ("compose", "docker.example.org", "later"),
        ("compose", "", "later"),
    ],
)
def test_a_former_name_is_believed_only_where_no_other_machine_comes(
    machine: Path, project: Project, monkeypatch: pytest.MonkeyPatch, engine: EngineName, address: str, expected: str
) -> None:
    """A copy of a machine has its state folder, and the run may be the original's, at work."""
    folder = died(project).folder
    earlier_boot(folder)
    record = replace(folders.read(folder), engine=engine)
    folders.write(folder, record)
    if address:
        leases.write_record(Path(record.home), Running(engine, {"postgres": Server(Address(address, 5432))}))
    called(monkeypatch, "copy")
    assert cleaning.clean(folder).verdict == expected
    assert evidence.gather(project).runs == {}


@pytest.mark.parametrize("kind", ["file", "fifo", "link to nowhere"])
def test_what_is_no_memory_of_former_names_is_nobodys_trouble(machine: Path, project: Project, kind: str) -> None:
    root = state.folder(state.root())
    if kind == "file":
        (root / "hosts").write_text("")
    elif kind == "fifo":
        os.mkfifo(root / "hosts")
    else:
        (root / "hosts").symlink_to("/nowhere")
    assert hosts.recorded() == hosts.this_host()
    assert hosts.former() == frozenset()
    folder = died(project).folder
    earlier_boot(folder)
    assert cleaning.clean(folder).verdict == "clean"


def test_a_copy_of_a_machine_is_another_one(machine: Path, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has the same identity. What it calls itself since, this state folder has never been told."""
    died(project)
    assert not evidence.gather(project).ours(f"copy@{hosts.this_host().partition('@')[2]}")


@pytest.mark.parametrize(("engine", "expected"), [("embedded", "clean"), ("external", "later"), ("compose", "later")])
def test_an_older_record_with_a_name_alone_tells_only_of_servers_of_our_own(
    machine: Path, project: Project, engine: str, expected: str
) -> None:
    folder = died(project).folder
    earlier_boot(folder)
    content = json.loads((folder / residue.RECORD).read_text())
    (folder / residue.RECORD).write_text(json.dumps({**content, "host": hosts._name(), "engine": engine}))
    assert cleaning.clean(folder).verdict == expected


def test_dev_data_on_a_shared_server_are_judged_by_the_machine_that_made_them_alone() -> None:
    """A former name is another's there: it may be that of the machine which this one is a copy of."""
    facts = replace(FACTS, host="laptop@1", hosts=frozenset({"desk@1", "laptop@1"}))
    hostnames = ["laptop@1", "desk@1", "laptop@2", "laptop", "desk@2", "other@1"]
    seen = {one: replace(database(owner=replace(DEV, host=one)), reach="network") for one in hostnames}
    found = {one: judge(thing, facts) for one, thing in seen.items()}
    assert [found[one].verdict for one in hostnames] == ["orphan", *["unexplained"] * 5]
    assert [one for one in hostnames if found[one].remedy] == ["laptop@1", "desk@1"]
    assert found["desk@1"].remedy == "envctl clean --all --branch feature_x"
    assert [one for one in hostnames if found[one].elsewhere] == hostnames[1:]
    assert judge(replace(seen["desk@1"], reach="ours"), facts).verdict == "orphan"
    assert "on the host desk, as this machine or the one that it is a copy of was called" in found["desk@1"].reason
    assert "on another machine called laptop," in found["laptop@2"].reason
    assert "on some machine called laptop," in found["laptop"].reason
    assert "on the host desk," in found["desk@2"].reason


def test_what_has_a_former_name_has_a_remedy_only_where_a_persons_word_is_enough() -> None:
    facts, desk = replace(FACTS, host="laptop@1", hosts=frozenset({"desk@1"})), replace(DEV, host="desk@1")
    aside = replace(desk, notes={"kind": "quarantine", "until": "2026-04-01T00:00:00+00:00"})
    run = replace(desk, environment="test", lease="unknown", worker="gw0")

    def remedy(name: str, owner: Owner, facts: Facts = facts, **more: Any) -> str:
        found = judge(replace(database(name, owner), reach="network", **more), facts)
        assert found.verdict == ("live" if more or facts.users else "unexplained")
        return found.remedy

    for name, owner in (
        ("shop_dev_feature_x", desk),
        ("shop__q_0123456789ab", aside),
        ("shop_test_feature_x_gw0", run),
    ):
        assert remedy(name, owner) == "envctl clean --all --branch feature_x"
        assert remedy(name, replace(owner, workspace="/home/bob/x")) == ""
        assert remedy("rescued", owner) == ""
        assert remedy(name, owner, sessions=1) == ""
        assert remedy(name, owner, replace(facts, users={"feature_x": "pinned"})) == ""
