"""The reference of the command line, made from what `--help` says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer

from envctl.cli.app import app

WIDTH = 100


def text() -> str:
    """`docs/cli.md`: one section for each command, in the order of `--help`."""
    root = typer.main.get_command(app)
    pages = (f"## {path}\n\n```text\n{help_of}\n```\n" for path, help_of in _pages(root, "envctl", None))
    return "# The command line\n\nMade by `scripts/generate` from `--help`.\n\n" + "\n".join(pages)


def _pages(command: Any, path: str, parent: Any) -> Iterator[tuple[str, str]]:
    ctx = command.context_class(command, info_name=path.rpartition(" ")[2], parent=parent, terminal_width=WIDTH)
    yield path, command.get_help(ctx).strip()
    for name, inner in getattr(command, "commands", {}).items():
        yield from _pages(inner, f"{path} {name}", ctx)
