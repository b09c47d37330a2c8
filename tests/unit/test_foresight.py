"""Whether something of the project's is imported before pytest asks for its sandbox."""

from __future__ import annotations

from pathlib import Path

import pytest

from envctl.testing.foresight import plugins_come_first

WORDS = (
    "pytest -p plug",
    "pytest -pplug -q",
    "python -m pytest -p plug tests",
    "pytest @arguments",
    "pytest -c other.ini",
    "pytest -cother.ini",
    "pytest --config-file=other.ini",
    "pytest service/tests/test_a.py::test_one",
    "pytest --rootdir=service",
)
FILES = {
    "pytest.ini": "[pytest]\naddopts = -q -p plug\n",
    ".pytest.ini": "[pytest]\naddopts = -pplug\n",
    "pytest.toml": '[pytest]\naddopts = ["-q", "-p", "plug"]\n',
    "pyproject.toml": '[project.entry-points.pytest11]\nshop = "shop.plug"\n',
    "setup.py": 'setup(entry_points={"pytest11": ["shop = shop.plug"]})\n',
    "../tox.ini": "[pytest]\naddopts = -p plug\n",
}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("PYTEST_PLUGINS", "PYTEST_ADDOPTS"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "shop/service/tests").mkdir(parents=True)
    (tmp_path / "shop/service/tests/test_a.py").write_text("# mkdir -p here\n")
    (tmp_path / "shop/service/pytest.ini").write_text("[pytest]\naddopts = -p plug\n")
    (tmp_path / "shop/other.ini").write_text("[pytest]\naddopts = -p plug\n")
    (tmp_path / "shop/tests").mkdir()
    (tmp_path / "shop/tests/test_b.py").write_text("# mkdir -p here\n")
    return tmp_path / "shop"


@pytest.mark.parametrize("words", WORDS)
def test_a_command_may_name_one_or_lead_to_settings_that_do(root: Path, words: str) -> None:
    assert plugins_come_first(root, words.split())


@pytest.mark.parametrize("name", FILES)
def test_so_may_any_of_the_files_that_pytest_reads(root: Path, name: str) -> None:
    assert not plugins_come_first(root, ("pytest",))
    (root / name).write_text(FILES[name])
    assert plugins_come_first(root, ("pytest",))


@pytest.mark.parametrize(("name", "value"), [("PYTEST_PLUGINS", "plug"), ("PYTEST_ADDOPTS", "-q -p plug")])
def test_so_may_a_variable(root: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    assert plugins_come_first(root, ("pytest",))


@pytest.mark.parametrize("words", ["pytest", "pytest -p no:cacheprovider -p xdist -n 2", "pytest tests/test_b.py -k a"])
def test_what_is_switched_off_and_what_tests_say_does_not_count(root: Path, words: str) -> None:
    assert not plugins_come_first(root, words.split())
