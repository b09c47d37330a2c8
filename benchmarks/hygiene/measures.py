"""What hygiene costs: a clean with nothing to do, 500 orphans beside the bare DROP loop, an audit, and git's hook.

Nothing is asserted: the aims and what was found stand beside each other in benchmarks/results.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

sys.path.insert(1, str(Path(__file__).resolve().parents[1] / "testing"))
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # or each start of envctl would compile all of it anew

import aims
import hooks
import orphans
import quiet
import results
from figures import Aim, Figure, Report

Part = Callable[[Path, int, int, Report], None]


def git_hook(folder: Path, rounds: int, count: int, report: Report) -> None:
    """Pushes and fetches with the hook and without."""
    folder.mkdir()
    for one in hooks.measure(folder, 5 * rounds):
        for kind, samples in one.samples.items():
            report.figures.append(Figure(f"{one.name}: {hooks.KINDS[kind]}", samples, "ms"))
        if one.name in (hooks.PUSH, hooks.FETCH):
            report.figures.append(Figure(f"{one.name}: with the hook ÷ without", (one.ratio,), "x"))
        note = f"what they cost over an empty hook in all, ÷ the {one.calls} calls that git makes"
        report.aims.append(Aim(f"{one.name}: our lines, each call", 15, one.a_call, "ms", note))


PARTS: dict[str, Part] = {"quiet": quiet.measure, "orphans": orphans.measure, "hook": git_hook}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured")
    parser.add_argument("--orphans", type=int, default=500, help="how many databases are orphaned")
    parser.add_argument("--only", choices=PARTS, action="append", help="these parts alone; nothing is written then")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that servers and folders go then, too
    before, report = os.getloadavg()[0], Report()
    with tempfile.TemporaryDirectory(prefix="envctl-bench-") as folder:
        for name in given.only or PARTS:
            print(f"{name}:", flush=True)
            PARTS[name](Path(folder) / name, given.rounds, given.orphans, report)
    print("", *results.table(report), sep="\n")
    if not given.only:
        write(report, before, given.rounds, given.orphans)


def write(report: Report, load: float, rounds: int, count: int) -> None:
    """The JSON and the picture."""
    subtitle = f"what was found, as a part of what was wanted; median of {rounds} on {os.cpu_count()} cores"
    picture = aims.picture("What hygiene costs", subtitle, report.aims)
    about = {"rounds": rounds, "orphans": count}
    results.write("hygiene", report, picture, load=load, about=about, more={})


if __name__ == "__main__":
    main()
