"""A program in the place of envctl: it runs what a test tells it and reports on its own output."""

from __future__ import annotations

import fcntl
import json
import signal
import sys
import termios
from pathlib import Path

from envctl.errors import EnvctlError
from envctl.keeper import keeping
from envctl.model import Command
from envctl.processes import Process, run_all, run_foreground


def main() -> int:
    """Run the order in the first argument."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests may run under nohup
    order = json.loads(sys.argv[1])
    if "terminal" in order:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    keeping.PATIENCE = order.get("patience", keeping.PATIENCE)
    try:
        if "foreground" in order:
            code = run_foreground(Command(tuple(order["foreground"])))
            say(f"code {code}")
            return code
        processes = [Process(name, command, Path.cwd(), {}) for name, command in order["processes"].items()]
        return run_all(processes, write=lambda name, line: say(f"{name}| {line}"), talk=lambda line: say(f"- {line}"))
    except EnvctlError as error:
        say(f"error {error.message}")
        return 99


def say(line: str) -> None:
    """One line, at once."""
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
