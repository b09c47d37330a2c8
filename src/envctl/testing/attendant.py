"""Who answers at the desk of a run: which sandbox is whose, how many workers may come, and what became of the tests."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from envctl.errors import UsageError
from envctl.model import Access
from envctl.sandbox import Sandbox
from envctl.testing import tree
from envctl.testing.desk import Answer, Caller, Handler
from envctl.testing.sandboxes import Sandboxes
from envctl.testing.timings import Timings
from envctl.testing.wish import Wish

Admit = Callable[[int], tuple[int, str]]
"""How many of so many workers may work now, and why not all; it may wait its turn."""


class Attendant:
    """Answers what worker processes ask; called from the desk's threads."""

    def __init__(self, sandboxes: Sandboxes, wish: Wish, timings: Timings, admit: Admit) -> None:
        self.sandboxes = sandboxes
        self.wish = wish
        self.timings = timings
        self.admit = admit
        self.failed: set[str] = set()
        self.asked = False
        """Whether any process of the tests has been here."""
        self.wrong_tree = ""
        """What was found to be another checkout's."""
        self._lock = threading.Lock()

    def handlers(self) -> dict[str, Handler]:
        """What may be asked and told."""
        trees = tree.handlers(self.sandboxes.project.root)
        known: dict[str, Handler] = {
            "sandbox": self._sandbox,
            "workers": self._workers,
            "fresh_database": self._fresh_database,
            "fresh_bucket": self._fresh_bucket,
            "give_back": self._give_back,
            "started": self._started,
            "failed": self._failed,
            "tests": self._tests,
            **trees,
            "tree": self._tree(trees["tree"]),
        }
        return {name: self._noted(handler) for name, handler in known.items()}

    def _noted(self, handler: Handler) -> Handler:
        def answer(question: Mapping[str, Any], caller: Caller) -> Answer:
            self.asked = True
            return handler(question, caller)

        return answer

    def _tree(self, handler: Handler) -> Handler:
        def answer(question: Mapping[str, Any], caller: Caller) -> Answer:
            told = handler(question, caller)
            self.wrong_tree = self.wrong_tree or told["wrong"]
            return told

        return answer

    def left(self, caller: Caller) -> None:
        """A process has gone: what its tests had for themselves goes too."""
        for name in caller.held:
            self.sandboxes.give_back(name)

    def unwell(self, code: int) -> frozenset[str]:
        """Whose tests failed; the run itself where nobody told."""
        if self.failed or not code:
            return frozenset(self.failed)
        return frozenset({""})

    def worker_of(self, said: str) -> str:
        """Whose sandbox a process gets: `gw3`, or `3` from runners that count. All have the run's own unless cloned."""
        if self.wish.workers != "clone" or said in ("", "master"):
            return ""
        return f"gw{said}" if said.isdigit() else said

    def _sandbox(self, question: Mapping[str, Any], caller: Caller) -> Answer:
        found = self.sandboxes.of(self.worker_of(question.get("worker", "")))
        return {"variables": dict(found.variables), "sandbox": described(found)}

    def _workers(self, question: Mapping[str, Any], caller: Caller) -> Answer:
        asked = int(question["count"])
        if self.wish.workers == "serial" and asked:
            return {"count": 0, "reason": 'workers = "serial"'}
        count, reason = self.admit(max(asked, 1))
        if self.wish.workers == "clone":
            self.sandboxes.expect(f"gw{number}" for number in range(min(asked, count)))
        return {"count": min(asked, count), "reason": reason}

    def _fresh_database(self, question: Mapping[str, Any], caller: Caller) -> Answer:
        access = self.sandboxes.fresh_database(self.worker_of(question.get("worker", "")))
        caller.later.append(self.sandboxes.look_ahead)
        return self._lent(access, access.values["database"], caller)

    def _fresh_bucket(self, question: Mapping[str, Any], caller: Caller) -> Answer:
        access = self.sandboxes.fresh_bucket(self.worker_of(question.get("worker", "")), question.get("logical", ""))
        bucket = next(one.name for one in access.resources if one.kind == "bucket")
        return {"bucket": bucket, **self._lent(access, bucket, caller)}

    def _lent(self, access: Access, name: str, caller: Caller) -> Answer:
        caller.held.add(name)
        return {"name": name, **access.values}

    def _give_back(self, question: Mapping[str, Any], caller: Caller) -> Answer:
        if question["name"] not in caller.held:
            raise UsageError(f"{question['name']!r} was not given to this process")
        caller.held.discard(question["name"])
        self.sandboxes.give_back(question["name"])
        return {}

    def _started(self, question: Mapping[str, Any], caller: Caller) -> Answer:
        self.timings.started()
        return {}

    def _failed(self, question: Mapping[str, Any], caller: Caller) -> Answer:
        with self._lock:
            self.failed.add(self.worker_of(question.get("worker", "")))
        return {}

    def _tests(self, question: Mapping[str, Any], caller: Caller) -> Answer:
        with self._lock:  # Of each pytest that the command starts.
            self.timings.tests += int(question["count"])
            self.timings.ran = (self.timings.ran or 0) + int(question["ran"])
        return {}


def described(found: Sandbox) -> dict[str, Any]:
    """A sandbox as a worker gets to know it."""
    resources = [one for access in found.access.values() for one in access.resources]
    return {
        "namespace": found.project.names.sandbox,
        "worker": resources[0].owner.worker if resources and resources[0].owner else "",
        "environment": found.project.environment,
        "resources": [{"service": one.service, "kind": one.kind, "name": one.name} for one in resources],
        "values": {
            f"{name}.{key}": value for name, access in found.access.items() for key, value in access.values.items()
        },
    }
