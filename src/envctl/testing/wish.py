"""What a run was asked to do: the configuration, the suite and the flags, settled into one value."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field, replace
from pathlib import PurePath
from typing import Any

from envctl import variables
from envctl.config import Suite
from envctl.errors import UsageError
from envctl.project import Project
from envctl.values import dataclass

PLAIN = re.compile(r"[\w@%+=:,./ -]+")
"""A command line in which no character means anything to a shell."""


@dataclass(frozen=True, slots=True)
class Wish:
    """One run, as it was asked for."""

    command: str
    """As typed in the configuration; empty where `words` are the command."""
    words: tuple[str, ...] = ()
    suite: str = ""
    services: tuple[str, ...] | None = None
    processes: tuple[str, ...] = ()
    workers: str = "serial"
    isolation: str = "database"
    env: Mapping[str, str] = field(default_factory=dict)
    plugin: bool = False
    interactive: bool = False
    """Whether a person is about to type in it, who should know where that is."""
    from_scratch: bool = False
    keep_failed: bool = False
    strict: bool = False
    audit: bool = False
    wrong_tree: str = "refuse"

    @property
    def argv(self) -> tuple[str, ...]:
        """The program to start: without a shell wherever none is needed."""
        if not self.command:
            return self.words
        if PLAIN.fullmatch(self.command):
            return (*shlex.split(self.command), *self.words)
        return ("/bin/sh", "-c", f'{self.command} "$@"' if self.words else self.command, "envctl", *self.words)

    @property
    def is_pytest(self) -> bool:
        """Whether it is pytest itself that starts, which asks for its sandbox before it reads any of the tests."""
        first, *rest = self.argv
        name = PurePath(first).name
        return self.plugin and (
            name in ("pytest", "py.test") or (name.startswith("python") and rest[:2] == ["-m", "pytest"])
        )

    @property
    def described(self) -> str:
        """The command in a word or two, for those who wait for it."""
        return f"envctl test {self.suite}".strip() if self.plugin else f"envctl run -- {self.words[0]}"


def of_suite(project: Project, suite: str, words: Sequence[str], **flags: Any) -> Wish:
    """`envctl test [SUITE]`."""
    test = project.config.test
    if suite and suite not in test.suites:
        known = ", ".join(test.suites) or "none"
        raise UsageError(
            f"no suite is called {suite}",
            cause=f"configured under [test.suites]: {known}",
            hint=_meant(suite, test.suites),
        )
    one = test.suites.get(suite, Suite())
    wish = Wish(
        command=one.command or test.command,
        words=tuple(words),
        suite=suite,
        services=one.services,
        processes=one.processes,
        workers=one.workers or test.workers,
        isolation=one.isolation or test.isolation,
        env=one.env,
        plugin=True,
        from_scratch=project.environment == "ci",
        keep_failed=test.keep_failed,
        strict=test.strict,
        audit=test.audit,
        wrong_tree=test.wrong_tree,
    )
    return replace(wish, **{key: value for key, value in flags.items() if value})


def _meant(suite: str, known: Iterable[str]) -> str:
    """The suite that is nearest; where none is near it was meant for the test program."""
    from envctl.toml.words import did_you_mean

    near = did_you_mean(suite, known)
    meant = near.startswith("did you mean")
    return near if meant else f"what the test program is to get stands after --: envctl test -- {suite}"


def of_command(project: Project, words: Sequence[str], **flags: Any) -> Wish:
    """`envctl run -- COMMAND`."""
    wish = Wish("", tuple(words), workers=project.config.test.workers, isolation=project.config.test.isolation)
    return replace(wish, **{key: value for key, value in flags.items() if value})


def narrowed(project: Project, wanted: Sequence[str] | None) -> Project:
    """The project with these services alone, and the variables that those can fill."""
    if wanted is None:
        return project
    config = project.config
    left = {name: one for name, one in config.services.items() if name in wanted}
    missing = tuple(f"{name}." for name in config.services if name not in wanted)
    kept = {name: text for name, text in config.variables.items() if not _refers(text, missing)}
    return replace(project, config=replace(config, services=left, variables=kept))


def _refers(text: str, missing: tuple[str, ...]) -> bool:
    return any(one.startswith(missing) for one in variables.asked(text)) if missing else False
