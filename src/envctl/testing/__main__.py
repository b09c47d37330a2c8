"""The desk of a bare `pytest`, an IDE's say: the plugin starts it, and it closes when that process ends."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from envctl import state, testing
from envctl.errors import EnvctlError
from envctl.output import explained
from envctl.project import open_project
from envctl.testing import interruption, kept, passport, wish
from envctl.testing.timings import Timings

WAIT = 120.0


def main(root: Path) -> None:
    """Open a run for the project at `root`, say where its desk is, and close it when our stdin ends."""
    opened = False
    try:
        state.refuse_unfit()
        project = open_project(root, "test", os.environ)
        wished = replace(wish.of_suite(project, "", ()), audit=False)  # There is no keeper that could look.
        voice = testing.Voice(_say, lambda line: None, lambda name, line: _say(line))
        # Opened as for any command but pytest, which is waiting already: it goes on once all is ready.
        with interruption.heeded(), testing.opened(project, wished, Timings(), wait=WAIT, voice=voice) as live:
            _answer({**passport.content(live.project, wished, live.socket), "bare": True})
            opened = True
            sys.stdin.buffer.read()
        _answer({"said": kept.lines(live)})
    except EnvctlError as error:
        told = {"message": error.message, "cause": error.cause, "hint": error.hint, "code": error.code}
        _answer({"said": [explained(error)]} if opened else {"error": told})
        sys.exit(error.exit_code)


def _answer(content: dict[str, Any]) -> None:
    print(json.dumps(content), flush=True)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[sys.argv.index("--root") + 1]))
