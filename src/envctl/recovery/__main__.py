"""The process that cleans up after a project's dead runs, and ends."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from envctl import residue
from envctl.recovery import cleaning
from envctl.runs import folders


def main(project_home: Path) -> None:
    """Every dead run once; also those that died while the others were cleaned."""
    os.chdir("/")
    folders.tidy(project_home)
    seen: set[Path] = set()
    while found := [one for one in residue.dead(project_home) if one not in seen and not residue.settled(one)]:
        seen.update(found)
        for folder in found:
            if not residue.private(folder):
                _one(folder)


def _one(folder: Path) -> None:
    """What cannot be cleaned is told, and does not keep the others from it."""
    try:
        lines = cleaning.clean(folder).lines
    except Exception as error:
        lines = (f"failed with {type(error).__name__}: {error}",)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    for line in lines:
        print(f"{now} {folder.name}: {line}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
