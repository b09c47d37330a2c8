"""Whose a thing on a target or in a registry is, and whether it should still be there. Pure.

A preview is a compose project `{project}-pr-123`, an image with the tag `pr-123`, or what they are made of. Whether it
may stay, the list of open pull requests says. Where there is no such list nothing is called an orphan.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import replace

from envctl.leaks.registry import Tag
from envctl.leaks.rows import Row
from envctl.leaks.targets import ENVIRONMENT, HOME, PROJECT, Target, Thing, removal
from envctl.model import Verdict
from envctl.values import dataclass

Pulls = frozenset[int] | None
"""The open pull requests; None where nobody could tell."""
UNTOLD = "whether pull request {0} is open could not be told"
CLOSED = "pull request {0} is not open"


@dataclass(frozen=True, slots=True)
class Signs:
    """By what the things of a project are known."""

    project: str
    stacks: tuple[str, ...]
    """What its compose projects begin with."""
    images: tuple[str, ...] = ()

    def pull(self, thing: Thing) -> int | None:
        """The pull request that a thing on a target is of, if its name says one."""
        if thing.kind != "image":
            return self._of_stack(thing.stack, "")
        repository, _, tag = thing.name.rpartition(":")
        found = re.fullmatch("pr-([1-9][0-9]{0,8})", tag) if repository in self.images else None
        return int(found[1]) if found else self._of_stack(repository, "(?:[-_].*)?")

    def ours(self, thing: Thing) -> bool:
        """Whether its label names this project."""
        return thing.labels.get(PROJECT) == self.project

    def foreign(self, thing: Thing) -> bool:
        """Whether its label names another project."""
        return thing.labels.get(PROJECT, self.project) != self.project

    def _of_stack(self, name: str, more: str) -> int | None:
        for stack in self.stacks:
            if found := re.fullmatch(f"{re.escape(stack)}-pr-([1-9][0-9]{{0,8}}){more}", name):
                return int(found[1])
        return None


def of_target(target: Target, signs: Signs, pulls: Pulls) -> Iterator[Row]:
    """The rows of one target: previews, and whatever else bears the project's label."""
    running = {thing.stack for thing in target.things if thing.running}
    for thing in target.things:
        number = signs.pull(thing)
        if signs.foreign(thing):
            continue
        if number is not None:
            yield _preview(thing, number, pulls, marked=thing.kind == "image" or signs.ours(thing))
        elif signs.ours(thing) and not (target.here and _local(thing)):
            yield _labelled(thing, running)


def of_registry(tags: Iterable[Tag], pulls: Pulls) -> Iterator[Row]:
    """The rows of a registry."""
    tags = tuple(tags)
    opened = [tag for tag in tags if pulls is not None and tag.pull in pulls]
    for tag in tags:
        verdict, reason = judged(tag.pull, pulls)
        shared = _shared(tag, opened) if verdict == "orphan" else ""
        yield Row(
            environment="preview",
            place=f"registry {tag.image.partition('/')[0]}",
            kind="tag",
            name=tag.name,
            verdict=verdict,
            reason=f"{reason}, but {shared}" if shared else reason,
            owner=f"pr-{tag.pull}",
            created=tag.created,
            bytes=tag.bytes,
            remedy="" if shared else shlex.join(("skopeo", "delete", f"docker://{tag.name}")),
        )


def _shared(tag: Tag, opened: Iterable[Tag]) -> str:
    """Why its manifest must stay, if it must: to delete it takes all tags that it has."""
    for one in opened:
        if not (one.digest and tag.digest):
            return f"whether pr-{one.pull}, which is, has the same manifest could not be told"
        if one.digest == tag.digest:
            return f"pr-{one.pull} is and has the same manifest: keep it until then"
    return ""


def judged(number: int, pulls: Pulls) -> tuple[Verdict, str]:
    """What the list of open pull requests says."""
    if pulls is None:
        return "idle", UNTOLD.format(number)
    if number in pulls:
        return "live", f"pull request {number} is open"
    return "orphan", CLOSED.format(number)


def _preview(thing: Thing, number: int, pulls: Pulls, *, marked: bool) -> Row:
    verdict, reason = judged(number, pulls)
    if verdict == "live" and thing.kind == "container" and not thing.running:
        verdict, reason = "idle", f"{reason}, the container is {thing.state or 'not running'}"
    if verdict == "orphan" and not marked:
        verdict, reason = "unexplained", f"{reason}; only its name says that it is a preview of ours"
    return _row(thing, "preview", f"pr-{number}", verdict, reason)


def _labelled(thing: Thing, running: set[str]) -> Row:
    """Something with our label that is no preview. Staging and production keep their data: that is for a person."""
    environment = thing.labels.get(ENVIRONMENT, "test" if HOME in thing.labels else "dev")
    owner = thing.stack or thing.labels.get(HOME, "")
    if thing.running or (thing.stack and thing.stack in running):
        return _row(thing, environment, owner, "live", f"{thing.stack or 'it'} runs")
    if environment == "dev":
        return _row(thing, environment, owner, "idle", "the dev servers of somebody's checkouts, stopped")
    reason = f"it bears the label of this project, and nothing of {thing.stack or 'a stack'} runs"
    row = _row(thing, environment, owner, "unexplained", reason)
    return _kept(row) if environment in ("staging", "production") and thing.kind == "volume" else row


def _row(thing: Thing, environment: str, owner: str, verdict: Verdict, reason: str) -> Row:
    return Row(
        environment=environment,
        place=f"docker context {thing.context}",
        kind=thing.kind,
        name=thing.name,
        verdict=verdict,
        reason=reason,
        owner=owner,
        created=thing.created,
        bytes=thing.bytes,
        remedy=shlex.join(removal(thing).argv),
    )


def _kept(row: Row) -> Row:
    return replace(row, remedy="", reason=f"{row.reason}; its data may be wanted: look before you remove it")


def _local(thing: Thing) -> bool:
    """Whether it is of this machine's own servers, which the local part of the audit looks at."""
    return ENVIRONMENT not in thing.labels
