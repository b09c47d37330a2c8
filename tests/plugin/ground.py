"""A desk with written answers, a small project, and pytest as a process of its own that works for that desk."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent
from typing import Any

from envctl.testing import desk, tree

SOURCE = Path(__file__).parents[2] / "src"
NAME = "envctl_pytest_plugin"
FOREIGN = ("ENVCTL_", "PYTEST_", "PYTHON", "COV_", "OTEL_")
"""Variables of the test run itself that must not reach what is tested."""


@dataclass
class Done:
    """A pytest that ended."""

    code: int
    out: str
    err: str


@dataclass
class Project:
    """A checkout with tests in it."""

    root: Path
    pid: int = 0
    """Of the pytest that runs."""

    def write(self, **files: str) -> None:
        """`tests__test_a="…"` is tests/test_a.py."""
        for name, text in files.items():
            path = self.root / f"{name.replace('__', '/')}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(dedent(text))

    def ini(self, *lines: str) -> None:
        """The settings of pytest."""
        (self.root / "pytest.ini").write_text("\n".join(["[pytest]", *lines, ""]))

    def pytest(self, *words: str, python: str = sys.executable, code: int | None = 0, **env: str) -> Done:
        """Run pytest here to its end, without a run unless the variables name one."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(FOREIGN)}
        process = subprocess.Popen(
            [python, "-m", "pytest", *words],
            cwd=self.root,
            env={**kept, **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.pid = process.pid
        out, err = process.communicate()
        assert code is None or process.returncode == code, f"{words} → {process.returncode}\n{out}\n{err}"
        return Done(process.returncode, out, err)


@dataclass
class Desk:
    """Answers that are the same every time, and a book of what was asked."""

    socket: Path
    project: Project
    limit: int = 99
    refused: dict[str, BaseException] = field(default_factory=dict)
    """What is raised instead of an answer, by what is asked and by whom; SystemExit hangs up."""
    interrupted: str = ""
    """Who asks this is sent SIGINT, and no answer."""
    book: list[Mapping[str, Any]] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    """What processes held when they went."""

    def passport(self, **more: Any) -> dict[str, Any]:
        """What the plugin has to know before it can ask."""
        folder = self.socket.parent / "plugin"
        folder.mkdir(exist_ok=True)
        (folder / f"{NAME}.py").write_bytes((SOURCE / "envctl" / "pytest_plugin.py").read_bytes())
        return {
            "socket": str(self.socket),
            "worker_variable": "PYTEST_XDIST_WORKER",
            "plugin": str(folder),
            "root": str(self.project.root),
            "wrong_tree": "refuse",
            **more,
        }

    def variables(self, *, path: str = "", plugins: str = "", **more: Any) -> dict[str, str]:
        """What `envctl test` gives to its command."""
        passport = self.passport(**more)
        return {
            "WHOSE": "base",
            "ENVCTL_RUN": json.dumps(passport),
            "PYTHONPATH": os.pathsep.join(filter(None, (passport["plugin"], path))),
            "PYTEST_PLUGINS": ",".join(filter(None, (NAME, plugins))),
        }

    def pytest(self, *words: str, python: str = sys.executable, code: int | None = 0, **env: str) -> Done:
        """Run pytest for this desk."""
        return self.project.pytest(*words, python=python, code=code, **{**self.variables(), **env})

    def asked(self, kind: str) -> list[Mapping[str, Any]]:
        """What was asked or told of that kind."""
        return [one for one in self.book if kind in (one.get("ask"), one.get("tell"))]

    def handlers(self) -> dict[str, desk.Handler]:
        """As `envctl test` has them."""
        kinds = ("sandbox", "workers", "fresh_database", "fresh_bucket", "give_back", "started", "failed", "tests")
        trees = tree.handlers(self.project.root)
        return {**dict.fromkeys(kinds, self._answer), **trees}

    def left(self, caller: desk.Caller) -> None:
        """A process has gone."""
        self.lost += sorted(caller.held)

    def _answer(self, question: Mapping[str, Any], caller: desk.Caller) -> desk.Answer:
        self.book.append(question)
        kind = question.get("ask") or question.get("tell")
        name = f"{kind} {question.get('worker', '')}".strip()
        if name in self.refused:
            raise self.refused[name]
        if name == self.interrupted:
            os.kill(self.project.pid, signal.SIGINT)
            time.sleep(60)  # As long as it would wait for its turn; nobody waits for us.
        if kind == "workers":
            count = min(question["count"], self.limit)
            return {"count": count, "reason": "the server has no room for more" if count < question["count"] else ""}
        if kind == "sandbox":
            return sandbox(question["worker"])
        if kind in ("fresh_database", "fresh_bucket"):
            return self._fresh(kind, caller)
        if kind == "give_back":
            caller.held.discard(question["name"])
        return {}

    def _fresh(self, kind: str, caller: desk.Caller) -> desk.Answer:
        name = f"{kind}-{len(self.asked(kind))}"
        caller.held.add(name)
        server = {"host": "127.0.0.1", "port": "5432"}
        if kind == "fresh_database":
            return {"name": name, "url": f"postgresql://me:pw@db/{name}", "user": "me", "password": "pw", **server}
        return {
            "name": name,
            "bucket": name,
            "endpoint": "http://s3",
            "region": "here",
            "access_key": "key",
            "secret_key": "secret",
            **server,
        }


def sandbox(worker: str) -> desk.Answer:
    """Whose is whose."""
    whose = worker or "base"
    return {
        "variables": {"WHOSE": whose, "DATABASE_URL": f"postgresql://me:pw@db/{whose}"},
        "sandbox": {
            "namespace": "main",
            "worker": worker,
            "environment": "test",
            "resources": [{"service": "postgres", "kind": "database", "name": f"shop_{whose}"}],
            "values": {"postgres.url": f"postgresql://me:pw@db/{whose}", "s3.bucket": whose, "s3.bucket.docs": "docs"},
        },
    }


@contextmanager
def opened(folder: Path, project: Project) -> Iterator[Desk]:
    """A desk for as long as the block runs."""
    served = Desk(folder / "socket", project)
    with desk.opened(served.socket, served.handlers(), left=served.left):
        yield served
