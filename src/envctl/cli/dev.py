"""`envctl dev …`: environment 1."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from envctl.cli import described
from envctl.cli.edge import Edge
from envctl.cli.parser import command
from envctl.errors import UsageError

if TYPE_CHECKING:
    from envctl.dev import Down
    from envctl.project import Project
    from envctl.servers import Servers

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def add(app: typer.Typer) -> None:
    """Register the group."""
    group = typer.Typer(help="Environment 1: this checkout's own database, buckets and ports.", no_args_is_help=True)
    for name, function in (
        ("up", up),
        ("run", run),
        ("status", status),
        ("logs", logs),
        ("psql", psql),
        ("reset", reset),
        ("down", down),
    ):
        command(group, name)(function)
    app.add_typer(group, name="dev")


def up(
    edge: Edge,
    recreate: Annotated[
        bool, typer.Option("--recreate", help="Rebuild running servers that differ from this checkout's file.")
    ] = False,
) -> None:
    """Start the shared servers, make this checkout's resources and migrate them. Example: envctl dev up"""
    from envctl import dev
    from envctl.dev.screen import sandbox_summary

    project, chosen = _opened(edge)
    with edge.output.progress("dev environment"):
        ready = dev.up(project, chosen, recreate=recreate, **_voice(edge))
    data = described.sandbox(ready, chosen)
    edge.output.result(edge.command, data, sandbox_summary(data))


def run(
    edge: Edge,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[PROCESS]...", help="Which processes; all if none.")
    ] = None,
) -> int:
    """Run the project's processes, or `-- COMMAND`, with this checkout's variables.

    Example: envctl dev run api · envctl dev run -- python manage.py shell
    """
    from envctl.dev import programs
    from envctl.render import prefixed

    project, chosen = _opened(edge)
    with programs.sandboxed(project, chosen, **_voice(edge)) as ready:
        if edge.flags.rest and not names:
            return programs.run_command(ready, edge.flags.rest)
        return programs.run_processes(
            ready, names or (), edge.flags.rest, write=prefixed(edge.output, names or ()), talk=edge.output.say
        )


def status(
    edge: Edge, watch: Annotated[bool, typer.Option("--watch", "-w", help="Keep it on the screen.")] = False
) -> int:
    """Show servers, who uses them, and this checkout's resources. Example: envctl dev status --watch"""
    from envctl import dev
    from envctl.dev.screen import status_screen
    from envctl.render import live

    project, chosen = _opened(edge, quiet=True)

    def look() -> dict[str, Any]:
        return described.status(project, chosen, dev.status(project, chosen))

    if watch and not edge.flags.json:
        live(lambda: status_screen(look()), pause=lambda: time.sleep(2))
        return 0
    data = look()
    code = 0 if data["healthy"] else 3
    edge.output.result(edge.command, data, status_screen(data), exit_code=code)
    return code


def logs(
    edge: Edge,
    service: Annotated[str, typer.Argument(help="One service; all if none.")] = "",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines come.")] = False,
) -> None:
    """Print the servers' logs. Example: envctl dev logs postgres --follow"""
    from envctl import dev

    project, chosen = _opened(edge, quiet=True)
    for name, line in dev.logs(project, chosen, service, follow=follow):
        edge.output.line(line if service else f"{name} | {line}")


def psql(
    edge: Edge,
    name: Annotated[
        str,
        typer.Argument(
            metavar="[DATABASE]", help="One that a failed run kept, or a restored one; this checkout's own if none."
        ),
    ] = "",
) -> int:
    """Open psql on this checkout's database; arguments for psql after `--`. Example: envctl dev psql -- -c '\\dt'

    Inside of `envctl shell` and its like it is the run's database.
    """
    from envctl import dev
    from envctl.dev import psql as client
    from envctl.processes import run_foreground
    from envctl.testing import joined

    run = joined.around(edge.project, os.environ)
    if name:
        command = client.named(edge.project(), name, edge.flags.rest)
    elif run:
        edge.output.say("inside of a run: this is its own database")
        command = client.command(joined.access_of(run, "postgres"), edge.flags.rest)
    else:
        project, chosen = _opened(edge, quiet=True)
        ready = dev.current(project, chosen, wait=edge.flags.wait, talk=edge.output.say)
        command = client.command(ready.access.get("postgres"), edge.flags.rest)
    return run_foreground(command)


def reset(edge: Edge, yes: Yes = False) -> None:
    """Make this checkout's database and buckets anew, and no other's. Example: envctl dev reset --yes"""
    from envctl import dev
    from envctl.dev.screen import sandbox_summary
    from envctl.testing import joined

    if joined.around(edge.project, os.environ):
        raise UsageError(
            "inside of a run `dev reset` would delete dev data, not the run's own",
            hint="leave the run first; its own databases go with it",
        )
    project, chosen = _opened(edge)
    edge.confirm(f"Delete all dev data of {project.namespace.name}?", yes=yes)
    with edge.output.progress("reset"):
        ready = dev.reset(project, chosen, **_voice(edge))
    data = described.sandbox(ready, chosen)
    edge.output.result(edge.command, data, sandbox_summary(data))


def down(
    edge: Edge,
    everything: Annotated[
        bool, typer.Option("--all", help="Stop all servers of this project, used or not; the data stay.")
    ] = False,
    yes: Yes = False,
) -> None:
    """Give the servers up; they stop when nobody else uses them. The data stay. Example: envctl dev down"""
    from envctl import dev

    if everything:
        project = edge.project()
        users = dev.users(project)
        question = f"Stop all servers of {project.config.project}?"
        edge.confirm(f"{question} In use by: {', '.join(users)}." if users else question, yes=yes)
        stopped = dev.down_all(project, wait=edge.flags.wait, talk=edge.output.say)
        edge.output.result(edge.command, {"stopped": stopped}, f"stopped {', '.join(stopped) or 'nothing: none ran'}")
        return
    project, chosen = _opened(edge, quiet=True)
    done = dev.down(project, chosen, wait=edge.flags.wait, talk=edge.output.say)
    stopped = [chosen.set.home.name] if done.stopped else []
    data = {"stopped": stopped, "users": list(done.users), "pins": list(done.pins)}
    edge.output.result(edge.command, data, _downed(done))


def _downed(done: Down) -> str:
    pins = f"gave up the pin of {', '.join(done.pins)}" if done.pins else "no pin to give up"
    if done.stopped:
        return f"{pins}; stopped the servers"
    return f"{pins}; " + (f"the servers stay for {', '.join(done.users)}" if done.users else "nothing ran")


def _voice(edge: Edge) -> dict[str, Any]:
    """How long what may take long is to wait, and who hears of it; what a migration prints is for `-v`."""
    return {"wait": edge.flags.wait, "talk": edge.output.say, "detail": edge.output.detail}


def _opened(edge: Edge, *, quiet: bool = False) -> tuple[Project, Servers]:
    from envctl import servers

    project = edge.project()
    chosen = servers.choose(project)
    if not quiet:
        edge.output.say(f"engine {chosen.set.engine}: {chosen.reason}")
    return project, chosen
