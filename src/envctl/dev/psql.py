"""psql on a sandbox's database: the program of this machine, and how it is given the password."""

from __future__ import annotations

import os
from collections.abc import Sequence

from envctl import shell
from envctl.dev import databases, tests
from envctl.errors import UsageError
from envctl.model import Access, Command
from envctl.project import Project


def command(access: Access | None, words: Sequence[str]) -> Command:
    """The command that opens a database; the password goes by the environment."""
    if access is None or not access.values:
        raise UsageError("this project has no postgres service", hint="add [services.postgres] to envctl.toml")
    login = {"PGHOST": "host", "PGPORT": "port", "PGDATABASE": "database", "PGUSER": "user", "PGPASSWORD": "password"}
    env = {name: access.values[key] for name, key in login.items()}
    theirs = tuple(name for name in os.environ if name.startswith("PG") and name not in env)
    return Command((program(), *words), env=env, without=theirs)


def named(project: Project, name: str, words: Sequence[str]) -> Command:
    """The same for one that a failed run kept, or that a checkout of this project has or had, by its name."""
    there = {one.resource.name: one for one in tests.kept(project) if one.resource.service == "postgres"}
    access = tests.opened(project, there[name]) if name in there else databases.opened(project, name)
    if access is None:
        raise UsageError(
            f"no failed run of {project.namespace.name} has kept a database {name}, and no checkout has one",
            cause=f"kept: {', '.join(there) or 'none'}",
            hint="envctl dev status shows them; what psql itself is to get stands after --",
        )
    return command(access, words)


def program() -> str:
    """This machine's psql, whose lines can be edited, before the wheel's, which has no line editor."""
    from envctl.services.postgres import program as postgres

    if shell.which("psql"):
        return "psql"
    found = next((one.folder / "psql" for one in postgres.candidates()), None)
    if found is None:
        raise UsageError("there is no psql on this machine", hint="envctl's extra `embedded` brings one")
    return str(found)
