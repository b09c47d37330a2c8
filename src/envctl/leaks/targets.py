"""What of a project is on a target: its containers, volumes, networks and images, through a docker context."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any, Literal

from envctl import runtimes, shell
from envctl.errors import EnvctlError, UnavailableError
from envctl.model import Command
from envctl.values import dataclass

Kind = Literal["container", "volume", "network", "image"]
STACK, PROJECT = "com.docker.compose.project", "envctl.project"
ENVIRONMENT, HOME = "envctl.environment", "envctl.home"
LABELS = (STACK, PROJECT, ENVIRONMENT, HOME)
UNITS: Mapping[str, int] = {"B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


@dataclass(frozen=True, slots=True)
class Thing:
    """One thing that an engine has, with the labels that may say whose it is."""

    context: str
    kind: Kind
    name: str
    labels: Mapping[str, str]
    state: str = ""
    created: str = ""
    bytes: int | None = None

    @property
    def stack(self) -> str:
        """The compose project that it is part of."""
        return self.labels.get(STACK, "")

    @property
    def running(self) -> bool:
        """Whether it is a container that is up."""
        return self.kind == "container" and self.state in ("running", "restarting", "paused")


@dataclass(frozen=True, slots=True)
class Target:
    """All that an engine has. `here` says that it is the one which this machine's own servers run on."""

    context: str
    things: tuple[Thing, ...]
    here: bool


def look(context: str, *, until: float) -> Target:
    """Everything on it. One that does not answer in time is an UnavailableError."""
    if shell.which("docker") is None:
        raise UnavailableError("docker is not installed here", cause="a target is reached through its context")

    def ask(command: Command) -> str:
        left = until - time.monotonic()
        if left <= 0:
            raise UnavailableError("it gave no answer in time")
        done = shell.run(command, check=False, seconds=left)
        if done.code == 0:
            return done.out
        named = runtimes.daemon_error(runtimes.named("docker compose"), done.err)
        raise UnavailableError("it could not be asked", cause=shell.tail(done.err, 2)) from named

    with ThreadPoolExecutor(6) as pool:
        here = pool.submit(_same_engine, context, ask)
        sizes = pool.submit(_sizes, context, ask)
        listed = [pool.submit(lambda kind=kind: ask(listing(context, kind))) for kind in LISTED]  # type: ignore[misc]
        things = [
            thing for kind, one in zip(LISTED, listed, strict=True) for thing in parsed(context, kind, one.result())
        ]
        ages = _ages(context, ask, [thing.name for thing in things if thing.kind == "volume" and thing.labels])
        measured = (_measured(thing, sizes.result(), ages) for thing in things)
        return Target(context, tuple(measured), here.result())


# Command lines, and what they print.


LISTED: Mapping[Kind, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "container": (("ps", "--all", "--no-trunc"), (".Names", ".State", ".CreatedAt")),
    "volume": (("volume", "ls"), (".Name",)),
    "network": (("network", "ls", "--no-trunc"), (".Name", ".CreatedAt")),
    "image": (("image", "ls", "--no-trunc"), (".Repository", ".Tag", ".CreatedAt", ".Size")),
}
"""How each kind is listed, and which of its columns are read."""


def listing(context: str, kind: Kind) -> Command:
    """Prints a JSON array a line: the columns, then the labels. Images have none in a listing."""
    words, columns = LISTED[kind]
    labels = () if kind == "image" else tuple(f'(.Label "{label}")' for label in LABELS)
    form = ",".join(f"{{{{json {one}}}}}" for one in (*columns, *labels))
    return Command(("docker", "--context", context, *words, "--format", f"[{form}]"))


def disk_use(context: str) -> Command:
    """Prints what volumes take; the engine measures them for it."""
    return Command(("docker", "--context", context, "system", "df", "--verbose", "--format", "{{json .Volumes}}"))


def ages(context: str, volumes: Iterable[str]) -> Command:
    """Prints since when these volumes are there, an array a line."""
    form = "[{{json .Name}},{{json .CreatedAt}}]"
    return Command(("docker", "--context", context, "volume", "inspect", "--format", form, "--", *volumes))


def endpoint(context: str) -> Command:
    """Prints where a context's engine is reached."""
    return Command(("docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}", context))


def removal(thing: Thing) -> Command:
    """What removes it: the engine refuses a volume, network or image that is in use."""
    verbs = {"container": ("rm", "--force", "--volumes"), "image": ("image", "rm")}
    return Command(("docker", "--context", thing.context, *verbs.get(thing.kind, (thing.kind, "rm")), thing.name))


def parsed(context: str, kind: Kind, text: str) -> Iterator[Thing]:
    """The things of a listing."""
    columns = LISTED[kind][1]
    for line in text.splitlines():
        values = json.loads(line)
        shown = dict(zip(columns, values, strict=False))
        labels = {label: value for label, value in zip(LABELS, values[len(columns) :], strict=False) if value}
        name = f"{shown['.Repository']}:{shown['.Tag']}" if kind == "image" else shown.get(".Names") or shown[".Name"]
        yield Thing(
            context,
            kind,
            name,
            labels,
            state=shown.get(".State", ""),
            created=moment(shown.get(".CreatedAt", "")),
            bytes=size(shown.get(".Size", "")),
        )


def moment(text: str) -> str:
    """Docker's way to write a time, as ISO 8601: `2026-11-21 15:01:02.123456789 +0000 UTC`."""
    found = re.match(r"(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)(?:\.\d+)? ([+-]\d{4})", text)
    if not found:
        return ""
    return datetime.strptime(" ".join(found.groups()), "%Y-%m-%d %H:%M:%S %z").isoformat()


def size(text: str) -> int | None:
    """Docker's way to write a size: `38.6MB`."""
    found = re.fullmatch(r"([0-9.]+)([kKMGT]?B)", text)
    return round(float(found[1]) * UNITS[found[2]]) if found else None


def _same_engine(context: str, ask: Callable[[Command], str]) -> bool:
    return ask(endpoint(context)).strip() == runtimes.endpoint(runtimes.named("docker compose"))


def _sizes(context: str, ask: Callable[[Command], str]) -> dict[str, int | None]:
    """What each volume takes; nothing where that cannot be told in time."""
    with suppress(EnvctlError, ValueError):
        volumes: list[dict[str, Any]] = json.loads(ask(disk_use(context))) or []
        return {one["Name"]: size(one["Size"]) for one in volumes}
    return {}


def _ages(context: str, ask: Callable[[Command], str], names: Sequence[str]) -> dict[str, str]:
    """Since when volumes are there; nothing where one of them has gone meanwhile."""
    with suppress(EnvctlError, ValueError):
        return dict(json.loads(line) for line in ask(ages(context, names)).splitlines()) if names else {}
    return {}


def _measured(thing: Thing, sizes: Mapping[str, int | None], ages: Mapping[str, str]) -> Thing:
    if thing.kind != "volume":
        return thing
    return replace(thing, bytes=sizes.get(thing.name), created=ages.get(thing.name, ""))
