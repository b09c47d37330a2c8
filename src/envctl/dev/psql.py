"""psql on a sandbox's database: the program of this machine, and how it is given the password."""

from __future__ import annotations

import os
from collections.abc import Sequence

from envctl import shell
from envctl.errors import UsageError
from envctl.model import Command
from envctl.sandbox import Sandbox


def command(ready: Sandbox, words: Sequence[str]) -> Command:
    """The command that opens this namespace's database; the password goes by the environment."""
    if "postgres" not in ready.access:
        raise UsageError("this project has no postgres service")
    values = ready.access["postgres"].values
    login = {"PGHOST": "host", "PGPORT": "port", "PGDATABASE": "database", "PGUSER": "user", "PGPASSWORD": "password"}
    env = {name: values[key] for name, key in login.items()}
    theirs = tuple(name for name in os.environ if name.startswith("PG") and name not in env)
    return Command((program(), *words), env=env, without=theirs)


def program() -> str:
    """This machine's psql, whose lines can be edited, before the wheel's, which has no line editor."""
    from envctl.services.postgres import program as postgres

    if shell.which("psql"):
        return "psql"
    found = next((one.folder / "psql" for one in postgres.candidates()), None)
    if found is None:
        raise UsageError("there is no psql on this machine", hint="envctl's extra `embedded` brings one")
    return str(found)
