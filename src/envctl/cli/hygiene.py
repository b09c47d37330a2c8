"""`envctl clean` and `envctl restore`, as they are typed."""

from __future__ import annotations

from typing import Annotated

import typer

from envctl.cli import cleaning
from envctl.cli.edge import Edge
from envctl.cli.parser import command


def add(app: typer.Typer) -> None:
    """Register the commands."""
    command(app, "clean")(clean)
    command(app, "restore")(restore)


def clean(
    edge: Edge,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan with its reasons, do nothing.")] = False,
    branch: Annotated[
        str, typer.Option("--branch", help="Only what is of this branch or namespace.", metavar="NAME")
    ] = "",
    older_than: Annotated[
        str, typer.Option("--older-than", help='Only what is older, such as "14d".', metavar="AGE")
    ] = "",
    templates: Annotated[bool, typer.Option("--templates", help="Templates too, but for those in use.")] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="All of this project on this machine that is not in use, for good.")
    ] = False,
    list_quarantine: Annotated[
        bool, typer.Option("--list-quarantine", help="Show what is in quarantine, and until when.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> int:
    """Remove what is provably nobody's any more; data of gone branches go into quarantine first.

    Example: envctl clean --dry-run · envctl clean --branch feature/auth
    """
    wanted = {"dry_run": dry_run, "list_quarantine": list_quarantine, "templates": templates, "everything": everything}
    return cleaning.clean(edge, branch, older_than, yes=yes, **wanted)


def restore(
    edge: Edge,
    name: Annotated[str, typer.Argument(help="What is in quarantine, its name from before, its namespace or branch.")],
) -> int:
    """Give back what `clean` put into quarantine, as it was. Example: envctl restore feature/auth"""
    return cleaning.restore(edge, name)
