"""The command line: parse → call one function → show its result."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from envctl.cli.edge import Edge, Globals, guarded

PARSED = ("ENVCTL_WAIT", "ENVCTL_JSON", "ENVCTL_QUIET", "ENVCTL_VERBOSE")
"""The variables behind those global flags that are not plain text."""


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
    if words in (["ns"], ["ns", "--json"]) and not any(one in os.environ for one in PARSED):
        _at_once(words)
    from envctl.cli.app import run

    cut = words.index("--") if "--" in words else len(words)
    _exit(run(words[:cut], Globals(rest=tuple(words[cut + 1 :]))))


def _open_what_is_closed() -> None:
    """Started without stdin, stdout or stderr, the next file that is opened would be taken for one of them."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number, which is this one; what we start needs it as much as we do.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
            setattr(sys, name, open(number, "r" if number == 0 else "w", closefd=False))  # noqa: SIM115


def _at_once(words: Sequence[str]) -> None:
    """`envctl ns` without a parser, which costs as much as all its work."""
    from envctl.cli.names import ns
    from envctl.output import Output

    folder, name, engine = (os.environ.get(f"ENVCTL_{one}", "") for one in ("PROJECT", "NAMESPACE", "ENGINE"))
    flags = Globals(Path(folder) if folder else None, name, engine, json="--json" in words)
    output = Output(json=flags.json)
    _exit(guarded("ns", output, lambda: ns(Edge("ns", flags, output))))


def _exit(code: int) -> NoReturn:
    """Everything has been closed by its own block; taking the interpreter down piece by piece would only cost time."""
    with suppress(OSError, ValueError):
        sys.stdout.flush()
    with suppress(OSError, ValueError):
        sys.stderr.flush()
    os._exit(code)
