"""A systemd timer of the user's own, for machines without crontabs."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from string import Template

from envctl import shell, texts
from envctl.errors import EnvctlError
from envctl.leaks.schedule.plan import HOUR, Plan
from envctl.model import Command

SECONDS = 30.0


def available() -> bool:
    """Whether the user's own systemd answers."""
    if shell.which("systemctl") is None:
        return False
    return shell.run(_systemctl("show-environment"), check=False, seconds=SECONDS).code == 0


def folder() -> Path:
    """Where systemd looks for a user's units."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "systemd" / "user"


def units(plan: Plan) -> dict[str, str]:
    """The two files, by name."""
    variables = "\n".join(f"Environment={_quoted(f'{name}={value}')}" for name, value in plan.variables.items())
    values = {
        "project": plan.project,
        "checkout": _escaped(str(plan.checkout)),
        "variables": variables,
        "command": " ".join(_quoted(word, argument=True) for word in plan.command),
        "log": _escaped(str(plan.log)),
        "calendar": f"{'Mon ' if plan.weekly else ''}*-*-* {HOUR:02}:{plan.minute:02}:00",
    }
    kinds = ("service", "timer")
    return {
        f"{name(plan.key)}.{kind}": Template(texts.read("leaks", f"envctl-leaks.{kind}")).substitute(values)
        for kind in kinds
    }


def name(key: str) -> str:
    """What the units are called."""
    return f"envctl-leaks-{key}"


def install(plan: Plan) -> None:
    """Write the units and start the timer; where that fails nothing of them stays."""
    folder().mkdir(parents=True, exist_ok=True)
    for file, text in units(plan).items():
        (folder() / file).write_text(text)
    try:
        shell.run(_systemctl("daemon-reload"), seconds=SECONDS)
        shell.run(_systemctl("enable", "--now", f"{name(plan.key)}.timer"), seconds=SECONDS)
    except EnvctlError:
        remove(plan.key)
        raise


def remove(key: str) -> bool:
    """Stop the timer and remove the units; whether there were any."""
    there = [path for kind in ("timer", "service") if (path := folder() / f"{name(key)}.{kind}").exists()]
    if not there:
        return False
    with suppress(EnvctlError):  # A systemd that is not there runs nothing.
        shell.run(_systemctl("disable", "--now", f"{name(key)}.timer"), seconds=SECONDS)
    for path in there:
        path.unlink(missing_ok=True)
    with suppress(EnvctlError):
        shell.run(_systemctl("daemon-reload"), seconds=SECONDS)
    return True


def _systemctl(*words: str) -> Command:
    return Command(("systemctl", "--user", *words))


def _quoted(text: str, *, argument: bool = False) -> str:
    """One word of a unit file; in a command a dollar sign would begin a variable too."""
    inner = _escaped(text).replace("\\", r"\\").replace('"', r"\"")
    return f'"{inner.replace("$", "$$") if argument else inner}"'


def _escaped(text: str) -> str:
    return text.replace("%", "%%")
