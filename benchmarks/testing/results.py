"""What a benchmark leaves: a table for whoever ran it, and a JSON file with a picture for everybody else."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from figures import Aim, Figure, Report, rounded

RESULTS = Path(__file__).resolve().parents[1] / "results"


def table(report: Report) -> Iterator[str]:
    """The figures with their range, then the aims beside what was found."""
    for one in report.figures:
        spread = f"{min(one.samples):.3g} to {max(one.samples):.3g}" if len(one.samples) > 1 else ""
        yield f"{one.name:<66}{one.median:>8.3g} {one.unit:<5}{spread}"
    yield f"\n{'':<66}{'aim':>8}{'found':>9}"
    for aim in report.aims:
        mark = "reached" if aim.reached else "NOT reached"
        yield f"{aim.measure:<66}{aim.wanted:>8.3g}{aim.shown:>9} {aim.unit:<5}{mark}"


def write(
    name: str, report: Report, picture: str, *, load: float, about: Mapping[str, Any], more: Mapping[str, Any]
) -> None:
    """The two files. `about` says what was measured and how often, `more` is what this benchmark alone has."""
    content = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(load),
        **about,
        "noise": rounded(report.noise),
        "aims": [one.as_json() for one in report.aims],
        **more,
        "figures": [one.as_json() for one in report.figures],
        "servers": report.servers,
    }
    RESULTS.mkdir(exist_ok=True)
    target = RESULTS / f"{name}.json"
    target.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    target.with_suffix(".svg").write_text(picture)
    print(f"\nwritten to {target.relative_to(RESULTS.parents[1])} and .svg")


def renew(name: str, report: Report, *, parts: Sequence[str], rounds: int, load: float) -> None:
    """Put what was measured again in the place of what is there; the file says which parts of it, and when."""
    target = RESULTS / f"{name}.json"
    content = json.loads(target.read_text())
    now: dict[str, Sequence[Figure | Aim]] = {"aims": report.aims, "figures": report.figures}
    for kind, key in (("aims", "measure"), ("figures", "name")):
        found = {one[key]: one for one in (each.as_json() for each in now[kind])}
        content[kind] = [found.pop(one[key], one) for one in content[kind]] + [*found.values()]
    when = datetime.now(UTC).isoformat(timespec="seconds")
    renewed = {"parts": [*parts], "when": when, "rounds": rounds, "machine": machine(load)}
    content["renewed"] = [*content.get("renewed", []), renewed]
    target.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    print(f"\nrenewed in {target.relative_to(RESULTS.parents[1])}")


def machine(load_before: float) -> dict[str, Any]:
    """What else the figures depend on."""
    return {
        "cores": os.cpu_count(),
        "load_before": load_before,
        "load_after": os.getloadavg()[0],
        "memory": psutil.virtual_memory().total,
        "python": platform.python_version(),
        "system": platform.system(),
    }
