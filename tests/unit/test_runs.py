from __future__ import annotations

import fcntl
import json
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from envctl import locks, recovery, residue, runs, state
from envctl.errors import EnvctlError, UnavailableError
from envctl.inventory import books, evidence
from envctl.project import Project, open_project
from envctl.recovery import cleaning
from envctl.runs import Run, folders


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("ENVCTL_STATE_DIR", str(tmp_path / "state"))
    (tmp_path / "envctl.toml").write_text('project = "shop"\nengine = "embedded"\n[services.postgres]\n')
    return open_project(tmp_path, "test", {"BRANCH_NAME": "feature-a"})


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def open_runs() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def claim(stack: ExitStack, project: Project, told: list[str]) -> Run:
    home = project.home / "test-embedded"
    claimed = runs.claimed(project, home=home, engine="embedded", command="envctl test", talk=told.append)
    return stack.enter_context(claimed)


def died(project: Project, *, kept: tuple[str, ...] = ()) -> Run:
    """A run that left its folder as a dead one does."""
    with ExitStack() as stack:
        run = claim(stack, project, [])
        run.begun()
        if kept:
            run.keep(kept)
    return run


def names(project: Project) -> set[str]:
    return {one.name for one in (project.home / "runs").iterdir()} - {folders.MAKING}


def test_a_run_has_the_plain_names_and_the_next_at_the_same_time_others(
    open_runs: ExitStack, project: Project, told: list[str]
) -> None:
    first = claim(open_runs, project, told)
    assert (first.slot, first.identity, told) == (1, "shop_test_feature_a", [])
    second = claim(open_runs, project, told)
    assert second.project.names.database("test", "gw0") == "shop_test_feature_a__s2_gw0"
    assert told == ["another run of this checkout is at work: this one is slot 2 (feature_a__s2)"]
    assert first.id != second.id


def test_it_is_on_record_before_anything_else_can_be_made(
    open_runs: ExitStack, project: Project, told: list[str]
) -> None:
    run = claim(open_runs, project, told)
    assert locks.held(run.folder / residue.LOCK)
    assert stat.S_IMODE(run.folder.stat().st_mode) == 0o700
    found = folders.read(run.folder)
    assert (found.id, found.slot, found.namespace) == (run.id, 1, "feature_a")
    assert (found.environment, found.home) == ("test", str(project.home / "test-embedded"))


def test_a_run_that_is_done_leaves_its_slot_clean(open_runs: ExitStack, project: Project, told: list[str]) -> None:
    with ExitStack() as stack:
        claim(stack, project, told).done()
    assert names(project) == set()
    assert claim(open_runs, project, told).slot == 1


REMOVED = "what an earlier run left is being removed: this one is slot 2 (feature_a__s2)"


def test_the_slot_of_a_dead_run_is_passed_over_with_a_word(
    open_runs: ExitStack, project: Project, told: list[str]
) -> None:
    died(project)
    assert claim(open_runs, project, told).slot == 2
    assert told == [REMOVED]


def test_a_slot_that_recovery_is_at_work_in_is_no_run(open_runs: ExitStack, project: Project, told: list[str]) -> None:
    dead = died(project)
    state.write(dead.folder / residue.VERDICT, {})
    lock = folders.taken(dead.folder)
    assert lock is not None
    assert claim(open_runs, project, told).slot == 2
    assert told == [REMOVED]
    locks.free(lock)


def test_only_the_dead_are_residue(open_runs: ExitStack, project: Project, told: list[str]) -> None:
    assert folders.residue(project.home) == []
    dead = died(project)
    claim(open_runs, project, told)
    (found,) = folders.residue(project.home)
    assert (found.folder, found.record and found.record.id) == (dead.folder, dead.id)


def test_what_was_kept_is_kept_until_the_next_run_of_that_namespace_alone(
    open_runs: ExitStack, project: Project, told: list[str]
) -> None:
    dead = died(project, kept=("one", "two"))
    assert folders.read(dead.folder).kept == ("one", "two")
    other = replace(
        project, namespace=replace(project.namespace, name="b"), names=replace(project.names, namespace="b")
    )
    claim(open_runs, other, told)
    assert folders.read(dead.folder).kept == ("one", "two")
    claim(open_runs, project, told)
    assert folders.read(dead.folder).kept == ()


def test_a_live_run_and_a_folder_that_is_gone_cannot_be_taken(
    open_runs: ExitStack, project: Project, told: list[str]
) -> None:
    run = claim(open_runs, project, told)
    assert folders.taken(run.folder) is None
    assert folders.taken(run.folder.with_name("shop_test_gone")) is None
    assert names(project) == {run.identity}


