"""The edge of every command: the global flags, the one error boundary, and who prints."""

from __future__ import annotations

import inspect
import os
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from envctl.errors import EnvctlError, UsageError
from envctl.output import Output

if TYPE_CHECKING:
    from envctl.model import Environment
    from envctl.project import Project

WAIT = 120.0
"""How long a lock is waited for unless `--wait` says otherwise."""


@dataclass(frozen=True, slots=True)
class Globals:
    """The flags that mean the same before and after every command."""

    project: Path | None = None
    namespace: str = ""
    engine: str = ""
    wait: float = WAIT
    json: bool = False
    quiet: bool = False
    verbose: bool = False
    rest: tuple[str, ...] = ()
    """What stood after `--`."""


FLAGS: dict[str, Any] = {
    "project": Annotated[
        Path | None,
        typer.Option("--project", envvar="ENVCTL_PROJECT", help="The checkout to work on.", metavar="DIR"),
    ],
    "namespace": Annotated[
        str, typer.Option("--namespace", envvar="ENVCTL_NAMESPACE", help="Use this namespace.", metavar="NAME")
    ],
    "engine": Annotated[
        str,
        typer.Option("--engine", envvar="ENVCTL_ENGINE", help="auto, embedded, compose or external.", metavar="NAME"),
    ],
    "wait": Annotated[
        float,
        typer.Option("--wait", envvar="ENVCTL_WAIT", help="How long to wait for a lock.", metavar="SECONDS", min=0),
    ],
    "json": Annotated[bool, typer.Option("--json", envvar="ENVCTL_JSON", help="One JSON document on stdout.")],
    "quiet": Annotated[bool, typer.Option("-q", "--quiet", envvar="ENVCTL_QUIET", help="Say nothing but the answer.")],
    "verbose": Annotated[bool, typer.Option("-v", "--verbose", envvar="ENVCTL_VERBOSE", help="Say more.")],
}


@dataclass(frozen=True, slots=True)
class Edge:
    """What a command is given: its flags, its voice, and the project when it asks for it."""

    command: str
    flags: Globals
    output: Output

    def project(self, environment: Environment = "dev") -> Project:
        """Open the project that the flags, the variables or the current folder name."""
        from envctl.project import open_project

        found = open_project(
            self.directory, environment, os.environ, namespace_flag=self.flags.namespace, engine=self.flags.engine
        )
        if found.namespace.warning:
            self.output.warn(found.namespace.warning)
        return found

    @property
    def directory(self) -> Path:
        """The folder to work in."""
        chosen = self.flags.project
        if chosen is not None and not chosen.is_dir():
            raise UsageError(f"no such folder: {chosen}", hint="--project takes the folder of a checkout")
        return (chosen or Path.cwd()).absolute()

    def confirm(self, question: str, *, yes: bool) -> None:
        """Ask before something is lost; without a terminal only `--yes` will do."""
        import sys

        if yes:
            return
        if not sys.stdin.isatty() or self.flags.json:
            raise UsageError(f"{question} There is nobody to ask", hint="pass --yes to answer in advance")
        if not typer.confirm(question, err=True):
            raise EnvctlError("nothing was done", cause="the question was answered with no", code="declined")


def command(app: typer.Typer, name: str, **options: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function that takes an `Edge` and its own parameters; the global flags come along."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        def run(ctx: typer.Context, **given: Any) -> None:
            local = {key: given.pop(key) for key in FLAGS}
            flags = replace(ctx.obj or Globals(), **{key: local[key] for key in local if _typed(ctx, key)})
            path = ctx.command_path.partition(" ")[2]
            output = Output(json=flags.json, quiet=flags.quiet, verbose=flags.verbose)
            raise typer.Exit(guarded(path, output, lambda: function(Edge(path, flags, output), **given)))

        own = [one for one in _parameters(function) if one.name != "edge"]
        run.__signature__ = inspect.Signature([_context(), *own, *_flags()])  # type: ignore[attr-defined]
        run.__annotations__ = {"ctx": typer.Context, **{one.name: one.annotation for one in [*own, *_flags()]}}
        run.__doc__ = function.__doc__
        run.__name__ = function.__name__
        app.command(name, **options)(run)
        return function

    return decorate


def guarded(path: str, output: Output, work: Callable[[], Any]) -> int:
    """The one boundary: whatever happens inside becomes an exit code and something to read."""
    try:
        code = work()
    except EnvctlError as error:
        return output.fail(path, error)
    except KeyboardInterrupt:
        interrupted = EnvctlError("interrupted", code="interrupted")
        interrupted.exit_code = 130
        return output.fail(path, interrupted)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the reader of our answer has gone: say nothing at exit either
        return 0
    except Exception as error:
        if output.verbose:
            traceback.print_exc()
        return output.fail(path, _ours(error))
    return code if isinstance(code, int) else 0


def _ours(error: Exception) -> EnvctlError:
    return EnvctlError(
        "envctl itself failed: this is a fault of ours",
        cause=f"{type(error).__name__}: {error}",
        hint="run it again with -v and report what it prints",
        code="internal",
    )


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    signature = inspect.signature(function, eval_str=True)
    return [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in signature.parameters.values()]


def _show_version(wanted: bool) -> None:
    from envctl import __version__

    if wanted:
        typer.echo(f"envctl {__version__}")
        raise typer.Exit


def _typed(ctx: typer.Context, name: str) -> bool:
    """Whether a flag stood on the command line: a variable has been heard before the command's name already."""
    source = ctx.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _context() -> inspect.Parameter:
    return inspect.Parameter("ctx", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)


def _flags() -> list[inspect.Parameter]:
    fresh = Globals()
    return [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=getattr(fresh, name), annotation=annotation)
        for name, annotation in FLAGS.items()
    ]


def globally(app: typer.Typer) -> None:
    """Take the global flags before the command's name too, and `--version`."""

    def root(ctx: typer.Context, **given: Any) -> None:
        given.pop("version")
        ctx.obj = replace(ctx.obj or Globals(), **given)

    version = inspect.Parameter(
        "version",
        inspect.Parameter.KEYWORD_ONLY,
        default=False,
        annotation=Annotated[
            bool, typer.Option("--version", help="Show the version.", is_eager=True, callback=_show_version)
        ],
    )
    parameters = [_context(), version, *_flags()]
    root.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    root.__annotations__ = {one.name: one.annotation for one in parameters}
    app.callback(invoke_without_command=False)(root)
