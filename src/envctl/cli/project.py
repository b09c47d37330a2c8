"""`envctl ns`, `env`, `config`, `init`, `doctor`: the project and the machine."""

from __future__ import annotations

import os
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer

from envctl.cli.edge import Edge
from envctl.cli.names import ns
from envctl.cli.parser import command


class Format(StrEnum):
    """How `envctl env` writes variables."""

    sh = "sh"
    fish = "fish"
    dotenv = "dotenv"
    json = "json"
    github = "github"


class Which(StrEnum):
    """The six environments."""

    dev = "dev"
    test = "test"
    ci = "ci"
    preview = "preview"
    staging = "staging"
    production = "production"


def add(app: typer.Typer) -> None:
    """Register this module's commands."""
    command(app, "init")(init)
    command(app, "config")(config)
    command(app, "doctor")(doctor)
    command(app, "ns")(ns)
    command(app, "env", epilog='Example: eval "$(envctl env)"')(env)


def env(
    edge: Edge,
    form: Annotated[Format, typer.Option("--format", help="How to write them.")] = Format.sh,
    worker: Annotated[
        str, typer.Option("--worker", help="Inside `envctl run`: those of one of its workers.", metavar="ID")
    ] = "",
) -> None:
    """Print the variables of this checkout's dev environment, or of the run around us."""
    from envctl import dev, servers, variables
    from envctl.testing import joined

    run = joined.around(edge.project, os.environ)
    if run or worker:
        edge.output.detail("inside of a run: these are its own variables")
        found = joined.variables_of(run or edge.project("test"), worker)
    else:
        project = edge.project()
        ready = dev.current(project, servers.choose(project), wait=edge.flags.wait, talk=edge.output.say)
        found = dict(ready.variables)
    edge.output.result(edge.command, {"variables": found}, variables.formatted(found, form.value), exact=True)


def config(
    edge: Edge,
    environment: Annotated[Which, typer.Option("--environment", "-e", help="Which of the six.")] = Which.dev,
) -> None:
    """Print every setting and where it came from, secrets masked. Example: envctl config --environment ci"""
    from envctl.description import describe, written
    from envctl.doctor.variables import unheard
    from envctl.render import settings_table

    project = edge.project(environment.value)
    for variable, meant in unheard(project.config, os.environ).items():
        edge.output.warn(f"{variable} sets nothing: {meant}")
    described = describe(project.config, environment.value)
    edge.output.result(edge.command, described, settings_table(written(described)))


def init(
    edge: Edge,
    force: Annotated[bool, typer.Option("--force", help="Replace an envctl.toml that is there.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print it, write nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Look at the repository and write an envctl.toml for it. Example: envctl init --dry-run"""
    from envctl import starter

    target = edge.directory / "envctl.toml"
    proposal = starter.propose(edge.directory)
    data: dict[str, Any] = {"path": str(target), "text": proposal.text, "reasons": list(proposal.reasons)}
    if dry_run:
        edge.output.result(edge.command, {**data, "written": False}, proposal.text, exact=True)
        return
    if target.exists():
        edge.confirm(f"{target} is there. Replace it?", yes=force or yes)
    starter.write(target, proposal.text, overwrite=target.exists())
    for line in proposal.told:
        edge.output.say(line)
    edge.output.result(edge.command, {**data, "written": True}, f"wrote {target}{_next(proposal.services)}")


def _next(services: Sequence[str]) -> str:
    """What to do with a file that was just written."""
    if services:
        return "; next: envctl dev up, or envctl test"
    return (
        "\nno sign of PostgreSQL, S3 or Redis was seen\nnext: take the # off the services it needs, then envctl dev up"
    )


def doctor(edge: Edge) -> int:
    """Check this machine and this project, and say what to do. Example: envctl doctor --json"""
    from envctl import doctor as checks
    from envctl.render import findings_table

    findings = checks.examine(edge.directory, os.environ)
    data = {"findings": [checks.as_json(one) for one in findings]}
    bad = any(one.level == "problem" for one in findings)
    edge.output.result(edge.command, data, findings_table(findings), exit_code=3 if bad else 0)
    return 3 if bad else 0
