"""An audit added up: for each environment and kind how many there are, how big, how old, and how many are leaks."""

from __future__ import annotations

from collections.abc import Iterable

from envctl.environments import SIX
from envctl.inventory.verdicts import moment
from envctl.leaks.plain import age
from envctl.leaks.rows import Row
from envctl.values import dataclass

ANY = "(any)"
"""How what is of no one environment is headed."""


@dataclass(frozen=True, slots=True)
class Line:
    """All things of one kind in one environment."""

    environment: str
    kind: str
    count: int
    bytes: int | None
    """What they take; None where that is not known of any."""
    oldest: Row
    leaks: int


def lines(rows: Iterable[Row]) -> tuple[Line, ...]:
    """The environments in their usual order, what is of none at the end."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.environment, row.kind), []).append(row)
    order = [*SIX, ""]
    return tuple(
        _line(*group, groups[group]) for group in sorted(groups, key=lambda one: (order.index(one[0]), one[1]))
    )


def oldest(line: Line, now: str) -> str:
    """How old the oldest of them is, for people."""
    return age(line.oldest, now)


def _line(environment: str, kind: str, rows: list[Row]) -> Line:
    sizes = [row.bytes for row in rows if row.bytes is not None]
    dated = sorted((came, number) for number, row in enumerate(rows) if (came := moment(row.since)) is not None)
    return Line(
        environment,
        kind,
        len(rows),
        sum(sizes) if sizes else None,
        rows[dated[0][1]] if dated else rows[0],
        sum(row.leak for row in rows),
    )
