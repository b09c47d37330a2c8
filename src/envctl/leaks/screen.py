"""An audit on a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from envctl.leaks import overview
from envctl.leaks.plain import MOST, age, harmless, headline
from envctl.leaks.rows import Audit, Row
from envctl.render import later, size

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

STYLES = {"orphan": "bold red", "unexplained": "bold yellow", "idle": "", "live": "green"}


@later
def screen(audit: Audit, *, verbose: bool = False) -> RenderableType:
    """The leaks with what removes them, all the rest in numbers; each thing by itself where more was asked for."""
    from rich.console import Group

    parts: list[RenderableType] = [_text(headline(audit), "bold")]
    if audit.limited:
        parts.append(_text(f"limited to {audit.limited}", "dim"))
    if audit.rows:
        parts += [_text(""), _overview(audit)]
    shown = audit.rows if verbose else audit.leaks[:MOST]
    if shown:
        parts += [_text(""), _each(shown, audit.at)]
    if not verbose and len(audit.leaks) > MOST:
        parts.append(_text(f"… and {len(audit.leaks) - MOST} more: envctl leaks --verbose", "bold"))
    if audit.unseen:
        parts += [_text(""), _unseen(audit)]
    return Group(*parts)


def _overview(audit: Audit) -> Table:
    table = _table(
        "environment", "kind", "count", "size", "oldest", "leaks", right=("count", "size", "oldest", "leaks")
    )
    before = None
    for one in overview.lines(audit.rows):
        shown = (one.environment or overview.ANY) if one.environment != before else ""
        leaks = _text(str(one.leaks), "bold red") if one.leaks else _text("")
        cells = (shown, one.kind, str(one.count), size(one.bytes), overview.oldest(one, audit.at))
        table.add_row(*(_text(harmless(cell)) for cell in cells), leaks)
        before = one.environment
    return table


def _each(rows: Iterable[Row], now: str) -> Table:
    """Each thing in its line, below it where it is, why it is what it is, and what removes it."""
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(overflow="fold")
    for row in rows:
        table.add_row(_text(row.verdict, STYLES[row.verdict]), _text(_line(row, now)))
        table.add_row("", _text(harmless(f"{row.place}: {row.reason}"), "dim"))
        if row.remedy:
            table.add_row("", _text(f"→ {harmless(row.remedy)}"))
    return table


def _unseen(audit: Audit) -> Table:
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    for one in audit.unseen:
        table.add_row(_text("not looked at", "bold yellow"), _text(harmless(f"{one.place}: {one.why}")))
    return table


def _line(row: Row, now: str) -> str:
    return "  ".join(harmless(part) for part in _parts(row, now) if part)


def _parts(row: Row, now: str) -> Iterator[str]:
    yield f"{row.environment} {row.kind} {row.name}".lstrip()
    yield from (row.owner, age(row, now), size(row.bytes))


def _table(*columns: str, right: Iterable[str] = ()) -> Table:
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold", justify="right" if column in right else "left")
    return table


def _text(text: str, style: str = "") -> Any:
    """Text as it is: what a stranger named is never markup."""
    from rich.text import Text

    return Text(text, style=style)
