"""The six environments as data, and the name patterns that keep them apart."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field
from functools import cache
from itertools import combinations
from typing import Literal

from envctl.errors import ConfigError
from envctl.model import EngineName, Environment
from envctl.values import dataclass

Kind = Literal["database", "bucket"]


@dataclass(frozen=True, slots=True)
class Spec:
    """What is fixed about one environment, and the defaults of what is not."""

    name: Environment
    engine: EngineName | Literal["auto"]
    database: str
    bucket: str
    local: bool = False
    """Whether it shares its servers with the other local environments of every checkout."""


SIX: Mapping[Environment, Spec] = {
    spec.name: spec
    for spec in (
        Spec("dev", "auto", "{project}_dev_{namespace}", "{bucket}-dev-{namespace}", local=True),
        Spec("test", "auto", "{project}_test_{namespace}", "{bucket}-{namespace}", local=True),
        Spec("ci", "external", "{project}_test", "{bucket}"),
        Spec("preview", "compose", "{project}_pr_{pr}", "{bucket}-pr-{pr}"),
        Spec("staging", "compose", "{project}_staging", "{project}-{bucket}-staging"),
        Spec("production", "compose", "{project}_production", "{project}-{bucket}-production"),
    )
}

PRIMARY: Mapping[Kind, str] = {"database": "{project}", "bucket": "{bucket}"}
"""What `dev` is called in the one checkout that claimed the bare names."""


@dataclass(frozen=True, slots=True)
class Patterns:
    """How each environment calls its databases and buckets."""

    database: Mapping[Environment, str] = field(default_factory=lambda: {s.name: s.database for s in SIX.values()})
    bucket: Mapping[Environment, str] = field(default_factory=lambda: {s.name: s.bucket for s in SIX.values()})


DEFAULTS = Patterns()


@dataclass(frozen=True, slots=True)
class Shape:
    """A pattern with everything filled in but the namespace, which stands between `before` and `after`.

    Everything is written with `_`, buckets too, so that one rule serves both.
    """

    environment: Environment
    kind: Kind
    logical: str
    before: str
    after: str = ""
    fixed: bool = False
    primary: bool = False

    @property
    def text(self) -> str:
        """The name with its hole; equal texts are names that always collide."""
        return self.before if self.fixed else f"{self.before}{{namespace}}{self.after}"

    def __str__(self) -> str:
        what = "database" if self.kind == "database" else f"bucket {self.logical}"
        return f"{self.environment}{' (primary checkout)' if self.primary else ''} {what}"


def check(patterns: Patterns, project: str, buckets: Iterable[str]) -> None:
    """Refuse patterns with which one environment could touch what belongs to another."""
    if found := collisions(patterns, project, buckets):
        raise ConfigError(
            "the name patterns do not keep the environments apart",
            cause="; ".join(found),
            hint="change the patterns so that each environment's names differ, or leave them out for the defaults",
        )


def collisions(patterns: Patterns, project: str, buckets: Iterable[str]) -> list[str]:
    """What is wrong with the patterns, a sentence each; the malformed ones first and alone."""
    wrong = [sentence for kind in PRIMARY for sentence in _malformed(kind, getattr(patterns, kind))]
    if wrong:
        return wrong
    pairs = combinations(shapes(patterns, project, buckets), 2)
    return [sentence for one, other in pairs if (sentence := _clash(one, other))]


def reserved(patterns: Patterns, project: str, buckets: Iterable[str]) -> frozenset[str]:
    """The words that no namespace may begin with, because the name would read as another's.

    With the default patterns `dev` is one: the test bucket of `dev_x` would be the dev bucket of `x`. Buckets of which
    one begins with the other's name (`files`, `files-old`) add theirs (`old`).
    """
    return _reserved(tuple(patterns.database.items()), tuple(patterns.bucket.items()), project, tuple(buckets))


@cache
def _reserved(
    database: tuple[tuple[Environment, str], ...],
    bucket: tuple[tuple[Environment, str], ...],
    project: str,
    buckets: tuple[str, ...],
) -> frozenset[str]:
    """Asked for every name that is parsed, and the same for all of a project."""
    patterns = Patterns(dict(database), dict(bucket))
    any_bucket = "-"  # no real bucket begins like it; it keeps the words the same when the first bucket is added
    local = [shape for shape in shapes(patterns, project, [*buckets, any_bucket]) if SIX[shape.environment].local]
    return frozenset(
        one.before[len(other.before) :].split("_")[0]
        for one in local
        for other in local
        if one.kind == other.kind
        and not other.fixed
        and one.before != other.before
        and one.before.startswith(other.before)
    )


def shapes(patterns: Patterns, project: str, buckets: Iterable[str]) -> Iterator[Shape]:
    """Every name that the project can have, each once per environment and logical bucket."""
    wanted: list[tuple[Kind, str]] = [("database", ""), *(("bucket", bucket) for bucket in buckets)]
    for kind, logical in wanted:
        yield _shape("dev", kind, logical, PRIMARY[kind], project, primary=True)
        for environment, pattern in getattr(patterns, kind).items():
            yield _shape(environment, kind, logical, pattern, project)


def shape(patterns: Patterns, project: str, environment: Environment, kind: Kind, logical: str = "") -> Shape:
    """One environment's pattern, filled in but for the namespace."""
    return _shape(environment, kind, logical, getattr(patterns, kind)[environment], project)


