"""The processes that a test starts, and what it may ask of them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import toy

from envctl import idle, leases, locks
from envctl.engines.embedded import daemon, folders
from envctl.server_set import Running


@dataclass
class Holder:
    """A real process that holds the toys, or tried to."""

    process: subprocess.Popen[str]

    def said(self) -> dict[str, str]:
        """The next thing it says; waits for it."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the holder ended without a word"
        found: dict[str, str] = json.loads(line)
        return found

    def leave(self) -> None:
        """Let it leave in good order."""
        self.process.communicate("\n", timeout=60)
        assert self.process.returncode == 0

    def kill(self) -> None:
        """SIGKILL, whatever it is doing."""
        self.process.kill()
        self.process.communicate(timeout=60)


class Crew:
    """The processes that a test starts; all of them, and all servers, are gone after it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.holders: list[Holder] = []
        self.homes: set[Path] = set()

    def home(self, project: str = "shop") -> Path:
        """A server set's state folder."""
        home = self.root / project / "dev-embedded"
        self.homes.add(home)
        return home

    def start(self, *, action: str = "hold", home: Path | None = None, limit: str = "", **options: Any) -> Holder:
        """Start a process that uses the toys; `limit` is a shell's `ulimit` before it."""
        home = home or self.home()
        self.homes.add(home)
        argv = [sys.executable, toy.__file__, action, str(home), f"ns{len(self.holders)}", json.dumps(options)]
        if limit:
            argv = ["sh", "-c", f'ulimit {limit} && exec "$@"', "sh", *argv]
        pipe = subprocess.PIPE
        log = (self.root / "talk.log").open("a")
        with log:
            process = subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=log, text=True)
        self.holders.append(Holder(process))
        return self.holders[-1]

    def ended(self) -> None:
        """End what is left, from the holders to the last watcher."""
        for holder in self.holders:
            if holder.process.returncode is None:
                holder.kill()
        for home in self.homes:
            if (home / "servers.json").exists():
                leases.write_record(home, Running("embedded", {}))
            for path in (home / "run").glob("*.alive"):
                daemon.stop(daemon.at(home, path.stem), signal=9)
            shutil.rmtree(home / "pins", ignore_errors=True)
            _watcher_ended(home)
            folders.forget_scratch(home)


def _watcher_ended(home: Path) -> None:
    def asked() -> bool:
        idle.wake(home)
        return not locks.held(home / "idle.lock")

    until(asked)


def until(true: Callable[[], bool]) -> None:
    """Wait for what must become true."""
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.005)


def gone(home: Path, name: str = "toy") -> bool:
    """Whether no process of a toy lives."""
    return not daemon.runs(daemon.at(home, name))
