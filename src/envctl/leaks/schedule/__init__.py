"""Audits at fixed times: a line in the user's crontab, or a systemd timer where there are no crontabs."""

from __future__ import annotations

from typing import Literal

from envctl import locks
from envctl.errors import EnvctlError
from envctl.leaks.schedule import crontab, plan, timer
from envctl.leaks.schedule.plan import Plan
from envctl.model import Talk
from envctl.project import Project

How = Literal["crontab", "systemd"]


def install(project: Project, *, weekly: bool, words: tuple[str, ...], wait: float, talk: Talk) -> tuple[How, Plan]:
    """Have the audit run every day or week, in place of what was installed before."""
    wanted = plan.of(project, weekly=weekly, words=words)
    for name in plan.withheld():
        talk(f"warning: {name} has a password in it, and so the scheduled audit does without: use a Docker context")
    with locks.locked(project.home / "schedule.lock", what="the schedule", wait=wait, talk=talk):
        if crontab.available():
            crontab.install(wanted)
            return "crontab", wanted
        if timer.available():
            timer.install(wanted)
            return "systemd", wanted
    raise EnvctlError(
        "there is neither cron nor a systemd of your own here",
        hint="install cron, or let a scheduled job of your CI run: envctl leaks",
        code="no_schedule",
    )


def remove(project: Project, *, wait: float, talk: Talk) -> list[How]:
    """Take out what was installed, wherever; what there was."""
    key = plan.key_of(project)
    with locks.locked(project.home / "schedule.lock", what="the schedule", wait=wait, talk=talk):
        removed: list[How] = ["crontab"] if crontab.available() and crontab.remove(key) else []
        return [*removed, "systemd"] if timer.remove(key) else removed
