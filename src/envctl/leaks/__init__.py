"""The audit of all six environments: look everywhere at once, compare with who should be there, say what is left."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import partial

from envctl.errors import UsageError
from envctl.leaks import local, previews, pulls, registry, targets
from envctl.leaks.looking import Look
from envctl.leaks.previews import Pulls, Signs
from envctl.leaks.rows import Audit, Row, ordered
from envctl.model import Talk, Unseen
from envctl.project import Project
from envctl.toml.words import did_you_mean
from envctl.values import dataclass

LOCAL, REGISTRY = "local", "registry"
"""What `--target` calls this machine, and the image registry."""
PULLS = "pull requests"
PATIENCE = 300.0
"""How long this machine's own servers may take: they are asked for the size of everything."""
GRACE = 2.0
"""Beyond the limit that every question has by itself: whoever does not keep it is not waited for."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What was seen in a place, waiting for the list of open pull requests."""

    judged: Callable[[Pulls], Iterable[Row]]
    here: bool = False
    """Whether it is the engine of this machine, which the inventory looks at too."""


def audit(
    project: Project,
    *,
    only: Iterable[str] = (),
    start: bool = False,
    environ: Mapping[str, str] = os.environ,
    wait: float,
    talk: Talk,
) -> Audit:
    """Look at all places, or at some. A place that cannot be looked at is named, and the rest still done.

    With `start` the stopped servers of this machine are started to be looked into.
    """
    began, now = time.monotonic(), datetime.now(UTC).isoformat(timespec="seconds")
    only, limit = tuple(only), float(project.config.leaks.timeout)
    wanted = _wanted(project, only)
    far = {place: Look(place, work, limit + GRACE) for place, work in _far(project, wanted, environ, began + limit)}
    work = partial(local.look, project, start=start, wait=wait, talk=talk)
    here = Look("this machine", work, PATIENCE + wait) if LOCAL in wanted else None
    sights = [look.result() for look in far.values()]
    opened = _opened(project, environ, limit) if far else None  # Only now: what was seen had its pull request by then.
    rows, unseen = _joined(sights, opened, here)
    if any(row.environment == "preview" for row in rows) and not project.config.preview.pulls:
        unseen.append(Unseen(PULLS, "which are open is not known: [preview] pulls is not set"))
    return Audit(project.config.project, now, time.monotonic() - began, ordered(rows), tuple(unseen), ", ".join(only))


def places(project: Project) -> tuple[str, ...]:
    """What `--target` can name."""
    return (LOCAL, *project.config.targets, *((REGISTRY,) if project.config.preview.images else ()))


def _wanted(project: Project, only: tuple[str, ...]) -> tuple[str, ...]:
    known = places(project)
    for name in only:
        if name not in known:
            raise UsageError(f"there is no target {name!r}", hint=did_you_mean(name, known))
    return only or known


def _far(
    project: Project, wanted: Iterable[str], environ: Mapping[str, str], until: float
) -> Iterable[tuple[str, Callable[[], Sight]]]:
    """The places on other machines."""
    config, signs = project.config, _signs(project)
    for name in wanted:
        if name in config.targets:
            context = config.targets[name].context
            yield f"docker context {context}", partial(_target, context, signs, until)
    if REGISTRY in wanted:
        login = environ.get(config.preview.registry_variable, "").strip() if config.preview.registry_variable else ""
        for image in config.preview.images:
            yield f"registry {image}", partial(_tags, image, login, until)


def _target(context: str, signs: Signs, until: float) -> Sight:
    seen = targets.look(context, until=until)
    return Sight(partial(previews.of_target, seen, signs), seen.here)


def _tags(image: str, login: str, until: float) -> Sight:
    return Sight(partial(previews.of_registry, registry.tags(registry.repository(image, login), until=until)))


def _opened(project: Project, environ: Mapping[str, str], limit: float) -> frozenset[int] | Unseen | None:
    """The open pull requests, if somebody can be asked for them."""
    preview, until = project.config.preview, time.monotonic() + limit
    if not preview.pulls:
        return None
    return Look(PULLS, lambda: pulls.opened(preview, environ, until=until), limit + GRACE).result()


def _joined(
    sights: Iterable[Sight | Unseen], opened: frozenset[int] | Unseen | None, here: Look[local.Seen] | None
) -> tuple[list[Row], list[Unseen]]:
    """The rows of all places, each thing once, and the places that have none to show."""
    seen = here.result() if here else ((), ())
    rows, unseen = ((), [seen]) if isinstance(seen, Unseen) else (seen[0], list(seen[1]))
    far, covered = list[Row](), set[tuple[str, str]]()
    if isinstance(opened, Unseen):
        unseen.append(opened)
        opened = None
    for sight in sights:
        if isinstance(sight, Unseen):
            unseen.append(sight)
            continue
        found = list(sight.judged(opened))
        far += found
        covered |= {(row.kind, row.name) for row in found if sight.here}
    return [*(row for row in rows if (row.kind, row.name) not in covered), *far], unseen


def _signs(project: Project) -> Signs:
    config, names = project.config, project.names
    stacks = dict.fromkeys((config.compose.project or names.compose_project, names.compose_project))
    images = (registry.image_name(one) for one in config.preview.images)
    return Signs(config.project, tuple(stacks), tuple(images))
