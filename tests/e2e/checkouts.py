"""The real console script, in a state folder of its own, on copies of examples/shop; nothing of it outlives a test."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from envctl import unprivileged

BIN = Path(sys.executable).parent
EXAMPLE = Path(__file__).parents[2] / "examples" / "shop"
MINE = ("ENVCTL_", "GIT_", "GITHUB_", "PYTEST_", "AWS_", "PG", "COV_")
"""Variables of the test run itself that must not reach what is tested."""
GIT = ("git", "-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false")


@dataclass(frozen=True, slots=True)
class Result:
    """What a command answered."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.out)

    @property
    def data(self) -> Any:
        return self.document["data"]


@dataclass
class Envctl:
    """The console script with one state folder; remembers where it was used."""

    state: Path
    used: list[Path] = field(default_factory=list)

    def __call__(self, *words: str, cwd: Path, code: int | None = 0, **env: str) -> Result:
        """Run it to its end; another exit code than the expected one fails with all that was printed."""
        self._used(cwd)
        done = subprocess.run(
            [BIN / "envctl", *words],
            cwd=cwd,
            env={**self.environment, **env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert code is None or done.returncode == code, f"{words} → {done.returncode}\n{done.stdout}\n{done.stderr}"
        return Result(done.returncode, done.stdout, done.stderr)

    @contextmanager
    def running(self, *words: str, cwd: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
        """Run it beside the test, in a session of its own as a terminal would; ended by Ctrl-C if it still runs."""
        self._used(cwd)
        with log.open("wb") as file:
            process = subprocess.Popen(
                [BIN / "envctl", *words],
                cwd=cwd,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
            process.wait()

    @property
    def environment(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(MINE)}
        for name in ("CI", "BRANCH_NAME", "WORKSPACE_ID", "DATABASE_URL", "REDIS_URL", "S3_BUCKET"):
            kept.pop(name, None)
        return {
            **kept,
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "ENVCTL_STATE_DIR": str(self.state),
            "ENVCTL_ENGINE": "embedded",
            "GIT_CONFIG_GLOBAL": os.devnull,
        }

    def processes(self) -> list[psutil.Process]:
        """Every process that came of this state folder, by its command line or its environment."""
        return [process for process in psutil.process_iter() if self._mine(process)]

    def close(self) -> None:
        """Stop what runs; what runs even then is ended, and is a failure."""
        for place in self.used:
            if place.exists():
                self("dev", "down", "--all", "--yes", cwd=place, code=None)
        while any(one in line for line in self._lines() for one in ("envctl.recovery", "envctl.testing.upkeep")):
            time.sleep(0.05)  # they end by themselves
        psutil.wait_procs(self.processes(), timeout=10)  # The watcher has been woken, and sees that it is over.
        left, lines = self.processes(), self._lines()
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        for home in self.state.rglob("*/") if self.state.exists() else ():
            shutil.rmtree(unprivileged.PUBLIC / unprivileged.digest(home), ignore_errors=True)
        assert not lines, f"left running after `dev down --all`: {lines}"

    def _lines(self) -> list[str]:
        """Their command lines; those of the dead who are not buried yet are empty."""
        found = []
        for process in self.processes():
            with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                found.append(f"{process.pid} {' '.join(process.cmdline())}")
        return found

    def _used(self, place: Path) -> None:
        if place not in self.used:
            self.used.append(place)

    def _mine(self, process: psutil.Process) -> bool:
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            if process.pid == os.getpid():
                return False
            named = any(str(self.state) in word for word in process.cmdline())
            return named or process.environ().get("ENVCTL_STATE_DIR") == str(self.state)
        return False


@contextmanager
def opened(state: Path) -> Iterator[Envctl]:
    """envctl with that state folder, and no servers left after the block, however it ends."""
    envctl = Envctl(state)
    with ExitStack() as stack:
        stack.callback(envctl.close)
        yield envctl


def copy(target: Path) -> Path:
    """The example's files, as somebody would find them who unpacked them somewhere."""
    shutil.copytree(EXAMPLE, target, ignore=shutil.ignore_patterns("__pycache__", ".*_cache"))
    return target


def repository(target: Path, branch: str = "main") -> Path:
    """The example in a fresh git repository."""
    copy(target)
    git(target, "init", "-q", "-b", branch)
    git(target, "add", ".")
    git(target, "commit", "-qm", "The shop")
    return target


def worktree(checkout: Path, branch: str, target: Path) -> Path:
    """A second checkout of the same repository, on a new branch."""
    git(checkout, "worktree", "add", "-q", "-b", branch, str(target))
    return target


def git(folder: Path, *words: str) -> None:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    subprocess.run([*GIT, *words], cwd=folder, env={**clean, "GIT_CONFIG_GLOBAL": os.devnull}, check=True)
