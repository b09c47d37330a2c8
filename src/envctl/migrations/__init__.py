"""Migrations: what they are made of, whether they are due, and running them."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, field
from pathlib import Path
from typing import Any, ClassVar

from envctl.digests import hexdigest
from envctl.errors import ConfigError, EnvctlError
from envctl.model import Talk
from envctl.values import dataclass

IGNORED = frozenset({"__pycache__", ".git", ".mypy_cache", ".ruff_cache", ".pytest_cache"})
"""What changes without a migration having changed."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do: a command in a folder of the project, or SQL files that envctl runs itself."""

    run: str = ""
    cwd: str = ""
    sql: tuple[str, ...] = ()


class Migrate(tuple[Step, ...]):
    """The steps of `migrate`, in order."""

    __slots__ = ()
    described: ClassVar[str] = 'a command, { run = "…", cwd = "…" }, { sql = ["…"] } or a list of these'

    @classmethod
    def parse(cls, value: Any, where: str) -> Migrate:
        """From a command, a table, or a list of both."""
        return cls(_step(one, where) for one in (value if isinstance(value, list) else [value]))


@dataclass(frozen=True, slots=True)
class Migration:
    """How a service's data come to what a checkout's files say: the steps, and the files that they read."""

    steps: tuple[Step, ...]
    watch: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What the migrations of a checkout are made of. Equal digests migrate to the same schema."""

    digest: str
    files: Mapping[str, str] = field(default_factory=dict)
    """Each file's own digest, by its path from the project's folder."""
    warnings: tuple[str, ...] = ()
    complete: bool = True
    """Whether `watch` tells what the commands read. Where it does not, no digest can say that nothing changed."""


def fingerprint(
    steps: Sequence[Step], watch: Sequence[str], root: Path, extra: Mapping[str, str] | None = None
) -> Fingerprint:
    """The digest over the steps, the content of every watched and every SQL file, and what `extra` adds."""
    patterns = dict.fromkeys([*watch, *(pattern for step in steps for pattern in step.sql)])
    found = {pattern: tuple(matches(root, pattern)) for pattern in patterns}
    files = {name: _digest(root / name) for name in sorted({name for names in found.values() for name in names})}
    whole = {"steps": [asdict(step) for step in steps], "files": files, "extra": dict(extra or {})}
    return Fingerprint(
        digest=hexdigest(json.dumps(whole, sort_keys=True).encode())[:32],
        files=files,
        warnings=tuple(f"no file matches {pattern!r} in {root}" for pattern, names in found.items() if not names),
        complete=complete(steps, watch),
    )


def complete(steps: Sequence[Step], watch: Sequence[str]) -> bool:
    """Whether `watch` tells what the commands read."""
    return bool(watch) or not any(step.run for step in steps)


def needed(now: Fingerprint, noted: str | None) -> bool:
    """Whether the migrations have to run on something that `noted` says was migrated."""
    return noted != now.digest or not now.complete


def run(
    steps: Iterable[Step],
    *,
    root: Path,
    variables: Mapping[str, str],
    connect: Mapping[str, str],
    talk: Talk,
    output: Talk = lambda line: None,
    applied: Collection[str] = (),
    ran: Talk = lambda name: None,
) -> None:
    """Run every step in order; `talk` hears which, `output` every line that a command prints.

    `connect` is what the service gave: its `url` runs the SQL, its `password` is hidden from what a failure shows.
    SQL files in `applied` are left out; `ran` hears of each other one as soon as it is done.
    """
    from envctl.migrations import commands, sqlfiles

    for step in steps:
        if step.run:
            talk(f"running {step.run}")
            folder, hide = _folder(root, step.cwd), (connect.get("password", ""),)
            commands.run(step.run, cwd=folder, root=root, variables=variables, talk=output, hide=hide)
        if step.sql:
            due = [(name, root / name) for name in sql_files(root, step.sql) if name not in applied]
            sqlfiles.run(due, url=connect["url"], talk=talk, ran=ran)


def sql_files(root: Path, patterns: Iterable[str]) -> list[str]:
    """The files of an SQL step: pattern by pattern, sorted within each, none twice."""
    names: dict[str, None] = {}
    for pattern in patterns:
        found = sorted(matches(root, pattern))
        if not found:
            raise EnvctlError(
                f"no SQL file matches {pattern!r}", cause=f"looked in {root}", hint="check `sql` in envctl.toml"
            )
        names.update(dict.fromkeys(found))
    return list(names)


def matches(root: Path, pattern: str) -> Iterator[str]:
    """The files that a pattern names, from `root`. A folder stands for everything in it."""
    if pattern.startswith("/"):
        raise ConfigError(f"{pattern!r} must be a path from the project's folder", hint=f"{root} is where it starts")
    for path in root.glob(pattern):
        inside = (below for below in path.rglob("*")) if path.is_dir() else iter((path,))
        for file in inside:
            name = os.path.relpath(file, root)
            if file.is_file() and not IGNORED & set(Path(name).parts) and file.suffix != ".pyc":
                yield name


def _step(value: Any, where: str) -> Step:
    if isinstance(value, str):
        value = {"run": value}
    if not isinstance(value, dict):
        raise ConfigError(f"{where}: a step of `migrate` is {Migrate.described}")
    if unknown := sorted(set(value) - {"run", "cwd", "sql"}):
        raise ConfigError(f"{where}: a step of `migrate` has no key {unknown[0]!r}", hint="known here: cwd, run, sql")
    if not _well_formed(value):
        raise ConfigError(
            f"{where}: a step of `migrate` has either a command in `run` or files in `sql`",
            hint='for example { run = "alembic upgrade head", cwd = "backend" } or { sql = ["db/*.sql"] }',
        )
    return Step(value.get("run", ""), value.get("cwd", ""), tuple(value.get("sql", ())))


def _well_formed(value: Mapping[str, Any]) -> bool:
    run, cwd, sql = value.get("run", ""), value.get("cwd", ""), value.get("sql", [])
    texts = isinstance(run, str) and isinstance(cwd, str) and isinstance(sql, list)
    if not texts or not all(isinstance(one, str) and one for one in sql):
        return False
    return bool(run.strip()) != bool(sql) and not (sql and cwd)


def _folder(root: Path, cwd: str) -> Path:
    folder = root / cwd
    if not folder.is_dir():
        raise EnvctlError(f"the migrations' folder is not there: {folder}", hint="check `cwd` in envctl.toml")
    return folder


def _digest(file: Path) -> str:
    """The content's digest; a file that an editor took away meanwhile has none."""
    import hashlib

    try:
        with file.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise EnvctlError(f"a watched file cannot be read: {file}", cause=error.strerror or str(error)) from error
