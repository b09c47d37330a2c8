"""What a failed run left on purpose, and how to look into it."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterator, Mapping
from dataclasses import field, replace
from typing import TYPE_CHECKING

from envctl import namespace, services
from envctl.dev import psql
from envctl.document import Duration
from envctl.errors import UsageError
from envctl.masking import masked, masked_url
from envctl.model import Resource
from envctl.values import dataclass
from envctl.variables import render

if TYPE_CHECKING:
    from envctl.testing.live import Live


@dataclass(frozen=True, slots=True)
class Kept:
    """One thing that is still there, and what opens it: a URL, or variables where its service has none."""

    resource: Resource
    url: str = field(default="", repr=False)
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def command(self) -> str:
        """What opens it with no password in sight; empty where there is none."""
        return f"envctl dev psql {shlex.quote(self.resource.name)}" if self.resource.service == "postgres" else ""

    @property
    def masked(self) -> Kept:
        """The same without its passwords."""
        variables = {name: masked(value, name) for name, value in self.variables.items()}
        return replace(self, url=masked_url(self.url) if self.url else "", variables=variables)


def kept(live: Live) -> tuple[Kept, ...]:
    """All of it but the logins."""
    ways = dict(_ways(live)) if live.kept else {}
    things = [one for one in live.kept if one.kind != "role"]
    return tuple(Kept(one, *ways.get((one.service, one.name), ("", {}))) for one in things)


def lines(live: Live) -> list[str]:
    """The same in words for stderr: until when, and the command that opens each, or looks into it.

    Passwords are in it, but where others may read them.
    """
    hidden = _overheard()
    idle = live.project.config.idle
    until = "the next run" + (f", or {Duration(idle)} after the servers' last use" if live.throw_away else "")
    found = []
    for one in kept(live):
        found.append(f"kept until {until}: {one.resource.kind} {one.resource.name}")
        if line := _opened(one.masked if hidden else one):
            found.append(f"  {line}")
        if hidden and one.command:
            found.append(f"  hint: {one.command}")
    return found


def _opened(one: Kept) -> str:
    if one.url:
        return f"{_opener(one)}{one.url}"
    given = " ".join(f"{name}={shlex.quote(value)}" for name, value in one.variables.items())
    return f"{given} aws s3 ls s3://{one.resource.name}" if given else ""


def _overheard() -> bool:
    """Whether stderr goes to the log of a CI job, or to a file that others may read."""
    if os.isatty(2):
        return False
    mode = os.fstat(2).st_mode
    return namespace.in_ci(os.environ) or (stat.S_ISREG(mode) and bool(mode & 0o044))


def _ways(live: Live) -> Iterator[tuple[tuple[str, str], tuple[str, Mapping[str, str]]]]:
    """What opens each failed worker's things, by service and name."""
    for worker in live.attendant.unwell(live.exit_code):
        for name, access in live.sandboxes.of(worker).access.items():
            url, exports = access.values.get("url", ""), {} if "url" in access.values else services.get(name).exports
            given = {f"{name}.{key}": value for key, value in access.values.items()}
            for one in access.resources:
                yield (name, one.name), (url, render(exports, given))


def _opener(one: Kept) -> str:
    """psql as this machine has it, before a URL that it reads; nothing where there is none."""
    if one.resource.service != "postgres":
        return ""
    try:
        return f"{shlex.quote(psql.program())} "
    except UsageError:
        return ""
