"""What the foundation costs: names, a warm and a cold `dev up`, twenty at once, and memory at rest.

Everything runs on copies of examples/shop in a temporary folder with the embedded engine. Ratios are of medians taken
in the same run, so that a busy machine does not decide them. Nothing is asserted: the figures are for people.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]
ENVCTL = str(Path(sys.executable).with_name("envctl"))
RESULTS = ROOT / "benchmarks" / "results"


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured quantity: every sample's median and range, and what it should be at most."""

    name: str
    unit: str
    median: float
    least: float
    most: float
    samples: int
    wanted: float | None = None

    @classmethod
    def of(cls, name: str, unit: str, samples: Sequence[float], wanted: float | None = None) -> Figure:
        return cls(name, unit, statistics.median(samples), min(samples), max(samples), len(samples), wanted)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=15, help="samples of everything that is quick")
    parser.add_argument("--cold", type=int, default=5, help="cold starts")
    parser.add_argument("--crowd", type=int, default=20, help="how many run `dev up` at once")
    given = parser.parse_args()
    before = os.getloadavg()
    with tempfile.TemporaryDirectory(prefix="envctl-bench-") as folder:
        figures = list(measure(Path(folder), given.runs, given.cold, given.crowd))
    print_table(figures, before)
    print(f"\nwritten to {write(figures, before).relative_to(ROOT)}")


def measure(folder: Path, runs: int, cold: int, crowd: int) -> Iterator[Figure]:
    """All figures, in the order of the table."""
    shops = [checkout(folder / f"shop-{number}") for number in range(crowd)]
    yield from names(shops[0], folder / "names", runs)
    starts = from_nothing(shops[:1], folder / "cold", cold)
    yield Figure.of("dev up, cold: servers, database, migrations", "s", starts, wanted=3)
    together = from_nothing(shops[:1] * crowd, folder / "together", 3)
    yield Figure.of(f"dev up, cold, {crowd} at once in one checkout", "s", together)
    yield ratio(f"{crowd} at once in one checkout ÷ one", together, starts, wanted=5)
    apart = from_nothing(shops, folder / "apart", 3)
    yield Figure.of(f"dev up, cold, {crowd} at once in {crowd} checkouts", "s", apart)
    yield ratio(f"{crowd} at once, each migrating ÷ one", apart, starts)
    with stopped(shops[0], folder / "warm") as env:
        yield from warm(shops, env, runs)


def from_nothing(places: Sequence[Path], state: Path, times: int) -> list[float]:
    """`dev up` in all these places at once, where no server runs and no data folder is, each time anew."""
    walls = []
    for number in range(times):
        with stopped(places[0], state / str(number)) as env:
            walls.append(at_once([ENVCTL, "dev", "up"], places, env))
    return walls


def names(shop: Path, state: Path, runs: int) -> Iterator[Figure]:
    """Both commands in turn, so that what else the machine does meets both alike."""
    env = environment(state)
    bare, ours = [], []
    for _ in range(runs):
        bare.append(cpu([sys.executable, "-c", "pass"], shop, env))
        ours.append(cpu([ENVCTL, "ns"], shop, env))
    yield Figure.of("python -c pass, CPU", "s", bare)
    yield Figure.of("envctl ns, CPU", "s", ours)
    yield ratio("envctl ns ÷ python -c pass", ours, bare, wanted=8)


def warm(shops: Sequence[Path], env: dict[str, str], runs: int) -> Iterator[Figure]:
    """With the servers up: one after another, twenty at once (each with a database of its own), and at rest."""
    command = [ENVCTL, "dev", "up"]
    for shop in shops:
        wall(command, shop, env)
    one = [wall(command, shops[0], env) for _ in range(runs)]
    yield Figure.of("dev up, warm", "s", one, wanted=0.5)
    crowded = [at_once(command, shops, env) for _ in range(3)]
    yield Figure.of(f"dev up, warm, {len(shops)} at once", "s", crowded)
    yield ratio(f"{len(shops)} at once, warm ÷ one", crowded, one)
    time.sleep(5)  # at rest: autovacuum and the like have had their turn
    for service, size in memory(shops[0], env).items():
        yield Figure.of(f"memory of {service}, PSS", "MB", [size])


