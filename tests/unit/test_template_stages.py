"""In which stages a template comes about, and which older one it can be carried on from."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from envctl.migrations import Migration, Step
from envctl.model import Owner
from envctl.services.base import Template
from envctl.services.postgres import private
from envctl.templates import stages, upkeep
from envctl.templates.stages import Stage

TRAITS = {"major": "18", "extensions": ""}
OWNER = Owner("shop", "test", "*", "/w", "main", "laptop", "2026-01-02T03:04:05+00:00")
TOOL, SEED = Step(run="migrate"), Step(run="seed")


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def only(root: Path, *steps: Step, watch: tuple[str, ...] = ("m/*",), traits: dict[str, str] = TRAITS) -> Stage:
    (stage,) = stages.stages(Migration(steps, watch), root, traits)
    return stage


def template(stage: Stage) -> Template:
    return Template("postgres", f"t_{stage.digest}", replace(OWNER, notes=stage.notes))


# stages


@pytest.mark.parametrize(
    ("steps", "lengths"),
    [
        ((TOOL,), (1,)),
        ((TOOL, SEED), (1, 1)),
        ((Step(sql=("m/*",)), TOOL), (2,)),
        ((Step(sql=("m/*",)), Step(sql=("m/*",))), (2,)),
        ((Step(sql=("m/*",)), TOOL, SEED, Step(sql=("m/*",))), (2, 1, 1)),
    ],
)
def test_all_up_to_the_first_command_is_one_stage_and_each_later_step_another(
    tmp_path: Path, steps: tuple[Step, ...], lengths: tuple[int, ...]
) -> None:
    write(tmp_path, {"m/1.sql": "SELECT 1"})
    found = stages.stages(Migration(steps, ("m/*",)), tmp_path, TRAITS)
    assert tuple(len(one.steps) for one in found) == lengths
    assert [one.first for one in found] == [True, *(False for _ in lengths[1:])]
    assert len({one.digest for one in found}) == len(lengths)


def test_a_later_steps_files_leave_the_stage_before_it_as_it_was(tmp_path: Path) -> None:
    migration = Migration((TOOL, Step(sql=("seed.sql",))), ("m/*",))
    write(tmp_path, {"m/1": "a", "seed.sql": "SELECT 1"})
    before = stages.stages(migration, tmp_path, TRAITS)
    write(tmp_path, {"seed.sql": "SELECT 2"})
    after = stages.stages(migration, tmp_path, TRAITS)
    assert before[0].digest == after[0].digest
    assert before[1].digest != after[1].digest


@pytest.mark.parametrize("other", [{"major": "17"}, {"extensions": "vector"}, {"setting lc": "C"}])
def test_another_server_is_another_template_and_no_ancestor(tmp_path: Path, other: dict[str, str]) -> None:
    write(tmp_path, {"m/1": "a"})
    here = template(only(tmp_path, TOOL))
    write(tmp_path, {"m/2": "b"})
    there = only(tmp_path, TOOL, traits={**TRAITS, **other})
    assert there.digest != only(tmp_path, TOOL).digest
    assert stages.nearest(there, [here]) == []


def test_one_runs_own_stage_is_no_other_runs(tmp_path: Path) -> None:
    migration = Migration((TOOL, SEED), ())
    one, two = (stages.alone(migration, tmp_path, TRAITS, run) for run in ("a", "b"))
    assert one.steps == (TOOL, SEED)
    assert one.digest != two.digest


# ancestors

FILES = st.dictionaries(st.sampled_from("abcdef"), st.sampled_from("12"), max_size=6)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(older=st.lists(FILES, max_size=4), mine=FILES)
def test_the_nearest_is_the_one_with_most_of_exactly_my_files(
    tmp_path_factory: pytest.TempPathFactory, older: list[dict[str, str]], mine: dict[str, str]
) -> None:
    def stage(files: dict[str, str]) -> Stage:
        root = tmp_path_factory.mktemp("m")
        write(root, {f"m/{name}": text for name, text in files.items()})
        return only(root, TOOL)

    made = {template(stage(files)).name: (template(stage(files)), files) for files in older}
    fitting = [files for _, files in made.values() if files.items() <= mine.items() and files != mine]
    found = stages.nearest(stage(mine), [one for one, _ in made.values()])
    assert [len(made[one.name][1]) for one in found] == sorted((len(one) for one in fitting), reverse=True)
    for one in found:
        assert set(stages.fresh(stage(mine), one)) == {f"m/{name}" for name in mine.keys() - made[one.name][1].keys()}


def test_sql_files_must_come_after_those_that_the_ancestor_has(tmp_path: Path) -> None:
    step = Step(sql=("m/*.sql",))
    write(tmp_path, {"m/1.sql": "SELECT 1", "m/3.sql": "SELECT 3"})
    older = template(only(tmp_path, step, watch=()))
    write(tmp_path, {"m/4.sql": "SELECT 4"})
    assert stages.nearest(only(tmp_path, step, watch=()), [older]) == [older]
    assert stages.applied(only(tmp_path, step, watch=()), older) == {"m/1.sql", "m/3.sql"}
    write(tmp_path, {"m/2.sql": "SELECT 2"})
    assert stages.nearest(only(tmp_path, step, watch=()), [older]) == []


# private names


def test_a_private_name_says_what_it_is_to_its_project_alone() -> None:
    digest = "0123456789abcdef" * 2
    made = {
        "template": private.template("shop", digest),
        "draft": private.draft("shop", digest),
        "pool": private.pool("shop", digest),
        "retired": private.retired("shop", digest),
    }
    for kind, name in made.items():
        assert private.kind(name, "shop") == kind
        assert private.kind(name, "shop_test") is None
        assert private.kind(name, "sho") is None
    assert private.kind("shop_test_feature", "shop") is None


# notes of use


def test_only_the_servers_that_were_used_last_are_remembered(tmp_path: Path) -> None:
    for number in range(12):
        write(tmp_path, {f"{number}/shop__t_0123456789ab": ""})
        for path in (tmp_path / str(number) / "shop__t_0123456789ab", tmp_path / str(number)):
            os.utime(path, (number, number))
    os.utime(tmp_path / "0" / "shop__t_0123456789ab", (99, 99))
    upkeep._forget_servers(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"0", "5", "6", "7", "8", "9", "10", "11"}
    upkeep._forget_servers(tmp_path / "none")
