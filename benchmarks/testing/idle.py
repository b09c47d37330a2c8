"""What envctl's own processes use of the processors while the tests run and nothing happens."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import ours
import psutil
from figures import Aim, Figure, Report

SECONDS = 10


def measure(folder: Path, report: Report) -> None:
    """A run whose command sleeps; servers are not counted, for they would do the same without envctl."""
    with ours.checkout(folder) as place:
        place("run", "--", "true")
        place.settle()
        argv = [ours.ENVCTL, "run", "--", "sleep", str(SECONDS + 4)]
        running = subprocess.Popen(argv, cwd=place.folder, env=place.environment, stderr=subprocess.DEVNULL)
        try:
            until_sleeping(running)
            time.sleep(2)  # what is left of the start has had its turn
            mine = envctls(place)
            before = ours.cpu(mine)
            time.sleep(SECONDS)
            used = ours.cpu(mine) - before
        finally:
            running.wait()
    name = "CPU of envctl's processes while nothing happens"
    report.figures.append(Figure(name, (1000 * used / SECONDS,), "ms/s", f"{len(mine)} processes, {SECONDS} s"))
    report.aims.append(Aim(name, 2, 1000 * used / SECONDS, "ms/s", "≈ 0 is taken as 0.2 % of one core"))


def until_sleeping(running: subprocess.Popen[bytes]) -> None:
    """Wait until the command has its sandbox."""
    envctl = psutil.Process(running.pid)
    while running.poll() is None and not any(one.name() == "sleep" for one in envctl.children(recursive=True)):
        time.sleep(0.05)


def envctls(place: ours.Place) -> list[psutil.Process]:
    """Every process of ours that runs Python."""
    return [one for one in place.processes() if any("envctl" in word for word in ours.cmdline(one)[:4])]
