"""What a failed run left on purpose, and how to look into it."""

from __future__ import annotations

import shlex
from dataclasses import field
from typing import TYPE_CHECKING

from envctl.dev import psql
from envctl.document import Duration
from envctl.errors import UsageError
from envctl.model import Resource
from envctl.values import dataclass

if TYPE_CHECKING:
    from envctl.testing.live import Live


@dataclass(frozen=True, slots=True)
class Kept:
    """One thing that is still there; `url` is empty where none opens it."""

    resource: Resource
    url: str = field(default="", repr=False)


def kept(live: Live) -> tuple[Kept, ...]:
    """All of it but the logins."""
    urls = dict(_urls(live)) if live.kept else {}
    return tuple(Kept(one, urls.get((one.service, one.name), "")) for one in live.kept if one.kind != "role")


def lines(live: Live) -> list[str]:
    """The same in words: until when, and the command that opens each database."""
    idle = live.project.config.idle
    until = "the next run" + (f", or {Duration(idle)} after the servers' last use" if live.throw_away else "")
    found = []
    for one in kept(live):
        found.append(f"kept until {until}: {one.resource.kind} {one.resource.name}")
        if one.url:
            found.append(f"  {_opener(one)}{one.url}")
    return found


def _urls(live: Live) -> list[tuple[tuple[str, str], str]]:
    """The URL of each failed worker's things, by service and name."""
    accesses = [live.sandboxes.of(worker).access for worker in live.attendant.unwell(live.exit_code)]
    return [
        ((service, one.name), access.values["url"])
        for each in accesses
        for service, access in each.items()
        for one in access.resources
        if one.kind != "role" and "url" in access.values
    ]


def _opener(one: Kept) -> str:
    """psql as this machine has it, before a URL that it reads; nothing where there is none."""
    if one.resource.service != "postgres":
        return ""
    try:
        return f"{shlex.quote(psql.program())} "
    except UsageError:
        return ""
