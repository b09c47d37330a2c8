"""What the hook costs git: pushes and fetches with and without it, in turns, as a ratio of medians.

On a local disk, so that the ratio is the worst there is: over a network git itself takes many times as long.
"""

from __future__ import annotations

import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ENVCTL = str(Path(sys.executable).with_name("envctl"))
CONFIG = 'project = "till"\nengine = "embedded"\n[services.redis]\n'
PERSON = {f"GIT_{who}_{what}": "bench@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
MANY = 200
PUSH, FETCH = "git push of one branch", "git fetch of one branch"
KINDS = {"without": "without a hook", "hook": "with the hook", "empty": "with an empty one"}


@dataclass(frozen=True, slots=True)
class Figure:
    """One git command: milliseconds without the hook, with it, and with an empty one in its place."""

    name: str
    samples: Mapping[str, tuple[float, ...]]
    calls: int
    """How often git calls the hook meanwhile."""

    @property
    def without(self) -> float:
        return statistics.median(self.samples["without"])

    @property
    def hook(self) -> float:
        return statistics.median(self.samples["hook"])

    @property
    def empty(self) -> float:
        return statistics.median(self.samples["empty"])

    @property
    def ratio(self) -> float:
        return self.hook / self.without

    @property
    def over_empty(self) -> float:
        """What our lines cost; the rest is git's starting of a hook at all."""
        return self.hook - self.empty

    @property
    def a_call(self) -> float:
        """What they cost each time that git calls the hook."""
        return self.over_empty / self.calls


def measure(folder: Path, runs: int) -> Iterator[Figure]:
    """All figures."""
    with _repository(folder) as ground:
        yield ground.compared(PUSH, runs, ground.push)
        yield ground.compared(FETCH, runs, lambda: ground.fetch(1))
        yield ground.compared(f"git fetch of {MANY} new branches", max(3, runs // 5), lambda: ground.fetch(MANY))
        yield ground.compared("git commit", runs, ground.commit)


@dataclass(frozen=True, slots=True)
class Ground:
    """A checkout, its remote, and the three hooks that take turns."""

    place: Path
    remote: Path
    env: Mapping[str, str]
    hooks: Mapping[str, bytes]

    def compared(self, name: str, runs: int, act: Callable[[], float]) -> Figure:
        """Each way once in every round, so that a busy moment is nobody's."""
        times: dict[str, list[float]] = {kind: [] for kind in self.hooks}
        for kind in list(self.hooks) * (runs + 1):
            self.use(kind)
            times[kind].append(act() * 1000)
        return Figure(name, {kind: tuple(found[1:]) for kind, found in times.items()}, self.calls(act))

    def calls(self, act: Callable[[], float]) -> int:
        """How often git calls the hook for it."""
        book = self.place / ".git" / "calls"
        self.put(f'#!/bin/sh\necho "$1" >> {shlex.quote(str(book))}\n'.encode())
        act()
        found = len(book.read_text().splitlines())
        book.unlink()
        return found

    def use(self, kind: str) -> None:
        self.put(self.hooks[kind])

    def put(self, text: bytes) -> None:
        """Let that be the hook; nothing where it is empty."""
        hook = self.place / ".git" / "hooks" / "reference-transaction"
        hook.unlink(missing_ok=True)
        if text:
            hook.write_bytes(text)
            hook.chmod(0o755)

    def push(self) -> float:
        self.commit()
        return self.git("push", "-q", "origin", "main")

    def commit(self) -> float:
        return self.git("commit", "-q", "--allow-empty", "-m", "more")

    def fetch(self, count: int) -> float:
        """New branches on the remote each time."""
        head = (self.remote / "refs" / "heads" / "main").read_text().strip()
        made = "".join(f"create refs/heads/b{time.monotonic_ns()}-{one} {head}\n" for one in range(count))
        subprocess.run(["git", "update-ref", "--stdin"], cwd=self.remote, input=made, text=True, check=True)
        return self.git("fetch", "-q")

    def git(self, *words: str) -> float:
        begin = time.perf_counter()
        subprocess.run(["git", *words], cwd=self.place, env=self.env, check=True)
        return time.perf_counter() - begin


@contextmanager
def _repository(folder: Path) -> Iterator[Ground]:
    place, remote = folder / "till", folder / "remote.git"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "ENVCTL_"))}
    env = {**kept, **PERSON, "GIT_CONFIG_GLOBAL": os.devnull, "ENVCTL_STATE_DIR": str(folder / "state")}
    for where, words in ((place, ()), (remote, ("--bare",))):
        subprocess.run(["git", "init", "-q", "-b", "main", *words, where], env=env, check=True)
    (place / "envctl.toml").write_text(CONFIG)
    ground = Ground(place, remote, env, {})
    for line in (
        "remote add origin ../remote.git",
        "config gc.auto 0",
        "add .",
        "commit -qm one",
        "push -q origin main",
    ):
        ground.git(*line.split())
    subprocess.run([ENVCTL, "-q", "hooks", "install"], cwd=place, env=env, check=True, stdout=subprocess.DEVNULL)
    ours = (place / ".git" / "hooks" / "reference-transaction").read_bytes()
    try:
        yield Ground(place, remote, env, {"without": b"", "hook": ours, "empty": b"#!/bin/sh\n"})
    finally:
        subprocess.run([ENVCTL, "-q", "hooks", "uninstall"], cwd=place, env=env, check=True, stdout=subprocess.DEVNULL)


def table(figures: Sequence[Figure]) -> str:
    """For people."""
    rows = [f"{'':<32} {'without':>9} {'hook':>9} {'ratio':>7}   an empty hook"]
    rows += [
        f"{f.name:<32} {f.without:>6.1f} ms {f.hook:>6.1f} ms {f.ratio:>6.2f}x  {f.empty:>6.1f} ms" for f in figures
    ]
    return "\n".join(rows)


def main(runs: int = 30) -> None:
    with tempfile.TemporaryDirectory(prefix="envctl-bench-") as folder:
        print(table(list(measure(Path(folder), runs))))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
