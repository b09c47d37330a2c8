"""A run that a bare `pytest` opens for itself: a process that lasts for as long as our end of its stdin is open."""

from __future__ import annotations

import json
import os
import socket
import sys
from contextlib import suppress
from pathlib import Path

from envctl import shell
from envctl.model import Command


class Run:
    """The process, started. Whoever kills us hangs up by that, and it cleans up."""

    def __init__(self, root: Path) -> None:
        words = (sys.executable, "-P", "-m", "envctl.testing", "--root", str(root))
        self._line, theirs = socket.socketpair()
        with theirs:
            # A session of its own: Ctrl-C is for the tests, which still need their databases while they end.
            self._process = shell.spawn(Command(words), log=theirs.fileno(), stdin=theirs.fileno())
        self._said = self._line.makefile("rb")
        os.register_at_fork(after_in_child=self._hang_up)

    def passport(self) -> bytes:
        """Its answer: where its desk is, or why there is none. What it says before is shown where a person waits."""
        said = []
        for line in self._said:
            if line.startswith(b"{"):
                return line
            said.append(line.decode(errors="replace"))
            if os.isatty(2):
                sys.stderr.write(said[-1])
        why = {"message": "the run could not be opened", "cause": shell.tail("".join(said)), "hint": "", "code": "bare"}
        return json.dumps({"error": why}).encode()

    def close(self) -> None:
        """Wait until all of it is gone, and show what is left to say; who does not wait leaves it to end by itself."""
        with suppress(KeyboardInterrupt, OSError, ValueError):  # It may have been killed in the middle of a word.
            self._line.shutdown(socket.SHUT_WR)
            for line in self._said:
                if line.startswith(b"{"):
                    sys.stderr.write("".join(f"{one}\n" for one in json.loads(line)["said"]))
            self._process.wait()
        self._hang_up()

    def _hang_up(self) -> None:
        """In a forked child too: only the process that began it keeps it open."""
        self._said.close()
        self._line.close()
