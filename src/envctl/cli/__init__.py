"""The command line: parse → call one function → show its result."""

from __future__ import annotations

import sys

from envctl.cli.edge import Globals


def main() -> None:
    """The console script. What stands after `--` belongs to the command that is run, never to us."""
    if sys.platform == "win32":
        sys.exit("error: envctl runs on Linux and macOS\n  hint: on Windows, use it inside WSL")
    from envctl.cli.app import run

    words = sys.argv[1:]
    cut = words.index("--") if "--" in words else len(words)
    sys.exit(run(words[:cut], Globals(rest=tuple(words[cut + 1 :]))))
