"""What `envctl test` costs, beside what a user would pick instead: the same 300 tests in four workers, side by side.

Every way runs once per round, in turn, so that a busy minute of the machine meets all alike; ratios are of medians of
the same run. Nothing is asserted: the aims and what was found stand beside each other in benchmarks/results.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import app
import crowd
import fresh
import idle
import migrating
import plot
import results
import suite
from figures import Report, rounded

PARTS: dict[str, Callable[[Path, int, Report], None]] = {
    "suite": suite.measure,
    "cold": suite.cold,
    "migrating": migrating.measure,
    "fresh": fresh.measure,
    "crowd": crowd.measure,
    "idle": lambda folder, rounds, report: idle.measure(folder, report),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="how often each is measured")
    parser.add_argument("--only", choices=PARTS, action="append", help="these parts alone; nothing is written then")
    parser.add_argument("--renew", action="store_true", help="with --only: put them into the results that are there")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that servers and folders go then, too
    before, report = os.getloadavg()[0], Report()
    with tempfile.TemporaryDirectory(prefix="envctl-bench-") as folder:
        for name in given.only or PARTS:
            print(f"{name}:", flush=True)
            PARTS[name](Path(folder) / name, given.rounds, report)
    print(table(report))
    if not given.only:
        write(report, before, given.rounds)
    elif given.renew and "suite" not in given.only:  # whose ways are compared within one run
        results.renew("testing", report, parts=given.only, rounds=given.rounds, load=before)


def table(report: Report) -> str:
    """What a person reads."""
    lines = [f"\n{'':<44}{'median':>8}  {'least to most':<16}{'over floor':>10}  {'of floor':>9}"]
    for row in report.contenders:
        spread = f"{row['least']:.2f} to {row['most']:.2f}"
        over = f"{row['over_floor']:>8.2f} s  {row['of_floor']:>7.2f} x"
        lines.append(f"{row['name']:<44}{row['median']:>6.2f} s  {spread:<16}{over}")
    lines += [f"{one['name']}: skipped, {one['reason']}" for one in report.skipped] + [""]
    return "\n".join([*lines, *results.table(report)])


def write(report: Report, load: float, rounds: int) -> None:
    """The JSON and the plot."""
    about = {"application": {"revisions": app.REVISIONS, "tests": app.TESTS, "workers": 4, "rounds": rounds}}
    more = {"contenders": report.contenders, "skipped": report.skipped, "warm_phases": phases(report)}
    subtitle = (
        f"{app.REVISIONS} revisions, {app.TESTS} tests, pytest -n 4 on {os.cpu_count()} cores; median of {rounds}"
    )
    picture = plot.bars("The same tests, by who makes the databases", f"{subtitle}, least to most", report.contenders)
    results.write("testing", report, picture, load=load, about=about, more=more)


def phases(report: Report) -> dict[str, Any]:
    """The median of each phase of the warm runs."""
    names = dict.fromkeys(name for one in report.phases for name in one)
    return {name: rounded(statistics.median(one.get(name, 0.0) for one in report.phases)) for name in names}


if __name__ == "__main__":
    main()
