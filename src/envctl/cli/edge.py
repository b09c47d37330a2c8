"""The edge of every command: what it is given, the one error boundary, and who prints. Knows no parser."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envctl.errors import EnvctlError, UsageError
from envctl.output import Output
from envctl.values import dataclass

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


@dataclass(frozen=True, slots=True)
class Edge:
    """What a command is given: its flags, its voice, and the project when it asks for it."""

    command: str
    flags: Globals
    output: Output

    def project(self, environment: Environment = "dev", *, sweep: bool = True) -> Project:
        """Open the project that the flags, the variables or the current folder name; dead runs' leavings are swept."""
        from envctl import recovery, state
        from envctl.project import open_project

        state.refuse_unfit()
        found = open_project(
            self.directory, environment, os.environ, namespace_flag=self.flags.namespace, engine=self.flags.engine
        )
        if sweep:
            recovery.sweep(found)
        if found.namespace.warning and not self._told(found):
            self.output.warn(found.namespace.warning)
        return found

    def _told(self, project: Project) -> bool:
        """Whether this folder has heard already that it is named by its path: once is enough, but for `ns`."""
        from envctl import workspaces

        if project.namespace.source != "default" or self.command == "ns" or self.output.quiet:
            return False
        return workspaces.told(project.config.project, project.namespace)

    @property
    def directory(self) -> Path:
        """The folder to work in."""
        chosen = self.flags.project
        if chosen is not None and not chosen.is_dir():
            raise UsageError(f"no such folder: {chosen}", hint="--project takes the folder of a checkout")
        try:
            return (chosen or Path.cwd()).absolute()
        except FileNotFoundError as error:
            raise UsageError("the current folder is gone", hint="cd to one that is there") from error

    def confirm(self, question: str, *, yes: bool) -> None:
        """Ask before something is lost; without a terminal only `--yes` will do."""
        if yes:
            return
        import sys

        import typer

        if not sys.stdin.isatty() or self.flags.json:
            raise UsageError(f"{question} There is nobody to ask", hint="pass --yes to answer in advance")
        if not typer.confirm(question, err=True):
            raise EnvctlError("nothing was done", cause="the question was answered with no", code="declined")


def guarded(path: str, output: Output, work: Callable[[], Any]) -> int:
    """The one boundary: whatever happens inside becomes an exit code and something to read."""
    try:
        code = work()
    except EnvctlError as error:
        return output.fail(path, error)
    except KeyboardInterrupt:
        return output.fail(path, _interrupted())
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the reader of our answer has gone: say nothing at exit either
        return 0
    except Exception as error:
        if type(error).__name__ == "Abort":  # Ctrl-C at a question; whose class it is differs by typer's version
            return output.fail(path, _interrupted())
        if output.verbose:
            import traceback

            traceback.print_exc()
        return output.fail(path, _ours(error))
    return code if isinstance(code, int) else 0


def _interrupted() -> EnvctlError:
    error = EnvctlError("interrupted", code="interrupted")
    error.exit_code = 130
    return error


def _ours(error: Exception) -> EnvctlError:
    return EnvctlError(
        "envctl itself failed: this is a fault of ours",
        cause=f"{type(error).__name__}: {error}",
        hint="run it again with -v and report what it prints",
        code="internal",
    )
