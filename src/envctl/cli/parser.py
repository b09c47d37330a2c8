"""Commands as typer parses them: every one takes the global flags, before its name and after it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from envctl.cli.edge import Edge, Globals, guarded
from envctl.output import Output

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
        typer.Option(
            "--wait",
            envvar="ENVCTL_WAIT",
            help="How long to wait for a lock; for a turn to test, 30 times that.",
            metavar="SECONDS",
            min=0,
        ),
    ],
    "json": Annotated[bool, typer.Option("--json", envvar="ENVCTL_JSON", help="One JSON document on stdout.")],
    "quiet": Annotated[bool, typer.Option("-q", "--quiet", envvar="ENVCTL_QUIET", help="Say nothing but the answer.")],
    "verbose": Annotated[bool, typer.Option("-v", "--verbose", envvar="ENVCTL_VERBOSE", help="Say more.")],
}


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
