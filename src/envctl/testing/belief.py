"""Whether a run's exit code is the last word on it: tests that nobody heard of, or that used another database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from envctl import services
from envctl.errors import EnvctlError
from envctl.testing import evidence

if TYPE_CHECKING:
    from envctl.testing.live import Live

SIGNALLED = 128
"""Exit codes above it tell which signal ended a command."""
HELP = {"--version", "-V", "-VV", "--help", "-h"}
"""With these pytest may end before it has loaded anything."""


def examine(live: Live) -> None:
    """Note what must be said of a run whose command has ended, and what makes it one that failed."""
    if live.code and live.attendant.wrong_tree:
        live.faults.append(_wrong_tree(live.attendant.wrong_tree))
    elif live.wish.is_pytest and not attended(live):
        if live.code <= SIGNALLED:  # Else somebody ended it before it had come that far.
            live.faults.append(_unheard())
    elif live.wish.plugin and live.code in (0, 1):
        live.warning = doubt(live)
        if live.warning and live.wish.strict and not live.code:
            live.faults.append(_on_another_database(live.warning))


def attended(live: Live) -> bool:
    """Whether the tests came to the desk for their sandbox; where there is nothing to be had, nobody has to."""
    help_alone = not HELP.isdisjoint(live.wish.words)
    return live.attendant.asked or help_alone or not live.project.config.services


def told(live: Live) -> dict[str, object]:
    """The same for a bare `pytest`, which says it itself."""
    return {"warning": doubt(live), "strict": live.wish.strict}


def doubt(live: Live) -> str:
    """Why what the tests say should not be believed; empty where they used this run's databases, or none ran."""
    ran = 1 if live.timings.ran is None else live.timings.ran
    exported = live.project.config.exported(services.get)
    for name, visits in live.sandboxes.visits().items():
        found = evidence.verdict(visits, ran, exported, service=name)
        if found:
            return found
    return ""


def _wrong_tree(said: str) -> EnvctlError:
    """What pytest has shown already, in parts."""
    what, *places = said.partition("\n  hint: ")[0].splitlines()
    cause = "\n".join(line.strip() for line in places)
    return EnvctlError(what, cause=cause, hint=said.partition("\n  hint: ")[2], code="wrong_tree")


def _unheard() -> EnvctlError:
    return EnvctlError(
        "pytest ran without envctl's plugin, so this run counts as failed",
        cause="no worker knew what is its own",
        hint="is the plugin switched off (-p no:…), or the environment emptied on the way?",
        code="no_plugin",
    )


def _on_another_database(said: str) -> EnvctlError:
    return EnvctlError(said, cause="this run counts as failed, for `strict` is set", code="wrong_database")
