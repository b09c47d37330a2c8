"""What a test process needs to find the desk: variables that the plugin takes away before a test sees them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from envctl import state
from envctl.digests import hexdigest
from envctl.project import Project
from envctl.testing.wish import Wish

PLUGIN = "envctl_pytest_plugin"
SOURCE = Path(__file__).parents[1] / "pytest_plugin.py"
AUDITOR = SOURCE.with_name("pytest_audit.py")


def issued(project: Project, wish: Wish, socket: Path, *, early: bool) -> dict[str, str]:
    """The variables. The plugin travels as one file, so that envctl need not be installed where the tests run."""
    written = {**content(project, wish, socket), "early": early}
    return {
        "ENVCTL_RUN": json.dumps(written),
        "PYTHONPATH": _before("PYTHONPATH", written["plugin"], os.pathsep),
        "PYTEST_PLUGINS": _before("PYTEST_PLUGINS", PLUGIN, ","),
    }


def content(project: Project, wish: Wish, socket: Path) -> dict[str, Any]:
    """Where the desk is, and all else that the plugin must know before it can ask."""
    return {
        "socket": str(socket),
        "worker_variable": project.config.test.worker_variable,
        "plugin": str(_plugin()),
        "root": str(project.root),
        "wrong_tree": wish.wrong_tree,
        **({"audit": str(AUDITOR)} if wish.audit else {}),
    }


def _plugin() -> Path:
    """A folder with the plugin alone in it; the same for every run, so that Python compiles it once."""
    text = SOURCE.read_bytes()
    folder = state.folder(state.root() / "plugin" / hexdigest(text)[:12])
    target = folder / f"{PLUGIN}.py"
    if not target.exists() or target.read_bytes() != text:
        with state.fresh(target) as (file, name):
            file.write(text.decode())
            file.flush()
            name.replace(target)
    return folder


def _before(name: str, first: str, separator: str) -> str:
    rest = os.environ.get(name)
    return f"{first}{separator}{rest}" if rest else first
