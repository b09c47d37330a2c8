"""The wrong tree: a worker tells which files it would test, and hears whether they are another checkout's."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from filecmp import cmp
from functools import cache
from pathlib import Path
from typing import Any

from envctl.testing.desk import Answer, Caller, Handler

LOOSE = {"conftest", "setup"}
"""Files that every project has one of: nothing imports them by name."""
INSTALLED = {"site-packages", "dist-packages"}


def handlers(root: Path) -> dict[str, Handler]:
    """What may be asked about the checkout at `root`."""

    @cache
    def tree() -> Tree:
        return Tree(root.resolve())

    def packages(question: Mapping[str, Any], caller: Caller) -> Answer:
        return {"packages": {name: _described(files) for name, files in tree().packages.items()}}

    def told(question: Mapping[str, Any], caller: Caller) -> Answer:
        imported = {name: Path(file) for name, file in question["imported"].items()}
        listed = [Path(one).resolve() for one in question["path"].split(os.pathsep) if one]
        return {"wrong": tree().wrong(imported, map(Path, question["files"]), listed)}

    return {"packages": packages, "tree": told}


class Tree:
    """One checkout, and how to tell its files from those of another one of the same project."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.names = _declared(root)
        self.ours = _chain(root)
        self.packages: dict[str, list[Path]] = {}
        """The files by which each top-level package of this checkout should be imported."""
        for file in (*root.glob("src/*/__init__.py"), *root.glob("*/__init__.py")):
            self.packages.setdefault(file.parent.name, []).append(file)
        for file in (*root.glob("src/*.py"), *(one for one in root.glob("*.py") if one.stem not in LOOSE)):
            self.packages.setdefault(file.stem, []).append(file)

    def wrong(self, imported: Mapping[str, Path], files: Iterable[Path], listed: Collection[Path] = ()) -> str:
        """The first thing that is not this checkout's, and what to do about it; `listed` are those of PYTHONPATH."""
        for name, found in imported.items():
            own, holder = self._own(name), _holder(found, name)
            what = ""
            if INSTALLED & set(found.parts):
                if _stale(own, holder, self.names):
                    what = f"{name} is an installed copy, and not what this checkout has"
            elif self._other(found):
                what = f"{name} is imported from another checkout"
            if what:
                return _sentence(what, own, found, _remedy(holder, listed))
        for file in files:
            if not INSTALLED & set(file.parts) and self._other(file):
                return _sentence(f"{file.name} is of another checkout", self.root, file, "run the tests of this one")
        return ""

    def _other(self, file: Path) -> bool:
        """Whether a file belongs to another checkout of this project."""
        for folder in file.resolve().parents:
            if folder in self.ours:
                return False
            # Below us only a repository of its own is one: tests may keep a project with our name as an example.
            if self.names & _declared(folder) and (self.root not in folder.parents or (folder / ".git").exists()):
                return True
        return False

    def _own(self, name: str) -> Path:
        """What should have been imported; a folder where it has no `__init__.py` and so may lie on all of sys.path."""
        top = name.partition(".")[0]
        folders = (self.root / "src" / top, self.root / top)
        return self.packages[top][0] if top in self.packages else next(filter(Path.is_dir, folders), self.root)


def _stale(own: Path, holder: Path, names: Collection[str]) -> bool:
    """Whether what is installed there was installed from this project, and differs."""
    if not _installed(holder, names):
        return False
    package = own if own.is_dir() else own.parent
    files = package.rglob("*.py") if own.is_dir() or own.name == "__init__.py" else [own]
    pairs = [(one, holder / one.relative_to(_holder(own))) for one in files]
    return any(there.exists() and not cmp(here, there, shallow=False) for here, there in pairs)


def _installed(place: Path, names: Collection[str]) -> bool:
    from importlib import metadata

    return any(_plain(one.metadata["Name"] or "") in names for one in metadata.distributions(path=[str(place)]))


def _described(files: list[Path]) -> dict[str, list[str]]:
    return {"files": [str(one.resolve()) for one in files], "holders": [str(_holder(one)) for one in files]}


def _holder(file: Path, name: str = "") -> Path:
    """The folder that is on sys.path where this is imported from."""
    if "." in name:
        return next((one.parent for one in file.parents if one.name == name.partition(".")[0]), file.parent)
    return file.parent.parent if file.name == "__init__.py" else file.parent


def _chain(root: Path) -> frozenset[Path]:
    """The folders from the root up to the top of its repository."""
    top = next((one for one in (root, *root.parents) if (one / ".git").exists()), root)
    return frozenset(one for one in (root, *root.parents) if one == top or top in one.parents)


@cache
def _declared(folder: Path) -> frozenset[str]:
    """What a folder's own files call the project that lives there."""
    found: set[str] = set()
    for file in ("envctl.toml", "pyproject.toml", "setup.cfg"):
        with suppress(OSError):
            found |= set(_names((folder / file).read_text(encoding="utf-8", errors="replace")))
    return frozenset(found)


def _names(text: str) -> Iterator[str]:
    section = ""
    for line in text.splitlines():
        header = re.match(r"\s*\[+([\w.]+)\]", line)
        section = header[1] if header else section
        named = re.match(r"\s*(?:name|project)\s*=\s*[\"']?([\w.-]+)", line)
        if named and section in ("", "project", "metadata", "tool.envctl", "tool.poetry"):
            yield _plain(named[1])


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _remedy(holder: Path, listed: Collection[Path]) -> str:
    if holder in listed:
        return f"take {holder} out of PYTHONPATH"
    return "`pip install -e .` in a virtual environment of this checkout's own"


def _sentence(what: str, own: Path, found: Path, remedy: str) -> str:
    allow = '`wrong_tree = "allow"` under [test] if it is meant to be so'
    return f"{what}\n  here:  {own}\n  there: {found}\n  hint: {remedy}; {allow}"
