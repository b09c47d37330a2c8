"""What hygiene costs: a clean with nothing to do, 500 orphans beside the bare DROP loop, an audit, and git's hook.

Nothing is asserted: the aims and what was found stand beside each other in benchmarks/results.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import statistics
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import psutil

HERE = Path(__file__).resolve().parent
RESULTS = HERE.parent / "results"
sys.path.insert(1, str(HERE.parent / "testing"))
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # or each start of envctl would compile all of it anew

import aims  # noqa: E402
import hooks  # noqa: E402
import orphans  # noqa: E402
import quiet  # noqa: E402
from figures import Aim, Figure, Report, rounded  # noqa: E402

Part = Callable[[Path, int, int, Report], None]


def git_hook(folder: Path, rounds: int, count: int, report: Report) -> None:
    """Pushes and fetches with the hook and without."""
    folder.mkdir()
    for one in hooks.measure(folder, 5 * rounds):
        for kind, samples in one.samples.items():
            report.figures.append(Figure(f"{one.name}: {hooks.KINDS[kind]}", samples, "ms"))
        if one.name in (hooks.PUSH, hooks.FETCH):
            report.figures.append(Figure(f"{one.name}: with the hook ÷ without", (one.ratio,), "x"))
        report.aims.append(Aim(f"{one.name}: what our lines cost", 15, one.over_empty, "ms", "over an empty hook"))


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
    print(table(report))
    if not given.only:
        write(report, before, given.rounds, given.orphans)


def table(report: Report) -> str:
    """What a person reads."""
    lines = [""]
    for one in report.figures:
        spread = f"{min(one.samples):.3g} to {max(one.samples):.3g}" if len(one.samples) > 1 else ""
        lines.append(f"{one.name:<66}{one.median:>8.3g} {one.unit:<3} {spread}")
    lines.append(f"\n{'':<66}{'aim':>8}{'found':>9}")
    for aim in report.aims:
        mark = "reached" if aim.reached else "NOT reached"
        lines.append(f"{aim.measure:<66}{aim.wanted:>8.3g}{aim.found:>9.3g} {aim.unit:<3}{mark}")
    return "\n".join(lines)


def write(report: Report, load_before: float, rounds: int, count: int) -> None:
    """The JSON and the picture."""
    content = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "cores": os.cpu_count(),
            "load_before": load_before,
            "load_after": os.getloadavg()[0],
            "memory": psutil.virtual_memory().total,
            "python": platform.python_version(),
            "system": platform.system(),
        },
        "rounds": rounds,
        "orphans": count,
        "noise": rounded(report.noise),
        "aims": [one.as_json() for one in report.aims],
        "figures": [one.as_json() for one in report.figures],
        "servers": report.servers,
    }
    target = RESULTS / "hygiene.json"
    target.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    subtitle = f"what was found, as a part of what was wanted; median of {rounds} on {os.cpu_count()} cores"
    target.with_suffix(".svg").write_text(aims.picture("What hygiene costs", subtitle, report.aims))
    print(f"\nwritten to {target.relative_to(RESULTS.parents[1])} and .svg")


def spread(samples: tuple[float, ...]) -> float:
    """How much the samples of one thing vary, as a part of their median."""
    return (max(samples) - min(samples)) / statistics.median(samples)


if __name__ == "__main__":
    main()
