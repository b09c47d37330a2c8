"""`envctl hooks …`: git's hook that notices pushes."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from envctl.cli.edge import Edge
from envctl.cli.parser import command

if TYPE_CHECKING:
    from envctl.hooks.condition import Status
    from envctl.hooks.installation import Change

DONE = {
    "made": "put the hook into {}",
    "added": "put the hook into {}, beside what was there",
    "renewed": "renewed the hook in {}",
    "unchanged": "the hook is in {} already",
    "removed": "removed {}",
    "taken out": "took the hook out of {}; the rest of it is as it was",
    "kept": "{} stays",
}


def add(app: typer.Typer) -> None:
    """Register the group."""
    group = typer.Typer(help="Git's hook that cleans up after pushes, in the background.", no_args_is_help=True)
    for name, function in (("install", install), ("uninstall", uninstall), ("status", status)):
        command(group, name)(function)
    app.add_typer(group, name="hooks")


def install(
    edge: Edge,
    everywhere: Annotated[
        bool, typer.Option("--global", help="Also where core.hooksPath leads to a folder that repositories share.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Also where git tracks or sees the file.")] = False,
) -> None:
    """Notice pushes, and clean up after them. Nobody's lines are touched. Example: envctl hooks install"""
    from envctl.hooks import installation

    project = edge.project()
    done = installation.install(
        project.root, everywhere=everywhere, force=force, wait=edge.flags.wait, talk=edge.output.say
    )
    edge.output.result(edge.command, _data(done), _told(done))


def uninstall(edge: Edge) -> None:
    """Take the hook out; its file is again what it was, byte for byte. Example: envctl hooks uninstall"""
    from envctl.hooks import installation

    project = edge.project()
    done = installation.uninstall(project.root, wait=edge.flags.wait, talk=edge.output.say)
    text = "\n".join(_told(one) for one in done) or "there was no hook of ours"
    edge.output.result(edge.command, {"changes": [_data(one) for one in done]}, text)


def status(edge: Edge) -> int:
    """Show whether the hook is there and works, and what it did. Example: envctl hooks status --json"""
    from envctl.hooks import condition

    found = condition.status(edge.project().root)
    code = 3 if found.state == "broken" else 0
    edge.output.result(edge.command, {**asdict(found), "file": str(found.file)}, _screen(found), exit_code=code)
    return code


def _told(change: Change) -> str:
    return DONE[change.done].format(change.file) + (f": {change.why}" if change.why else "")


def _data(change: Change) -> dict[str, Any]:
    return {"file": str(change.file), "done": change.done, "why": change.why}


def _screen(found: Status) -> str:
    """The state, then what to do, then the log."""
    by = f", by {found.setting}" if found.setting else ""
    lines = [f"{found.state}{f': {found.why}' if found.why else ''}", f"  hook: {found.file}{by}"]
    if found.remedy:
        lines.append(f"  → {found.remedy}")
    if found.busy:
        lines.append("  it waits for quiet, or cleans, just now")
    lines += [f"  {line}" for line in found.log] or ["  it has had nothing to do yet"] * (found.state == "installed")
    return "\n".join(lines)
