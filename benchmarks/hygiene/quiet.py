"""A clean with nothing to do: twenty namespaces, each with everything of its own, all there."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from pathlib import Path

import ground
from figures import Aim, Figure, Report

NAMESPACES = 20


def measure(folder: Path, rounds: int, count: int, report: Report) -> None:
    """The command as a person types it, and beside it one that does nothing at all."""
    samples: dict[str, list[float]] = {"envctl clean": [], "its CPU time": [], "envctl ns": [], "python -c pass": []}
    with ground.opened(folder) as place:
        for number in range(1, NAMESPACES):
            other = folder / f"worktree {number}"
            place.git("worktree", "add", "-q", "-b", f"feature/{number}", str(other))
            place("dev", "up", cwd=other)
        place("clean")
        for _ in range(2 * rounds):
            before = cpu()
            seconds, said = place.timed("clean")
            samples["its CPU time"].append(cpu() - before)
            if "dropped" in said or "quarantined" in said:
                sys.exit(f"error: something was to do\n{said}")
            samples["envctl clean"].append(seconds)
            samples["envctl ns"].append(place.timed("ns")[0])
            samples["python -c pass"].append(bare())
    report.figures += [Figure(f"{name}, {NAMESPACES} namespaces", tuple(found)) for name, found in samples.items()]
    found = Figure("", tuple(samples["envctl clean"]))
    note = "postgres, s3 and redis, all up"
    cost = "the import of psycopg is more than a third of it, envctl's own modules as much"
    report.aims.append(Aim(f"clean with nothing to do, {NAMESPACES} namespaces", 0.3, found.median, "s", note, cost))
    report.noise = (max(found.samples) - min(found.samples)) / found.median


def cpu() -> float:
    """Of all commands that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def bare() -> float:
    """The floor of every command."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    return time.perf_counter() - start
