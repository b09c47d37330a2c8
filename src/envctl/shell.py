"""The one place that runs other programs."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

from envctl.errors import EnvctlError, UnavailableError
from envctl.model import Command
from envctl.values import dataclass


@dataclass(frozen=True, slots=True)
class Done:
    """A finished command."""

    command: Command
    code: int
    out: str
    err: str


def run(command: Command, *, check: bool = True, seconds: float | None = None, keep: tuple[int, ...] = ()) -> Done:
    """Run to the end and return what it printed. Secrets go by `stdin` or `env`, never in argv."""
    try:
        done = subprocess.run(
            command.argv,
            input=command.stdin,
            capture_output=True,
            text=True,
            errors="replace",
            cwd=command.cwd,
            env=environment(command),
            timeout=seconds,
            check=False,
            pass_fds=keep,
        )
    except FileNotFoundError as error:
        raise EnvctlError(f"{command.argv[0]} could not be run", cause=str(error), code="no_program") from error
    except subprocess.TimeoutExpired as error:
        raise UnavailableError(f"{command.argv[0]} gave no answer within {seconds:g} s") from error
    result = Done(command, done.returncode, done.stdout, done.stderr)
    if check and result.code != 0:
        raise EnvctlError(
            f"`{shown(command)}` ended with {result.code}", cause=tail(result.err or result.out), code="command"
        )
    return result


def spawn(
    command: Command,
    *,
    log: IO[bytes] | int | None,
    keep: tuple[int, ...] = (),
    stdin: IO[bytes] | int | None = subprocess.DEVNULL,
    session: bool = True,
    inherit: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start in a session of its own and return at once; `keep` names descriptors that it inherits.

    A `log` or `stdin` that is None is ours. `inherit` stands for our own environment, where not all of that
    is the program's business.
    """
    return subprocess.Popen(
        command.argv,
        stdin=stdin,
        stdout=log,
        stderr=None if log is None else subprocess.STDOUT,
        cwd=command.cwd,
        env=environment(command) if inherit is None else {**inherit, **command.env},
        pass_fds=keep,
        start_new_session=session,
    )


def detach(
    command: Command,
    *,
    log: IO[bytes] | int,
    keep: tuple[int, ...] = (),
    stdin: IO[bytes] | int = subprocess.DEVNULL,
    inherit: Mapping[str, str] | None = None,
) -> int:
    """Start what is to outlive us, and return its pid; nobody waits for it."""
    process = spawn(command, log=log, keep=keep, stdin=stdin, inherit=inherit)
    process.returncode = 0  # Else Python warns that it still runs, which is what it is for.
    return process.pid


def lines(command: Command) -> Iterator[str]:
    """What it prints, line by line as it comes; it is ended when the reader stops."""
    process = spawn(command, log=subprocess.PIPE)
    assert process.stdout is not None
    try:
        for line in process.stdout:
            yield line.decode(errors="replace").rstrip("\r\n")
    finally:
        process.stdout.close()
        process.terminate()
        process.wait()


def environment(command: Command) -> dict[str, str]:
    """This process's environment, less what the command must not inherit, with its own laid over it."""
    inherited = {name: value for name, value in os.environ.items() if name not in command.without}
    return {**inherited, **command.env}


def which(name: str) -> Path | None:
    """Where a program is on PATH."""
    found = shutil.which(name)
    return Path(found) if found else None


def shown(command: Command) -> str:
    """A command as a person would type it, cut to one line."""
    text = " ".join(command.argv)
    return text if len(text) <= 160 else text[:157] + "…"


def tail(text: str, lines: int = 12) -> str:
    """The last lines of an output, for an error."""
    return "\n".join(text.rstrip().splitlines()[-lines:])
