"""`envctl test`, `envctl run` and `envctl shell`: environments 2 and 3."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from envctl.cli import running
from envctl.cli.edge import Edge
from envctl.cli.parser import command

Scratch = Annotated[
    bool, typer.Option("--from-scratch", help="Migrate from zero, whatever templates there are. Always so in `ci`.")
]
Keep = Annotated[bool, typer.Option("--keep", help="Keep the databases of failed workers until the next run.")]
Times = Annotated[Path | None, typer.Option("--timings", help="Write how long each phase took.", metavar="FILE")]
Audit = Annotated[
    bool, typer.Option("--audit", help="Look for what escaped the sandbox; exit code 3 if something did.")
]
Where = Annotated[
    Literal["test", "ci"], typer.Option("--environment", envvar="ENVCTL_TEST_ENVIRONMENT", help="Names and engine of.")
]


def add(app: typer.Typer) -> None:
    """Register the commands."""
    for name, function in (("test", run_tests), ("run", run), ("shell", shell)):
        command(app, name)(function)


def run_tests(
    edge: Edge,
    suite: Annotated[str, typer.Argument(metavar="[SUITE]", help="A suite of [test.suites].")] = "",
    from_scratch: Scratch = False,
    keep: Keep = False,
    timings: Times = None,
    strict: Annotated[bool, typer.Option("--strict", help="Fail where no test used its database.")] = False,
    allow_wrong_tree: Annotated[
        bool, typer.Option("--allow-wrong-tree", help="Test code that is not this checkout's.")
    ] = False,
    audit: Audit = False,
    environment: Where = "test",
) -> int:
    """Run the tests, each worker on its own migrated database. Example: envctl test -- -n 4 -k auth"""
    return running.run_tests(
        edge,
        suite,
        timings=timings,
        allow_wrong_tree=allow_wrong_tree,
        environment=environment,
        from_scratch=from_scratch,
        keep_failed=keep,
        strict=strict,
        audit=audit,
    )


def run(
    edge: Edge,
    from_scratch: Scratch = False,
    keep: Keep = False,
    timings: Times = None,
    audit: Audit = False,
    environment: Where = "test",
) -> int:
    """Run any command in a sandbox that goes with it. Example: envctl run -- go test ./..."""
    return running.run_command(
        edge, timings=timings, environment=environment, from_scratch=from_scratch, keep_failed=keep, audit=audit
    )


def shell(edge: Edge, environment: Where = "test") -> int:
    """Open a shell in a sandbox that ends with it. Example: envctl shell"""
    from envctl.testing import wish

    project = edge.project(environment)
    program = os.environ.get("SHELL") or "/bin/sh"
    wished = wish.of_command(project, (program, *edge.flags.rest), interactive=True)
    return running.ran(edge, project, wished, None)
