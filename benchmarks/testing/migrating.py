"""What one more migration costs, and another branch and back: seconds over a run with nothing to migrate."""

from __future__ import annotations

from pathlib import Path

import app
import ours
from figures import Aim, Figure, Report, difference

NOTHING = ("run", "--", "true")
CURRENT = ("run", "--", "alembic", "current")
"""What Alembic takes to start, read its revisions and ask the database which is the last one."""


def measure(folder: Path, rounds: int, report: Report) -> None:
    """A command that does nothing, in a sandbox made of: a known template, one with a new migration, one from zero."""
    walls: dict[str, list[float]] = {"warm": [], "one new": [], "zero": [], "back": [], "start": []}
    with ours.checkout(folder, revisions=app.REVISIONS - 1) as place:
        place(*NOTHING)
        for number in range(rounds):
            for name, wall in lap(place, number):
                walls[name].append(wall)
            print("  migrating: " + ", ".join(f"{name} {found[-1]:.2f} s" for name, found in walls.items()), flush=True)
    tell(walls, report)


def lap(place: ours.Place, number: int) -> list[tuple[str, float]]:
    """One of each. Every new migration is another one, for the one before has its template."""
    found = [("warm", place.timed(*NOTHING)[0]), ("start", place.timed(*CURRENT)[0])]
    app.git(place.folder, "switch", "-q", "-c", f"feature-{number}")
    file = app.revise(place.folder, app.REVISIONS - 1)
    file.write_text(file.read_text() + f"# number {number}\n")
    found.append(("one new", place.timed(*NOTHING)[0]))
    app.commit(place.folder, "One more")
    app.git(place.folder, "switch", "-q", "main")
    found.append(("back", place.timed(*NOTHING)[0]))
    found.append(("zero", place.timed("run", "--from-scratch", "--", "true")[0]))
    return found


def tell(walls: dict[str, list[float]], report: Report) -> None:
    """The shares that are left when what every run costs is taken away."""
    one, zero, start = (difference(walls[name], walls["warm"]) for name in ("one new", "zero", "start"))
    report.figures += [
        Figure("envctl run -- true, warm", tuple(walls["warm"])),
        Figure("… with one new migration among 60", tuple(walls["one new"])),
        Figure("… on another branch and back again", tuple(walls["back"])),
        Figure("… migrating from zero", tuple(walls["zero"])),
        Figure("envctl run -- alembic current", tuple(walls["start"])),
    ]
    profile = (
        f"{start:.2f} of the {one:.2f} s are Alembic's own start, which alone is {start / zero:.2f} x of {zero:.2f} s"
    )
    report.aims.append(Aim("one new migration among 60 ÷ from zero", 0.15, one / zero, "x", profile=profile))
