"""Imports go down only, and the families never import each other. Read from the sources, lazy imports included."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "envctl"
LAYERS = (
    ("cli", "pytest_plugin", "pytest_audit"),
    ("clean", "dev", "doctor", "hooks", "leaks", "starter", "testing"),
    ("sandbox", "recovery", "inventory", "audit"),
    ("templates",),
    ("servers", "runs"),
    ("project",),
    ("admission", "leases", "held", "idle", "room", "workspaces", "recall", "residue"),
    ("engines",),
    ("services",),
    ("migrations", "processes", "compose_file"),
    ("survey", "startable", "reference", "schema", "description"),
    ("config",),
    ("document", "project_file", "variables"),
    ("bare", "keeper", "containers", "runtimes", "unprivileged", "ports", "toml"),
    ("output", "render", "shell", "state", "hosts", "locks", "git", "repository", "masking", "owners", "libpq"),
    ("namespace",),
    ("spelling",),
    ("environments", "settings", "digests"),
    ("server_set",),
    ("model",),
    ("errors", "texts", "values"),
)
"""Each imports from the layers below it, and from its own."""
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
HEAVY = {"docker", "git", "minio", "platformdirs", "psutil", "psycopg", "redis", "rich", "urllib3"}


def modules() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def noun(path: Path) -> str:
    """The first name below the package: `services.s3.wire` is of `services`."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "envctl":
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("envctl."):
            yield str(node.module).split(".")[1]
        elif isinstance(node, ast.Import):
            yield from (one.name.split(".")[1] for one in node.names if one.name.startswith("envctl."))


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_go_down_only(path: Path) -> None:
    mine = noun(path)
    if mine in ("__init__", "py"):
        return
    found = {name for name in imported(ast.parse(path.read_text())) if name in RANK}
    assert not {name for name in found if RANK[name] < RANK[mine]}, f"{mine} may not import from above"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_heavy_clients_are_imported_where_they_are_used(path: Path) -> None:
    top = ast.parse(path.read_text()).body
    names = {one.name.split(".")[0] for node in top if isinstance(node, ast.Import) for one in node.names}
    names |= {(node.module or "").split(".")[0] for node in top if isinstance(node, ast.ImportFrom)}
    assert not names & HEAVY


@pytest.mark.parametrize("family", ["engines", "services"])
def test_the_families_do_not_import_each_other(family: str) -> None:
    other = {"engines": "services", "services": "engines"}[family]
    for path in (SOURCE / family).rglob("*.py"):
        assert other not in set(imported(ast.parse(path.read_text()))), path


def test_only_one_module_runs_processes() -> None:
    users = {path.name for path in modules() if "import subprocess" in path.read_text()}
    assert users == {"shell.py"}


def test_every_module_has_its_layer() -> None:
    assert {noun(path) for path in modules()} - {"__init__"} == set(RANK)