def fill(pattern: str, **values: str) -> str:
    """Put the values into a pattern's holes."""
    return _HOLE.sub(lambda hole: values.get(hole[1], hole[0]), pattern)


_HOLE = re.compile(r"\{([^{}]*)\}")
_HOLES: Mapping[Kind, tuple[str, ...]] = {
    "database": ("project", "namespace", "pr"),
    "bucket": ("project", "namespace", "bucket", "pr"),
}
_LITERAL: Mapping[Kind, re.Pattern[str]] = {"database": re.compile("[a-z0-9_]*"), "bucket": re.compile("[a-z0-9-]*")}


def _shape(
    environment: Environment, kind: Kind, logical: str, pattern: str, project: str, *, primary: bool = False
) -> Shape:
    text = fill(pattern, project=project, bucket=logical).replace("-", "_")
    before, hole, after = text.partition("{namespace}")
    return Shape(environment, kind, logical, before, after, fixed=not hole, primary=primary)


def _malformed(kind: Kind, patterns: Mapping[Environment, str]) -> Iterator[str]:
    for name, spec in SIX.items():
        if name not in patterns:
            yield f"{name} has no {kind} pattern"
            continue
        for fault in _faults(kind, spec, patterns[name]):
            yield f"the {name} {kind} pattern {patterns[name]!r} {fault}"


def _faults(kind: Kind, spec: Spec, pattern: str) -> Iterator[str]:
    holes = _HOLE.findall(pattern)
    allowed = [hole for hole in _HOLES[kind] if hole != "pr" or spec.name == "preview"]
    yield from (
        f"has the unknown hole {{{hole}}}; known are {', '.join(allowed)}" for hole in holes if hole not in allowed
    )
    if not _LITERAL[kind].fullmatch(_HOLE.sub("", pattern)):
        yield f"may have a-z, 0-9 and {'_' if kind == 'database' else '-'} beside its holes, nothing else"
    yield from (f"has {{{hole}}} twice" for hole in sorted({hole for hole in holes if holes.count(hole) > 1}))
    if spec.local and "namespace" not in holes:
        yield "lacks {namespace}, so that checkouts would share it"
    if spec.local and kind == "database" and "project" not in holes:
        yield "lacks {project}, so that a stranger's database could be taken for ours"
    if not _WORDS.fullmatch(_HOLE.sub("x", pattern)) or _GLUED.search(pattern):
        yield "must be words and holes, each parted from the next by one separator"


_WORDS = re.compile("[a-z0-9]+(?:[_-][a-z0-9]+)*")
_GLUED = re.compile(r"[^_-]\{|\}[^_-]")


def _clash(one: Shape, other: Shape) -> str:
    """Why two names cannot stand beside each other, or nothing."""
    if one.kind != other.kind or one.primary != other.primary:
        return ""  # the bare names are also those of a CI job, on servers of its own
    if one.text == other.text:
        return f"{one} and {other} would have the same name {_shown(one)}"
    same_servers = SIX[one.environment].local and SIX[other.environment].local
    tails = one.after.endswith(other.after) or other.after.endswith(one.after)
    if same_servers and not one.primary and one.before == other.before and tails:
        return f"{one} ({_shown(one)}) and {other} ({_shown(other)}) could have the same name"
    return ""


def _shown(shape: Shape) -> str:
    return shape.text if shape.kind == "database" else shape.text.replace("_", "-")
