"""The command line: parse → call one function → show its result."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NoReturn

from envctl.cli.edge import Edge, Globals, guarded
from envctl.output import Output

PARSED = ("ENVCTL_WAIT", "ENVCTL_JSON", "ENVCTL_QUIET", "ENVCTL_VERBOSE", "ENVCTL_TEST_ENVIRONMENT")
"""The variables behind those flags that are not plain text."""


def main() -> None:
    """The console script. A Ctrl-C before there is anything to clean up is no fault to show a traceback for."""
    try:
        _main()
    except KeyboardInterrupt:
        _exit(130)


def _main() -> None:
    """What stands after `--` belongs to the command that is run, never to us."""
    if sys.platform == "win32":
        sys.exit("error: envctl runs on Linux and macOS\n  hint: on Windows, use it inside WSL")
    _open_what_is_closed()
    words = sys.argv[1:]
    cut = words.index("--") if "--" in words else len(words)
    words, rest = words[:cut], tuple(words[cut + 1 :])
    if not any(one in os.environ for one in PARSED):
        _at_once(words, rest)
    from envctl.cli.app import run

    _exit(run(words, Globals(rest=rest)))


def _open_what_is_closed() -> None:
    """Started without stdin, stdout or stderr, the next file that is opened would be taken for one of them."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number, which is this one; what we start needs it as much as we do.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
            setattr(sys, name, open(number, "r" if number == 0 else "w", closefd=False))  # noqa: SIM115


def _at_once(words: Sequence[str], rest: tuple[str, ...]) -> None:
    """What is mostly typed, without a parser, which costs as much as all of `ns`."""
    name, *more = words or [""]
    work: Callable[[Edge], object] | None = None
    if name == "ns" and more in ([], ["--json"]) and not rest:
        from envctl.cli.names import ns as work
    elif name == "clean" and more in ([], ["--json"]) and not rest:
        from envctl.cli.cleaning import clean as work
    elif name == "test" and len(more) < 2 and not any(one.startswith("-") for one in more):
        from envctl.cli.running import run_tests

        work = partial(run_tests, suite="".join(more))
    elif name == "run" and not more:
        from envctl.cli.running import run_command as work
    if work is None:
        return
    folder, namespace, engine = (os.environ.get(f"ENVCTL_{one}", "") for one in ("PROJECT", "NAMESPACE", "ENGINE"))
    flags = Globals(Path(folder) if folder else None, namespace, engine, json="--json" in more, rest=rest)
    edge = Edge(name, flags, Output(json=flags.json))
    _exit(guarded(name, edge.output, partial(work, edge)))


def _exit(code: int) -> NoReturn:
    """Everything has been closed by its own block; taking the interpreter down piece by piece would only cost time."""
    with suppress(OSError, ValueError):
        sys.stdout.flush()
    with suppress(OSError, ValueError):
        sys.stderr.flush()
    os._exit(code)
