"""What of a failed command's output says why it failed, and what is to be done about it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

SHOWN = 12
"""How many lines of its output a failed command shows."""
_FRAME = re.compile(r'\s+File ".+", line \d+')
_RAISED = re.compile(r"[A-Za-z_][\w.]*(?:: |$)")
_LOST = re.compile(
    "|".join(
        (
            r"Can't locate revision",  # Alembic
            r"InconsistentMigrationHistory",  # Django
            r"no migration found for version",  # golang-migrate
            r"missing in the resolved migrations|previously applied but has been modified",  # sqlx
            r"migrations? from the database (?:is|are) not found locally",  # Prisma
            r"Detected applied migration not resolved locally|Migration checksum mismatch",  # Flyway
            r"migration directory is corrupt",  # Knex
            r"is preceding already run migration",  # node-pg-migrate
        )
    )
)


def excerpt(lines: Sequence[str], dropped: int = 0) -> str:
    """The last lines; where a traceback's error stands before them, its beginning too. `dropped` came before all."""
    ends = max(0, len(lines) - SHOWN)
    raised = _raised(lines)
    if raised is None or raised >= ends:
        return "\n".join((*_left(ends + dropped, "; -v shows them all"), *lines[ends:]))
    half = SHOWN // 2
    first, last = raised, max(raised + half, len(lines) - half)
    head = (*_left(first + dropped, "; -v shows them all"), *lines[first : first + half])
    return "\n".join((*head, *_left(last - first - half, ""), *lines[last:]))


def lost(lines: Iterable[str]) -> bool:
    """Whether the tool says that the database has seen a migration whose file is gone or another one now."""
    return any(_LOST.search(line) for line in lines)


def _raised(lines: Sequence[str]) -> int | None:
    """Where the last Python traceback comes to its error."""
    inside, found = False, None
    for number, line in enumerate(lines):
        if inside and _RAISED.match(line):
            inside, found = False, number
        inside = inside or _FRAME.match(line) is not None
    return found


def _left(count: int, more: str) -> Iterator[str]:
    if count:
        yield f"… {count} {'line is' if count == 1 else 'lines are'} left out{more}"
