"""A run that books and works: what the admission tests start. It says what it got, works until a line comes, leaves.

With `rounds` it does so that often, for a moment each.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from envctl import admission
from envctl.errors import EnvctlError
from envctl.model import Capacity
from envctl.room import Demand


def say(**words: object) -> None:
    print(json.dumps(words), flush=True)


def main(home: str, run: str, options: str) -> None:
    """Book as the options say, on a server of so many connections that nobody else uses."""
    chosen = json.loads(options)
    capacity = Capacity(chosen.pop("limit"), 0, 6400)
    wait, rounds = chosen.pop("wait", 300), chosen.pop("rounds", 0)
    demand = Demand(run, run, "/w", "suite", **chosen)

    def booked() -> None:
        with admission.book(
            Path(home), demand, capacity=lambda: capacity, wait=wait, talk=lambda line: say(says=line)
        ) as one:
            say(granted=one.granted, reason=one.reason)
            if rounds:
                time.sleep(0.02)  # What it has, others must do without.
            else:
                sys.stdin.readline()

    try:
        for _ in range(rounds or 1):
            booked()
    except EnvctlError as error:
        say(error=error.code, cause=error.cause)


if __name__ == "__main__":
    main(*sys.argv[1:])
