"""Code of another checkout is not tested by mistake, and nothing else is mistaken for it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from pathlib import Path

import ground
import pytest
from ground import Desk, Done, Project

from envctl.testing.tree import Tree

BACKENDS = {"hatchling": "hatchling.build", "setuptools": "setuptools.build_meta"}
GIT = ("git", "-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "init.defaultBranch=main")


def checkout(root: Path, layout: str, backend: str = "hatchling") -> Path:
    """A repository with a package in it, and a test that it is there."""
    package = root / layout / "shop"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (root / "tests").mkdir()
    (root / "tests" / "test_shop.py").write_text("import shop\ndef test_shop(): pass\n")
    (root / "envctl.toml").write_text('project = "shop"\n')
    (root / "pyproject.toml").write_text(
        f'[build-system]\nrequires = ["{backend}"]\nbuild-backend = "{BACKENDS[backend]}"\n'
        '[project]\nname = "shop"\nversion = "1"\n'
        + ('[tool.setuptools]\npackages = ["shop"]\n' if backend == "setuptools" and not layout else "")
    )
    git(root, "init", "-q")
    git(root, "add", ".")
    git(root, "commit", "-qm", "The shop")
    return root


def git(folder: Path, *words: str) -> None:
    subprocess.run([*GIT, *words], cwd=folder, check=True, capture_output=True)


def second(first: Path) -> Path:
    """A worktree of the same repository."""
    git(first, "worktree", "add", "-q", "-b", "second", str(first.with_name("second")))
    return first.with_name("second")


@pytest.fixture
def first(tmp_path: Path) -> Path:
    return checkout(tmp_path / "first", "src")


def run_in(place: Path, tmp_path: Path, *words: str, code: int, **more: str) -> Done:
    """pytest there, as its script starts it: without the current folder on sys.path."""
    python = more.pop("python", sys.executable)
    folder = tmp_path / "run"
    folder.mkdir(exist_ok=True)
    with ground.opened(folder, Project(place)) as desk:
        passport = {"wrong_tree": more.pop("wrong_tree", "refuse")}
        variables = desk.variables(path=more.pop("path", ""), **passport)
        return Project(place).pytest(*words, python=python, code=code, **variables, PYTHONSAFEPATH="1")


def told(what: str, own: Path, found: Path) -> str:
    return f"error: {what}\n  here:  {own}\n  there: {found}\n  hint: "


@pytest.mark.parametrize("words", [(), ("tests",), ("-n", "2"), ("tests", "-n", "2"), ("--import-mode=importlib",)])
def test_a_path_to_another_worktree_is_refused(first: Path, tmp_path: Path, words: tuple[str, ...]) -> None:
    other = second(first)
    done = run_in(other, tmp_path, *words, code=2, path=str(first / "src"))
    own, found = (place / "src" / "shop" / "__init__.py" for place in (other, first))
    assert told("shop is imported from another checkout", own, found) in done.err
    assert f"hint: take {first / 'src'} out of PYTHONPATH; " in done.err
    assert "Traceback" not in done.out + done.err
    assert "passed" not in done.out


def test_it_may_be_allowed(first: Path, tmp_path: Path) -> None:
    other = second(first)
    done = run_in(other, tmp_path, code=0, path=str(first / "src"), wrong_tree="allow")
    assert "1 passed" in done.out


def test_the_own_checkout_is_fine(first: Path, tmp_path: Path) -> None:
    assert "1 passed" in run_in(first, tmp_path, "-n", "1", code=0, path=str(first / "src")).out


def test_a_conftest_that_meets_the_wrong_code_is_explained(first: Path, tmp_path: Path) -> None:
    other = second(first)
    (other / "src" / "shop" / "fresh.py").write_text("")
    (other / "tests" / "conftest.py").write_text("import shop.fresh\n")
    done = run_in(other, tmp_path, code=2, path=str(first / "src"))
    assert done.err.startswith("error: shop is imported from another checkout\n")


def test_test_modules_that_meet_the_wrong_code_are_explained(first: Path, tmp_path: Path) -> None:
    other = second(first)
    (other / "src" / "shop" / "fresh.py").write_text("")
    (other / "tests" / "test_fresh.py").write_text("import shop.fresh\n")
    assert (
        "error: shop is imported from another checkout\n"
        in run_in(other, tmp_path, code=2, path=str(first / "src")).err
    )


@pytest.mark.parametrize("words", [(), ("-n", "1"), ("--import-mode=importlib",)])
def test_packages_without_an_init_file_are_guarded_too(first: Path, tmp_path: Path, words: tuple[str, ...]) -> None:
    (first / "src" / "shop" / "__init__.py").rename(first / "src" / "shop" / "till.py")
    (first / "tests" / "test_shop.py").write_text("import shop.till\ndef test_shop(): pass\n")
    git(first, "add", ".")
    git(first, "commit", "-qm", "Spread")
    other = second(first)
    done = run_in(other, tmp_path, *words, code=2, path=str(first / "src"))
    found = first / "src" / "shop" / "till.py"
    assert told("shop.till is imported from another checkout", other / "src" / "shop", found) in done.err
    assert f"hint: take {first / 'src'} out of PYTHONPATH; " in done.err
    assert "1 passed" in run_in(first, tmp_path, *words, code=0, path=str(first / "src")).out
    (other / "src" / "shop" / "fresh.py").write_text("")
    (other / "tests" / "test_shop.py").write_text("import shop.fresh\n")
    done = run_in(other, tmp_path, *words, code=2, path=str(first / "src"))
    assert told("shop is imported from another checkout", other / "src" / "shop", found.parent) in done.err


def test_a_package_that_is_spread_over_several_projects_is_fine(first: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs" / "shop" / "lent.py"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("")
    (first / "src" / "shop" / "__init__.py").rename(first / "src" / "shop" / "till.py")
    (first / "tests" / "test_shop.py").write_text("import shop.till, shop.lent\ndef test_shop(): pass\n")
    for path in ((first / "src", tmp_path / "theirs"), (tmp_path / "theirs", first / "src")):
        assert "1 passed" in run_in(first, tmp_path, code=0, path=":".join(map(str, path))).out


def test_tests_of_another_worktree_are_refused(first: Path, tmp_path: Path) -> None:
    other = second(first)
    done = run_in(other, tmp_path, str(first / "tests"), code=2, path=str(other / "src"))
    assert told("test_shop.py is of another checkout", other, first / "tests" / "test_shop.py") in done.err


def test_a_flat_checkout_comes_first_once_pytest_puts_it_there(tmp_path: Path) -> None:
    first = checkout(tmp_path / "first", "")
    other = second(first)
    (other / "tests" / "__init__.py").write_text("")
    assert "1 passed" in run_in(other, tmp_path, code=0, path=str(first)).out


@pytest.fixture(scope="module")
def bare_environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment that has pytest, and in which things can be installed."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    (site / "ours.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    return folder


@pytest.fixture
def environment(bare_environment: Path) -> Iterator[Path]:
    yield bare_environment / "bin" / "python"
    pip(bare_environment / "bin" / "python", "uninstall", "-q", "-y", "shop")


def pip(python: Path, *words: str) -> None:
    words = ("-m", "pip", "--python", str(python), "--disable-pip-version-check", *words)
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)
    if "No matching distribution found" in done.stderr:
        pytest.skip("there is no package index from which the build backend could come")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("backend", "layout"), [("hatchling", "src"), ("setuptools", "src"), ("setuptools", "")])
def test_an_editable_install_of_another_worktree_is_refused(
    tmp_path: Path, environment: Path, backend: str, layout: str
) -> None:
    first = checkout(tmp_path / "first", layout, backend)
    other = second(first)
    pip(environment, "install", "-q", "-e", str(first))
    for words in (("tests",), ("-n", "1")):
        done = run_in(other, tmp_path, *words, code=2, python=str(environment))
        own, found = (place / layout / "shop" / "__init__.py" for place in (other, first))
        assert told("shop is imported from another checkout", own, found) in done.err
        assert "hint: `pip install -e .` in a virtual environment of this checkout's own" in done.err
        run_in(first, tmp_path, *words, code=0, python=str(environment))


def test_an_installed_copy_is_fine_until_it_differs(tmp_path: Path, environment: Path) -> None:
    first = checkout(tmp_path / "first", "src")
    pip(environment, "install", "-q", str(first))
    run_in(first, tmp_path, code=0, python=str(environment))
    (first / "src" / "shop" / "__init__.py").write_text("VERSION = 2\n")
    done = run_in(first, tmp_path, code=2, python=str(environment))
    assert "error: shop is an installed copy, and not what this checkout has\n" in done.err


def wrong(root: Path, name: str, found: Path) -> str:
    """What is said of a top-level name that is found there."""
    found.parent.mkdir(parents=True, exist_ok=True)
    found.touch()
    return Tree(root).wrong({name: found}, [])


@pytest.fixture
def rich(first: Path) -> Path:
    """A checkout with folders whose names others have, too."""
    for name in ("tests", "alembic", "common"):
        (first / name).mkdir(exist_ok=True)
        (first / name / "__init__.py").touch()
    return first


@pytest.mark.parametrize("name", ["tests", "alembic"])
def test_a_folder_called_like_something_installed_is_no_copy_of_it(rich: Path, name: str) -> None:
    inside = rich / ".venv" / "lib" / "python3.11" / "site-packages" / name / "__init__.py"
    outside = rich.with_name("venv") / "site-packages" / name / "__init__.py"
    assert not wrong(rich, name, inside)
    assert not wrong(rich, name, outside)


def test_a_folder_called_like_one_of_the_standard_library_is_no_copy_of_it(rich: Path) -> None:
    assert not wrong(rich, "tests", Path(sysconfig.get_path("stdlib")) / "unittest" / "__init__.py")


def test_another_project_may_have_a_package_of_that_name(rich: Path) -> None:
    other = rich.with_name("library")
    other.mkdir()
    (other / "pyproject.toml").write_text('[project]\nname = "library"\n[[tool.poetry.source]]\nname = "shop"\n')
    assert not wrong(rich, "common", other / "common" / "__init__.py")


def test_the_environment_of_another_checkout_may_be_shared(rich: Path) -> None:
    other = second(rich)
    (other / "alembic").mkdir()
    (other / "alembic" / "__init__.py").touch()
    found = rich / ".venv" / "lib" / "python3.11" / "site-packages" / "alembic" / "__init__.py"
    assert not wrong(other, "alembic", found)


def test_a_worktree_inside_of_the_checkout_is_another_one(first: Path) -> None:
    inner = first / ".worktrees" / "inner"
    git(first, "worktree", "add", "-q", "-b", "inner", str(inner))
    file = Path("src", "shop", "__init__.py")
    assert wrong(first, "shop", inner / file)
    assert wrong(inner, "shop", first / file)
    assert not wrong(inner, "shop", inner / file)


def test_an_example_of_the_project_is_no_checkout(first: Path) -> None:
    example = first / "tests" / "example"
    shutil.copytree(first / "src", example / "src")
    shutil.copy(first / "pyproject.toml", example)
    assert not Tree(first).wrong({}, [example / "conftest.py"])


def test_files_above_in_the_same_repository_are_ours(first: Path) -> None:
    inner = first / "backend"
    inner.mkdir()
    (inner / "envctl.toml").write_text('project = "shop"\n')
    assert not Tree(inner).wrong({}, [first / "conftest.py"])


def test_only_what_can_be_imported_is_looked_at(desk: Desk, project: Project) -> None:
    project.write(src__unused="", docs____init__="", test_one="def test_one(): pass\n")
    desk.pytest("--import-mode=importlib")
