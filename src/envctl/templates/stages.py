"""In which steps a template comes about, and what of it an older one has already. Pure but for reading files.

Everything up to the first command is the migration tool's: it knows what it did before, so an older template can be
carried on. What comes later (a seed) knows nothing: it runs on a copy of what was there before it, and never twice.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path

from envctl import migrations
from envctl.digests import hexdigest
from envctl.migrations import Fingerprint, Migration, Step
from envctl.services.base import Template
from envctl.values import dataclass

DIGITS = 12
"""How much of a file's digest a template remembers."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Some of the steps, on top of the stage before; `digest` says all that its result is made of."""

    steps: tuple[Step, ...]
    digest: str
    base: str
    files: Mapping[str, str]
    sql: tuple[str, ...]
    """The SQL files, in the order in which they run."""
    first: bool
    again: Callable[[], str]
    """The digest as it is now: files may change while they are migrated."""
    warnings: tuple[str, ...] = ()

    @property
    def notes(self) -> dict[str, str]:
        """What a template's record says of it."""
        return {
            "kind": "template",
            "digest": self.digest,
            "base": self.base,
            "files": json.dumps(self.files, separators=(",", ":")),
            "sql": json.dumps(self.sql, separators=(",", ":")),
        }


def stages(migration: Migration, root: Path, traits: Mapping[str, str]) -> tuple[Stage, ...]:
    """The stages of a checkout; the last one's template is what its databases are copies of."""
    ends = list(range(_prefix(migration.steps), len(migration.steps) + 1))
    starts = (0, *ends)
    return tuple(_stage(migration, start, end, root, traits) for start, end in zip(starts, ends, strict=False))


def alone(migration: Migration, root: Path, traits: Mapping[str, str], run: str) -> Stage:
    """All steps as one stage that is this run's own: nobody can know when its result would be another."""
    return _stage(migration, 0, len(migration.steps), root, {**traits, "run": run})


def nearest(stage: Stage, found: Iterable[Template]) -> list[Template]:
    """The templates that this stage can be reached from by running only what is new, the one with most first."""
    usable = [one for one in found if _is_ancestor(one, stage)]
    return sorted(usable, key=lambda one: (-len(_files(one)), one.name))


def applied(stage: Stage, ancestor: Template | None) -> frozenset[str]:
    """The SQL files that the ancestor has seen."""
    return frozenset(_listed(ancestor, "sql")) & frozenset(stage.sql) if ancestor else frozenset()


def fresh(stage: Stage, ancestor: Template | None) -> tuple[str, ...]:
    """The watched files that the ancestor has not seen."""
    return tuple(one for one in stage.files if ancestor is None or one not in _files(ancestor))


def _prefix(steps: tuple[Step, ...]) -> int:
    """How many steps the first stage has: up to the first command and with it."""
    commands = [number for number, step in enumerate(steps, 1) if step.run]
    return commands[0] if commands else len(steps)


def _stage(migration: Migration, start: int, end: int, root: Path, traits: Mapping[str, str]) -> Stage:
    steps = migration.steps[:end]

    def look() -> Fingerprint:
        return migrations.fingerprint(steps, migration.watch, root, traits)

    now = look()
    base = {"steps": [asdict(step) for step in steps], "traits": dict(traits)}
    return Stage(
        steps=migration.steps[start:end],
        digest=now.digest,
        base=hexdigest(json.dumps(base, sort_keys=True).encode())[:32],
        files={name: digest[:DIGITS] for name, digest in now.files.items()},
        sql=tuple(name for step in migration.steps[start:end] for name in _sql(step, root)),
        first=start == 0,
        again=lambda: look().digest,
        warnings=now.warnings,
    )


def _sql(step: Step, root: Path) -> list[str]:
    return migrations.sql_files(root, step.sql) if step.sql else []


def _is_ancestor(one: Template, stage: Stage) -> bool:
    """Made by the same steps of files that are all still here as they were; its SQL files were the first of ours."""
    if one.owner.notes.get("base") != stage.base or one.digest == stage.digest:
        return False
    known, sql = _files(one), _listed(one, "sql")
    return all(stage.files.get(name) == digest for name, digest in known.items()) and stage.sql[: len(sql)] == sql


def _files(one: Template) -> dict[str, str]:
    return dict(json.loads(one.owner.notes.get("files", "{}")))


def _listed(one: Template, note: str) -> tuple[str, ...]:
    return tuple(json.loads(one.owner.notes.get(note, "[]")))
