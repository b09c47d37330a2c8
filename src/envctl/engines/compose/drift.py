"""How running containers differ from what a checkout's compose file asks for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from envctl import compose_file, containers, shell
from envctl.compose_file import Declared
from envctl.containers import Stack
from envctl.engines.compose.seen import Seen

UNKNOWN = "settings"
"""What differs where only compose's digest does."""


def sentences(
    stack: Stack, chosen: Mapping[str, str], seen: Mapping[str, Seen], *, telling: bool = False
) -> tuple[str, ...]:
    """One sentence for each service whose container was made from another configuration.

    With `telling` only where it can be said what differs: files of another checkout are mounted from elsewhere.
    """
    there = compose_file.declared(stack)
    wanted = _hashes(stack)
    found = []
    for service, name in sorted(chosen.items()):
        one = seen.get(name)
        if one is None or name not in there or not _differs(stack, name, one, wanted.get(name, "")):
            continue
        found.append(_sentence(service, one, there[name], stack.file))
    return tuple(one for one in found if not (telling and f" another {UNKNOWN} " in one))


def _differs(stack: Stack, name: str, one: Seen, wanted: str) -> bool:
    """By compose's own digest; a relative path that leads to the same place in another checkout is no difference."""
    if not one.hash or not wanted or one.hash == wanted:
        return False
    if not Path(one.directory).is_dir() or Path(one.directory) == stack.directory:
        return True
    ours = stack.directory / ".env"
    variables = ours if ours.is_file() else Path(os.devnull)
    elsewhere = replace(stack, directory=Path(one.directory), env_file=variables)
    return _hashes(elsewhere).get(name, "") != one.hash


def _hashes(stack: Stack) -> dict[str, str]:
    if not stack.runtime.modern:
        return {}
    done = shell.run(containers.hashes(stack), check=False, seconds=60)
    return dict(line.split() for line in done.out.splitlines() if len(line.split()) == 2)


def _sentence(service: str, one: Seen, declared: Declared, file: str) -> str:
    if declared.image and one.image != declared.image:
        return f"{service} runs image {one.image}, {file} asks for {declared.image}"
    changed = sorted(key for key, value in declared.environment.items() if one.environment.get(key) != value)
    parts = [f"environment ({', '.join(changed)})"] if changed else []
    if declared.command and one.command[-len(declared.command) :] != declared.command:
        parts.append("command")
    if set(declared.ports) != {inside for inside, _, _ in one.published}:
        parts.append("ports")
    what = " and ".join(parts) or UNKNOWN
    return f"{service} runs with another {what} than {file} asks for"
