"""What an engine has with a label: asked of its command line, which docker and podman share."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from envctl import runtimes, shell
from envctl.engines.compose import own
from envctl.engines.compose.seen import LABEL
from envctl.errors import UnavailableError
from envctl.model import Command
from envctl.runtimes import Runtime
from envctl.values import dataclass

COMPOSE = f"{LABEL}project"


@dataclass(frozen=True, slots=True)
class Box:
    """One container, as far as it matters here."""

    id: str
    name: str
    labels: Mapping[str, str]
    created: str
    running: bool
    volumes: tuple[str, ...]

    @property
    def set(self) -> str:
        """The compose project that it belongs to."""
        return self.labels.get(COMPOSE, "")

    @property
    def home(self) -> str:
        """The state folder of its server set, where it is a throw-away one or compose was told its file there."""
        return self.labels.get(own.HOME) or self.labels.get(f"{LABEL}project.working_dir", "")


def boxes(runtime: Runtime, wanted: list[str]) -> list[Box]:
    return [_box(one) for one in inspected(runtime, "container", wanted)]


def _box(one: Mapping[str, Any]) -> Box:
    mounts = [mount for mount in one.get("Mounts") or () if mount.get("Type") == "volume"]
    return Box(
        id=one["Id"],
        name=one["Name"].lstrip("/"),
        labels=(one.get("Config") or {}).get("Labels") or {},
        created=one.get("Created", ""),
        running=bool((one.get("State") or {}).get("Running")),
        volumes=tuple(str(mount["Name"]) for mount in mounts),
    )


def ids(runtime: Runtime, kind: str, label: str) -> list[str]:
    """The ids (a volume's name) of all with a label. An engine that is down is its own error."""
    every = ("--all", "--no-trunc") if kind == "container" else () if kind == "volume" else ("--no-trunc",)
    done = shell.run(
        Command((runtime.cli, kind, "ls", *every, "--quiet", "--filter", f"label={label}")), check=False, seconds=60
    )
    if done.code != 0:
        raise runtimes.daemon_error(runtime, done.err) or UnavailableError(
            f"{runtime.cli} cannot list its {kind}s", cause=shell.tail(done.err), code="daemon_down"
        )
    return sorted(set(done.out.split()))


def inspected(runtime: Runtime, kind: str, wanted: list[str]) -> list[dict[str, Any]]:
    """What the engine knows of them; one that has gone meanwhile is left out."""
    if not wanted:
        return []
    done = shell.run(Command((runtime.cli, kind, "inspect", *wanted)), check=False, seconds=60)
    found: list[dict[str, Any]] = json.loads(done.out or "[]")
    return sorted(found, key=lambda one: str(one.get("Name") or one["Id"]))
