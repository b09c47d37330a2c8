"""The commands, put together; and what the parser itself has to complain of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import typer

from envctl.cli import dev, hooks, hygiene, leaks, project, testing
from envctl.cli.edge import Globals
from envctl.cli.parser import globally
from envctl.errors import UsageError
from envctl.output import Output

app = typer.Typer(
    name="envctl",
    help="One namespace per checkout inside shared PostgreSQL, S3 and Redis.",
    epilog="Start with `envctl init`, then `envctl dev up`.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
project.add(app)
dev.add(app)
testing.add(app)
hygiene.add(app)
leaks.add(app)
hooks.add(app)
globally(app)


def run(words: Sequence[str], flags: Globals) -> int:
    """Run one command line and return its exit code; the parser's complaints look like all other errors."""
    try:
        code = app(args=_asked(words), prog_name="envctl", standalone_mode=False, obj=flags)
    except Exception as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            print(error.format_message())  # type: ignore[attr-defined]
            return 2
        complaint = _complaint(error)
        if complaint is None:
            raise
        output = Output(json="--json" in words or flags.json, quiet=False, verbose=False)
        return output.fail(" ".join(word for word in words[:2] if not word.startswith("-")), complaint)
    return code if isinstance(code, int) else 0


def _asked(words: Sequence[str]) -> list[str]:
    """`help`, `help COMMAND` and, of a group of commands, `GROUP help` are `--help` at its place."""
    groups = [[group.name, "help"] for group in app.registered_groups]
    if list(words[:2]) in groups:
        return [words[0], *words[2:], "--help"]
    return [*words[1:], "--help"] if words[:1] == ["help"] else list(words)


def _complaint(error: Any) -> UsageError | None:
    """The parser's own exceptions, known by their shape: which package they come from differs by version."""
    if type(error).__name__ == "Abort":
        return UsageError("nothing was done", code="declined")
    if not hasattr(error, "format_message"):
        return None
    path = getattr(getattr(error, "ctx", None), "command_path", "envctl")
    said = error.format_message()
    theirs = path.endswith(("psql", "run", "test", "shell")) and ("No such option" in said or "extra argument" in said)
    hint = f"what the program is to get stands after --: {path} -- …" if theirs else f"{path} --help"
    return UsageError(error.format_message(), hint=hint)