def test_a_lock_is_believed_only_while_it_is_the_folders_own(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    dead = died(project)
    claimed = locks.claim

    def slow(path: Path, *, create: bool = True) -> int | None:
        descriptor = claimed(path, create=create)
        if not create:
            folders.remove(dead.folder)  # Another has cleaned it, and another run is in the slot by now.
            with ExitStack() as stack:
                claim(stack, project, [])
        return descriptor

    monkeypatch.setattr(locks, "claim", slow)
    assert folders.taken(dead.folder) is None
    monkeypatch.undo()
    assert dead.folder.exists()


def test_a_link_or_a_file_in_the_folder_of_runs_is_nobodys(project: Project, tmp_path: Path) -> None:
    elsewhere = died(project).folder.rename(tmp_path / "elsewhere")
    link = project.home / "runs" / "shop_test_feature_a"
    link.symlink_to(elsewhere)
    (project.home / "runs" / "shop_test_b").write_text("")
    assert residue.dead(project.home) == []
    assert cleaning.clean(link).verdict == "busy"
    assert sorted(one.name for one in elsewhere.iterdir()) == [residue.LOCK, residue.RECORD]


def test_another_users_folder_is_left_alone(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = died(project).folder
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert residue.dead(project.home) == []
    assert cleaning.clean(folder).verdict == "busy"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 99}', '{"version": 1, "id": "x"}', None])
def test_a_record_that_does_not_tell_is_left_alone_with_the_reason(project: Project, text: str | None) -> None:
    folder = died(project).folder
    (folder / residue.RECORD).write_text(text) if text is not None else (folder / residue.RECORD).unlink()
    report = cleaning.clean(folder)
    assert (report.verdict, report.settled, residue.settled(folder)) == ("later", True, True)
    assert str(folder) in report.later[0]
    assert folders.residue(project.home)[0].record is None


ANOTHER_HOST: dict[str, Any] = {"host": "another-host", "boot": "another boot"}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, "clean"),
        ({"boot": "an earlier boot"}, "clean"),
        ({"boot": "an earlier boot", "inode": "1"}, "clean"),
        ({"host": "a name that this machine had"}, "clean"),
        ({"inode": "1"}, "later"),
        ({"device": "1"}, "later"),
        (ANOTHER_HOST, "later"),
        ({"boot": "", "inode": "1"}, "later"),
        ({"boot": ""}, "clean"),
        ({"host": "", "boot": "", "device": "", "inode": ""}, "clean"),
        ({"host": "", "boot": "", "device": "", "inode": "", "engine": "external"}, "later"),
    ],
)
def test_a_lock_tells_only_on_its_host_and_in_its_file(
    project: Project, changed: dict[str, Any], expected: str
) -> None:
    folder = died(project).folder
    (folder / residue.UNTOUCHED).touch()
    folders.write(folder, replace(folders.read(folder), **changed))
    report = cleaning.clean(folder)
    assert (report.verdict, folder.exists()) == (expected, expected == "later")
    if expected == "later":
        assert report.settled
        assert residue.settled(folder)
        assert "it is left alone" in report.later[0]


def test_a_copied_state_folder_says_nothing_of_a_run_at_work(
    open_runs: ExitStack, project: Project, told: list[str]
) -> None:
    run = claim(open_runs, project, told)
    run.begun()
    run.keep(("one",))
    aside = run.folder.parent.with_name("aside")
    shutil.copytree(run.folder.parent, aside)
    run.folder.parent.rename(run.folder.parent.with_name("before"))
    aside.rename(run.folder.parent)
    assert not folders.alive(run.folder)
    report = cleaning.clean(run.folder)
    assert (report.verdict, report.settled) == ("later", True)
    assert "is a copy" in report.later[0]
    facts = evidence.gather(project)
    assert (facts.runs, facts.kept, list(facts.unread)) == ({}, frozenset(), ["feature_a"])
    (found,) = (one for one in books.findings(project, [], (), facts) if one.resource.kind == "run")
    assert (found.verdict, found.remedy) == ("unexplained", "")
    claim(open_runs, project, told)
    assert folders.read(run.folder).kept == ("one",)


