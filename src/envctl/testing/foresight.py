"""Whether a run will find its template ready, told by what earlier runs noted. A guess: the server has the last word.

Where it is right, pytest may start while the clones are made. Where it is wrong, pytest waits for the migrations.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from envctl import migrations, services, state
from envctl.errors import EnvctlError
from envctl.project import Project

PLUGIN = re.compile(r"(?:^|[\s\"'=])-p[\s=\"',]*(?!no:|xdist|[\s=\"',])\w")
SETTINGS = (
    *("pytest.toml", ".pytest.toml", "pytest.ini", ".pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg"),
    "setup.py",  # where plugins may be announced
)
MOST = 50
"""How many digests are kept in mind for one server."""


def expected(project: Project, home: Path) -> bool:
    """Whether these very migrations were seen as a template on these very servers."""
    digest = _digest(project)
    return digest is not None and digest in _noted(home)


def plugins_come_first(root: Path, argv: Sequence[str]) -> bool:
    """Whether pytest imports something of the project's before it asks for its sandbox: that may read a variable.

    That is what `-p` names, wherever it stands, what PYTEST_PLUGINS does, and plugins that the project itself installs.
    """
    if os.environ.get("PYTEST_PLUGINS") or any(word.startswith("@") for word in argv):
        return True
    written = [file.read_text(errors="replace") for file in _settings(root, argv)]
    said = [" ".join(argv), os.environ.get("PYTEST_ADDOPTS", ""), *written]
    return any(PLUGIN.search(text) for text in said) or any("pytest11" in text for text in written)


def _settings(root: Path, argv: Sequence[str]) -> Iterator[Path]:
    """The files that pytest may take its settings from: named, or beside or above what it is to test."""
    words = [part for word in argv[1:] for part in (word, word[2:], word.partition("=")[2]) if part]
    named = {path for word in words if (path := root / word.partition("::")[0]).exists()}
    folders = {root, *root.parents, *(above for path in named for above in (path, *path.parents))}
    usual = {folder / name for folder in folders for name in SETTINGS}
    return (
        path for path in usual | {one for one in named if one.suffix in (".toml", ".ini", ".cfg")} if path.is_file()
    )


def note(project: Project, home: Path) -> None:
    """These migrations have their template there now."""
    digest, known = _digest(project), _noted(home)
    if digest is not None and digest not in known:
        content = {"servers": _servers(home), "digests": [digest, *known[: MOST - 1]]}
        with suppress(EnvctlError):
            state.write(home / "foresight.json", content)


def _noted(home: Path) -> list[str]:
    try:
        content = state.read(home / "foresight.json")
        return [str(one) for one in content["digests"]] if content and content["servers"] == _servers(home) else []
    except (EnvctlError, KeyError, TypeError):
        return []


def _servers(home: Path) -> int:
    """Servers that were started anew have another record."""
    try:
        return (home / "servers.json").stat().st_mtime_ns
    except OSError:
        return 0


def _digest(project: Project) -> str | None:
    """What decides the templates, as far as it stands in this checkout; None where that cannot be told."""
    whole, exported = [], sorted(project.config.exported(services.get).items())
    for name, settings in project.config.services.items():
        migration = services.get(name).migration(settings)
        if migration is not None:
            found = migrations.fingerprint(
                migration.steps, migration.watch, project.root, {"all": repr((settings, exported))}
            )
            if not found.complete:
                return None
            whole.append(found.digest)
    return " ".join(whole)
