"""Nothing of the plugin is seen: not in what pytest prints, not by the tests, and nowhere where it is off."""

from __future__ import annotations

import ast
import re
import subprocess
import sys

import pytest
from ground import SOURCE, Desk, Project

CLEAN = """
    import json, os, subprocess, sys

    def ours(variables, path):
        named = [name for name in variables if "ENVCTL" in name or "envctl" in variables[name].lower()]
        return named + [folder for folder in path if folder.endswith("/plugin")]

    def test_this_process():
        assert not ours(os.environ, sys.path)
        assert os.environ.get("PYTHONPATH", "") == os.environ["EXPECTED_PATH"]
        assert os.environ.get("PYTEST_PLUGINS", "") == os.environ["EXPECTED_PLUGINS"]

    def test_what_it_starts():
        script = "import json, os, sys; print(json.dumps([dict(os.environ), sys.path]))"
        assert not ours(*json.loads(subprocess.check_output([sys.executable, "-c", script])))
"""
STRICT = ("-W", "error", "-p", "no:cacheprovider", "--strict-config", "--strict-markers")


@pytest.fixture
def clean(project: Project) -> Project:
    """Tests that pass only where nothing of ours is left."""
    project.write(test_clean=CLEAN)
    return project


@pytest.mark.parametrize("words", [(), ("-n", "2")])
@pytest.mark.parametrize(("path", "plugins"), [("", ""), ("lib", "one,two")])
def test_tests_see_none_of_our_variables(
    desk: Desk, clean: Project, python: str, words: tuple[str, ...], path: str, plugins: str
) -> None:
    clean.write(one="", two="")
    ours = desk.variables(path=path, plugins=plugins)
    clean.pytest(*words, python=python, code=0, **ours, EXPECTED_PATH=path, EXPECTED_PLUGINS=plugins)


@pytest.mark.parametrize("words", [STRICT, (*STRICT, "-n", "2"), (*STRICT, "-n", "2", "-q")])
def test_a_run_that_passes_prints_what_it_prints_without_us(
    desk: Desk, project: Project, python: str, words: tuple[str, ...]
) -> None:
    project.ini("envctl = false")
    project.write(test_two="def test_one(): pass\ndef test_two(): pass\n")
    with_us = desk.pytest(*words, python=python)
    project.ini()
    without = project.pytest(*words, python=python)
    assert steady(with_us.out) == steady(without.out)
    assert with_us.err == without.err == ""


def steady(out: str) -> list[str]:
    """What is the same from run to run, whichever worker was first."""
    return sorted(re.sub(r"\d+\.\d+s", "", out).splitlines())


@pytest.mark.parametrize("settings", [(), ("envctl = false",)])
def test_it_does_nothing_where_nobody_asked_for_it(project: Project, installed: str, settings: tuple[str, ...]) -> None:
    project.ini(*settings)
    project.write(
        test_off="""
        import os
        import sys

        def test_off(request):
            assert request.config.pluginmanager.get_plugin("envctl").__name__ == "envctl.pytest_plugin"
            assert not request.config.pluginmanager.has_plugin("envctl-run")
            assert not [name for name in sys.modules if name.startswith("envctl.") and "plugin" not in name]
            assert "DATABASE_URL" not in os.environ
        """
    )
    assert project.pytest(*STRICT, PYTHONPATH=installed).err == ""


def test_the_one_that_came_with_the_run_works_beside_the_installed_one(
    desk: Desk, project: Project, installed: str
) -> None:
    project.write(
        test_both="""
        def test_both(request, envctl_sandbox):
            acting = request.config.pluginmanager.get_plugin("envctl-run")
            assert type(acting).__module__ == "envctl_pytest_plugin"
            assert request.config.pluginmanager.has_plugin("envctl")
            assert envctl_sandbox.worker == request.config.workerinput["workerid"]
        """
    )
    assert project.pytest(*STRICT, "-n", "2", code=0, **desk.variables(path=installed)).err == ""
    assert len(desk.asked("workers")) == 1


def test_it_may_be_named_where_nothing_is_loaded_by_itself(desk: Desk, project: Project, installed: str) -> None:
    project.write(test_one="def test_one(envctl_sandbox): assert envctl_sandbox.worker == 'gw0'\n")
    passport = desk.variables()["ENVCTL_RUN"]
    words = ("-p", "envctl", "-p", "xdist", "-n", "1")
    project.pytest(*words, PYTHONPATH=installed, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1", ENVCTL_RUN=passport)


def test_a_run_inside_of_a_test_is_none_of_ours(desk: Desk, project: Project) -> None:
    project.write(
        test_inner="""
        pytest_plugins = "pytester"

        def test_inner(pytester):
            pytester.makepyfile(test_fails="def test_fails(): assert False")
            pytester.runpytest_inprocess("-p", "envctl_pytest_plugin").assert_outcomes(failed=1)
        """
    )
    desk.pytest()
    assert not desk.asked("failed")
    assert [one["count"] for one in desk.asked("tests")] == [1]


@pytest.mark.parametrize("file", ["pytest_plugin.py", "pytest_audit.py"])
def test_it_travels_to_old_pythons_and_needs_nothing(file: str) -> None:
    text = (SOURCE / "envctl" / file).read_text()
    tree = ast.parse(text, feature_version=(3, 8))
    assert "PYTEST_DONT_REWRITE" in (ast.get_docstring(tree) or "")
    names = {one.name for node in tree.body if isinstance(node, ast.Import) for one in node.names}
    names |= {str(node.module) for node in tree.body if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in names} <= {*sys.stdlib_module_names, "pytest"}


def test_it_loads_nothing_that_pytest_has_not_loaded() -> None:
    script = "import pytest, sys; before = {*sys.modules}; import envctl.pytest_plugin; print(*{*sys.modules} - before)"
    words = [sys.executable, "-c", script]
    loaded = subprocess.check_output(words, env={"PYTHONPATH": str(SOURCE)}, text=True)
    assert set(loaded.split()) == {"envctl", "envctl.pytest_plugin"}