def test_a_host_that_sees_anothers_live_run_does_not_call_it_dead(
    open_runs: ExitStack, project: Project, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A state folder that two hosts share by a disk on which neither sees the other's locks."""
    run = claim(open_runs, project, told)
    run.begun()
    folders.write(run.folder, replace(run.record, **ANOTHER_HOST))
    locks.free(run.descriptor)
    assert cleaning.clean(run.folder).verdict == "later"
    with monkeypatch.context() as patch:
        patch.setattr(residue, "here", lambda: "another-host another boot")
        assert not residue.settled(run.folder), "its own host judges for itself"
    lock = locks.claim(run.folder / residue.LOCK)
    assert lock is not None
    assert folders.alive(run.folder)
    os.dup2(lock, run.descriptor)
    locks.free(lock)


def test_the_record_of_an_older_envctl_can_be_read(project: Project) -> None:
    folder = died(project).folder
    content = json.loads((folder / residue.RECORD).read_text())
    for name in ("released", *folders.LATER):
        del content[name]
    (folder / residue.RECORD).write_text(json.dumps(content))
    found = folders.read(folder)
    assert (found.host, found.released, found.slot) == ("", (), 1)


def test_a_run_that_had_not_begun_left_nothing_to_look_for(project: Project) -> None:
    with ExitStack() as stack:
        run = claim(stack, project, [])
    assert cleaning.clean(run.folder).verdict == "clean"
    assert names(project) == set()


def test_private_names_that_nobody_works_on_are_tidied_away(
    open_runs: ExitStack, project: Project, told: list[str]
) -> None:
    run = claim(open_runs, project, told)
    forgotten, busy = (state.folder(project.home / "runs" / one) for one in (".forgotten", ".busy"))
    lock = locks.claim(busy / residue.LOCK)
    assert lock is not None
    folders.tidy(project.home)
    assert not forgotten.exists()
    assert names(project) == {run.identity, ".busy"}
    locks.free(lock)


def test_nothing_is_tidied_while_a_folder_is_being_made(project: Project) -> None:
    half = state.folder(project.home / "runs" / ".half")
    with folders.making(project.home / "runs", fcntl.LOCK_SH):
        folders.tidy(project.home)
        assert half.exists()
    folders.tidy(project.home)
    assert not half.exists()


def test_there_is_an_end_to_the_slots(open_runs: ExitStack, project: Project, told: list[str]) -> None:
    claim(open_runs, project, told)
    for slot in range(2, runs.SLOTS + 1):
        (project.home / "runs" / replace(project.names, slot=slot).identity("test")).mkdir()
    with pytest.raises(UnavailableError, match="all 98 slots of feature_a are taken") as caught:
        claim(open_runs, project, told)
    assert "1 by runs at work" in caught.value.cause
    assert len(names(project)) == runs.SLOTS


def test_a_full_disk_leaves_no_half_claimed_slot(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise state.unwritable(project.home, OSError(28, "No space left on device"))

    with monkeypatch.context() as patch, ExitStack() as stack:
        patch.setattr(folders, "write", full)
        with pytest.raises(EnvctlError, match="cannot be written"):
            claim(stack, project, [])
    assert names(project) == set()


def test_sweeping_starts_nothing_where_nothing_is_left(
    open_runs: ExitStack, project: Project, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Path] = []
    monkeypatch.setattr(recovery, "_start", started.append)
    recovery.sweep(project)
    claim(open_runs, project, told)
    recovery.sweep(project)
    assert started == []
    dead = died(project)
    recovery.sweep(project)
    assert started == [project.home]
    state.write(dead.folder / residue.VERDICT, {residue.STAMP: residue.stamp(dead.folder, ""), residue.HOME: ""})
    recovery.sweep(project)
    assert started == [project.home]
    dead.keep(())
    recovery.sweep(project)
    assert started == [project.home] * 2


def test_sweeping_never_fails_a_command(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    died(project)
    (project.home / "logs").write_text("no folder")
    recovery.sweep(project)
    (project.home / "recovery.lock").unlink(missing_ok=True)
    (project.home / "recovery.lock").mkdir()
    recovery.sweep(project)


def test_the_log_of_recovery_is_bounded(project: Project) -> None:
    os.close(recovery._log(project.home))
    log = project.home / "logs" / "recovery.log"
    log.write_text("x" * (recovery.LOG_LIMIT + 1))
    os.close(recovery._log(project.home))
    assert log.read_text() == ""
    assert log.with_suffix(".log.old").stat().st_size == recovery.LOG_LIMIT + 1
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


def test_what_is_being_cleaned_is_residue_still(project: Project) -> None:
    """Who looks for what a failed run kept finds it also while recovery has its lock."""
    dead = died(project)
    dead.keep(("one",))
    descriptor = folders.taken(dead.folder)
    assert descriptor is not None
    try:
        state.write(dead.folder / residue.VERDICT, {})
        (found,) = folders.residue(project.home)
        assert found.record is not None
        assert found.record.kept == ("one",)
        assert not folders.live(project.home)
    finally:
        locks.free(descriptor)
