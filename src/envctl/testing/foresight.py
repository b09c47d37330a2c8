"""Whether a run will find its template ready, told by what earlier runs noted. A guess: the server has the last word.

Where it is right, pytest may start while the clones are made. Where it is wrong, pytest waits for the migrations.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from envctl import migrations, services, state
from envctl.errors import EnvctlError
from envctl.project import Project

MOST = 50
"""How many digests are kept in mind for one server."""


def expected(project: Project, home: Path) -> bool:
    """Whether these very migrations were seen as a template on these very servers."""
    digest = _digest(project)
    return digest is not None and digest in _noted(home)


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
    whole = []
    for name, settings in project.config.services.items():
        migration = services.get(name).migration(settings)
        if migration is not None:
            found = migrations.fingerprint(migration.steps, migration.watch, project.root, {"settings": repr(settings)})
            if not found.complete:
                return None
            whole.append(found.digest)
    return " ".join(whole)
