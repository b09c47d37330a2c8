"""Real repositories with a remote, in folders with awkward names, and envctl's hook in them."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from checkouts import Envctl, Result

from envctl.hooks import record
from envctl.hooks.place import NAME

CONFIG = 'project = "till"\nengine = "embedded"\n[services.redis]\n'
PERSON = ("-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "protocol.file.allow=always")
DEADLINE = 30.0


@dataclass(frozen=True)
class Ground:
    """A checkout with a bare remote, and a person with settings of their own."""

    envctl: Envctl
    place: Path

    @classmethod
    def laid(cls, envctl: Envctl, folder: Path, *options: str, config: str = CONFIG) -> Ground:
        """Two commits and the project's file, pushed."""
        ground = cls(envctl, folder / 'it\'s "mine" $HOME')
        ground.place.mkdir(parents=True)
        ground.git("init", "-q", "-b", "main", *options)
        (ground.place / "envctl.toml").write_text(config)
        ground.git("init", "-q", "--bare", "-b", "main", *options, str(folder / "remote.git"))
        ground.git("remote", "add", "origin", str(folder / "remote.git"))
        ground.git("add", ".")
        ground.commit()
        ground.commit()
        ground.git("push", "-q", "origin", "main")
        return ground

    @property
    def remote(self) -> Path:
        return self.place.parent / "remote.git"

    @property
    def hook(self) -> Path:
        return self.place / ".git" / "hooks" / "reference-transaction"

    @property
    def person(self) -> dict[str, str]:
        return {"GIT_CONFIG_GLOBAL": str(self.place.parent / "gitconfig"), "GIT_CONFIG_NOSYSTEM": "1"}

    def git(self, *words: str, at: Path | None = None, code: int = 0, env: dict[str, str] | None = None) -> str:
        """What git prints; nothing of a hook may come to stderr that the caller does not expect."""
        done = subprocess.run(
            ["git", *PERSON, *words],
            cwd=at or self.place,
            env={**self.envctl.environment, **self.person, **(env or {})},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, f"{words} → {done.returncode}\n{done.stdout}{done.stderr}"
        assert "envctl" not in done.stderr.replace(str(self.place.parent), ""), done.stderr
        return done.stdout.strip()

    def commit(self, at: Path | None = None) -> None:
        self.git("commit", "-q", "--allow-empty", "-m", "more", at=at)

    def hooks(self, *words: str, at: Path | None = None, code: int = 0, **env: str) -> Result:
        """`envctl hooks …`, as this person. What is installed waits a little only, so that tests do."""
        done = self.envctl("hooks", *words, cwd=at or self.place, code=code, **{**self.person, **env})
        if words[0] == "install" and not code:
            self.patience(0.2)
        return done

    def status(self, at: Path | None = None, code: int = 0) -> dict[str, Any]:
        return dict(self.hooks("status", "--json", at=at, code=code).data)

    @property
    def folders(self) -> list[Path]:
        """What envctl keeps of each hook."""
        return sorted(path.parent for path in self.envctl.state.glob("hooks/*/hook.json"))

    @property
    def folder(self) -> Path:
        (only,) = self.folders
        return only

    def patience(self, seconds: float) -> None:
        """How long the background waits for quiet."""
        for folder in self.folders:
            content = json.loads((folder / record.RECORD).read_text())
            record.write(folder, record.Record(**{**_plain(content), "quiet": seconds}))

    def waiting(self) -> psutil.Process | None:
        """The process that waits for quiet, or works."""
        for folder in self.folders:
            for name in (record.WAITING, record.LOCK):
                with suppress(psutil.NoSuchProcess, OSError, ValueError):
                    process = psutil.Process(int((folder / name).read_text().partition("\n")[0]))
                    if self._ours(process, folder):
                        return process
        return None

    def attended(self) -> None:
        """Wait until somebody waits for quiet."""
        deadline = time.monotonic() + DEADLINE
        while not record.busy(self.folder):
            assert time.monotonic() < deadline, "nobody came"
            time.sleep(0.02)

    def _ours(self, process: psutil.Process, folder: Path) -> bool:
        """By its words, for its number may be another's by now. While it becomes another program it has none."""
        words = process.cmdline()
        if not words:
            return process.status() != psutil.STATUS_ZOMBIE
        return any(word in (str(folder), NAME) or word.endswith(f"/{NAME}") for word in words)

    def end(self) -> None:
        """End what waits in the background, by its own id; the next change starts another."""
        while (left := self.waiting()) is not None:
            with suppress(psutil.NoSuchProcess):
                left.kill()
                psutil.wait_procs([left], timeout=DEADLINE)

    def log(self) -> list[str]:
        """The lines of the log, without their times, once nobody waits or works any more."""
        deadline = time.monotonic() + DEADLINE
        while self.waiting() or any(record.busy(folder) for folder in self.folders):
            assert time.monotonic() < deadline, "the background does not end"
            time.sleep(0.02)
        lines = (line for folder in self.folders for line in record.log(folder, 1000))
        return [line.partition(" ")[2] for line in lines]


def _plain(content: dict[str, Any]) -> dict[str, Any]:
    entries = tuple(record.Entry(**one) for one in content["entries"])
    return {**{name: content[name] for name in ("file", "python", "made_folder")}, "entries": entries}


@contextmanager
def ground(envctl: Envctl, folder: Path, *options: str, config: str = CONFIG) -> Iterator[Ground]:
    """One to work on; nothing waits in the background when the test is over."""
    os.environ.pop("ENVCTL_STATE_DIR", None)
    made = Ground.laid(envctl, folder, *options, config=config)
    try:
        yield made
    finally:
        made.end()
