"""SQL files, run by envctl itself: each in one transaction, an error with its file and line."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envctl import libpq
from envctl.errors import EnvctlError, UnavailableError
from envctl.migrations import statements
from envctl.migrations.statements import Statement
from envctl.model import Talk

if TYPE_CHECKING:
    import psycopg

NO_TRANSACTION = re.compile(r"^\s*--\s*envctl:\s*no-transaction\s*$", re.MULTILINE)
OWN_TRANSACTION = frozenset({"BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ABORT"})
"""A file with one of these brings its transactions along."""


def run(files: Iterable[tuple[str, Path]], *, url: str, talk: Talk, ran: Talk = lambda name: None) -> None:
    """Run the files in the order given, over one connection; what a file did before its error is undone.

    `ran` hears of each file as soon as it is done.
    """
    import psycopg

    try:
        connection = libpq.connect(url, application_name="envctl migrate", client_encoding="utf8")
    except psycopg.OperationalError as error:
        raise UnavailableError("the database for the SQL files did not answer", cause=str(error)) from error
    with connection:
        connection.add_notice_handler(lambda notice: talk(f"  {notice.severity}: {notice.message_primary}"))
        for name, path in files:
            talk(f"sql {name}")
            _file(connection, name, _text(path))
            ran(name)


def _file(connection: psycopg.Connection[Any], name: str, text: str) -> None:
    try:
        found = list(statements.split(text))
    except ValueError as error:
        raise EnvctlError(f"{name}, {error}", hint=f"run such a file by a command: psql -f {name}") from error
    if NO_TRANSACTION.search(text) or any(one.verb in OWN_TRANSACTION for one in found):
        _each(connection, name, found)
    else:
        with connection.transaction():
            _each(connection, name, found)


def _each(connection: psycopg.Connection[Any], name: str, found: Iterable[Statement]) -> None:
    import psycopg

    for statement in found:
        try:
            connection.execute(statement.text)
        except psycopg.Error as error:
            raise _failed(name, statement, error) from error


def _failed(name: str, statement: Statement, error: psycopg.Error) -> EnvctlError:
    """The error at the line the server points to, or at the statement's first."""
    diag = error.diag
    position = int(diag.statement_position or 1) - 1
    line = statement.line + statements.line(statement.text, position) - 1
    details = (diag.message_primary or str(error), diag.message_detail, diag.context)
    return EnvctlError(
        f"{name}, line {line}: {details[0]}",
        cause="\n".join(one for one in details[1:] if one),
        hint=diag.message_hint or _hint(diag.sqlstate),
        code="migration",
    )


def _hint(sqlstate: str | None) -> str:
    if sqlstate == "25001":
        return "put `-- envctl: no-transaction` on a line of its own in this file"
    if sqlstate in ("42P07", "42710", "42P06", "42723"):
        return "a changed file runs again: put changes into a new file, or start fresh with envctl dev reset"
    return ""


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeError) as error:
        raise EnvctlError(
            f"the SQL file {path} cannot be read", cause=str(error), hint="it must be UTF-8 text"
        ) from error