def ratio(name: str, over: Sequence[float], under: Sequence[float], wanted: float | None = None) -> Figure:
    value = statistics.median(over) / statistics.median(under)
    return Figure(name, "x", value, value, value, len(over), wanted)


def cpu(command: Sequence[str], cwd: Path, env: dict[str, str]) -> float:
    """User and system time of one command and its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    finished(command, cwd, env)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def wall(command: Sequence[str], cwd: Path, env: dict[str, str]) -> float:
    start = time.monotonic()
    finished(command, cwd, env)
    return time.monotonic() - start


def finished(command: Sequence[str], cwd: Path, env: dict[str, str]) -> str:
    """Run to the end; a command that fails ends the benchmark with what it said."""
    done = subprocess.run(command, cwd=cwd, env=env, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"error: {' '.join(command)} ended with {done.returncode}\n{done.stderr}")
    return done.stdout


def at_once(command: Sequence[str], places: Sequence[Path], env: dict[str, str]) -> float:
    """From the start of the first to the end of the last; one that fails ends the benchmark."""
    start = time.monotonic()
    crowd = [
        subprocess.Popen(command, cwd=place, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for place in places
    ]
    codes = [process.wait() for process in crowd]
    if any(codes):
        sys.exit(f"error: of {len(codes)} `dev up` at once, {sum(map(bool, codes))} failed")
    return time.monotonic() - start


def memory(shop: Path, env: dict[str, str]) -> dict[str, float]:
    """Each server's share of memory with its children: what the machine would have back without it."""
    status = finished([ENVCTL, "dev", "status", "--json"], shop, env)
    sizes = {}
    for server in json.loads(status)["data"]["servers"]:
        leader = psutil.Process(server["pid"])
        family = [leader, *leader.children(recursive=True)]
        sizes[server["service"]] = sum(pss(process) for process in family) / 1e6
    return {**sizes, "all servers": sum(sizes.values())}


def pss(process: psutil.Process) -> int:
    """Proportional memory where the system tells it (Linux), else resident."""
    full = process.memory_full_info()
    return int(getattr(full, "pss", full.rss))


@contextmanager
def stopped(shop: Path, state: Path) -> Iterator[dict[str, str]]:
    """An environment with a state folder of its own; its servers are stopped after the block."""
    env = environment(state)
    try:
        yield env
    finally:
        subprocess.run([ENVCTL, "dev", "down", "--all", "--yes"], cwd=shop, env=env, check=False, capture_output=True)


def environment(state: Path) -> dict[str, str]:
    mine = {"ENVCTL_STATE_DIR": str(state), "ENVCTL_ENGINE": "embedded"}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, **mine}


def checkout(target: Path) -> Path:
    """The example in a git repository of its own: as many checkouts as there are colleagues."""
    shutil.copytree(ROOT / "examples" / "shop", target, ignore=shutil.ignore_patterns("__pycache__", ".*_cache"))
    subprocess.run(["git", "init", "-q", "-b", f"branch-of-{target.name}"], cwd=target, check=True)
    return target


def print_table(figures: Sequence[Figure], load: tuple[float, float, float]) -> None:
    print(f"{'':<46}{'median':>9}  {'least to most':<17}{'n':>3}  at most")
    for one in figures:
        spread = f"{one.least:.3g} to {one.most:.3g}" if one.samples > 1 and one.unit != "x" else ""
        wanted = "" if one.wanted is None else f"{one.wanted:g} {one.unit}"
        print(f"{one.name:<46}{one.median:>7.3g} {one.unit:<2} {spread:<17}{one.samples:>3}  {wanted}")
    loads = f"load {load[0]:.1f} before and {os.getloadavg()[0]:.1f} after"
    print(f"\n{os.cpu_count()} cores, {loads}, python {platform.python_version()}")


def write(figures: Sequence[Figure], load: tuple[float, float, float]) -> Path:
    RESULTS.mkdir(exist_ok=True)
    target = RESULTS / "foundation.json"
    machine = {
        "cores": os.cpu_count(),
        "load_before": load[0],
        "load_after": os.getloadavg()[0],
        "memory": psutil.virtual_memory().total,
        "python": platform.python_version(),
        "system": platform.system(),
    }
    when = datetime.now(UTC).isoformat(timespec="seconds")
    content = {"when": when, "machine": machine, "figures": [asdict(one) for one in figures]}
    target.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    return target


if __name__ == "__main__":
    main()
