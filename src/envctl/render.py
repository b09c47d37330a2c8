"""Plain data as tables, and what all screens have in common. rich is imported only once something is shown."""

from __future__ import annotations

import io
import itertools
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TextIO

from envctl import output
from envctl.values import dataclass

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

P = ParamSpec("P")
ENDLESS = 10_000
"""The width of what is not a screen: nothing is wrapped or cut in a pipe."""
SHADES = ("36", "33", "32", "35", "34", "31")


class Finding(Protocol):
    """What a check of `doctor` found."""

    @property
    def check(self) -> str: ...
    @property
    def level(self) -> str: ...
    @property
    def message(self) -> str: ...
    @property
    def remedy(self) -> str: ...


@dataclass(frozen=True, slots=True)
class View:
    """Something to look at, not built before somebody looks."""

    build: Callable[[], RenderableType]

    def show(self, stream: TextIO) -> None:
        """Print it as the stream deserves: with colours and its width on a terminal, plain elsewhere."""
        if stream.isatty():
            from rich.console import Console

            Console(file=stream, highlight=False, no_color=not output.colored(stream)).print(self.build())
        else:
            output.write(stream, self.text())

    def text(self) -> str:
        """It without colours, as wide as it likes."""
        from rich.console import Console

        page = io.StringIO()
        Console(file=page, width=ENDLESS, highlight=False, color_system=None, force_terminal=False).print(self.build())
        return "\n".join(line.rstrip() for line in page.getvalue().splitlines())


def later(build: Callable[P, RenderableType]) -> Callable[P, View]:
    """Make a view of a function that builds a renderable."""

    @wraps(build)
    def view(*args: P.args, **kwargs: P.kwargs) -> View:
        return View(lambda: build(*args, **kwargs))

    return view


@later
def settings_table(described: Mapping[str, Mapping[str, Any]]) -> RenderableType:
    """Every setting, its value and where it came from."""
    rows = [(key, _value(one["value"]), one["source"]) for key, one in described.items()]
    return table(("setting", "value", "from"), rows)


@later
def findings_table(findings: Iterable[Finding]) -> RenderableType:
    """What `doctor` found, the remedies below what they are for."""
    from rich.console import Group
    from rich.table import Table

    marks = {"ok": ("ok", "green"), "warning": ("warning", "yellow"), "problem": ("problem", "bold red")}
    grid = Table.grid(padding=(0, 2))
    counted = dict.fromkeys(marks, 0)
    for one in findings:
        counted[one.level] += 1
        grid.add_row(text(*marks[one.level]), text(one.check), text(one.message))
        if one.remedy:
            grid.add_row("", "", text(f"→ {one.remedy}", "bold"))
    bad = ", ".join(f"{counted[level]} {level}{'' if counted[level] == 1 else 's'}" for level in ("problem", "warning"))
    return Group(grid, text(""), text(f"{bad}, {counted['ok']} ok"))


def live(build: Callable[[], View], *, pause: Callable[[], None]) -> None:
    """Keep a view on the screen, built anew after each pause, until Ctrl-C."""
    with suppress(KeyboardInterrupt), _screen() as show:
        while True:
            show(build())
            pause()


@contextmanager
def _screen() -> Iterator[Callable[[View], None]]:
    from rich.console import Console
    from rich.live import Live

    if not output.animated(sys.stdout):
        yield lambda view: view.show(sys.stdout)
        return
    console = Console(highlight=False, no_color=not output.colored(sys.stdout))
    with Live(console=console, screen=True, auto_refresh=False) as screen:
        yield lambda view: screen.update(view.build(), refresh=True)


def prefixed(voice: output.Output, names: Sequence[str] = ()) -> Callable[[str, str], None]:
    """A writer that puts a process's name before each of its lines, each name in a colour of its own."""
    shades = itertools.cycle(SHADES)
    seen: dict[str, str] = {}
    width = max((len(name) for name in names), default=0)
    # With --json stdout is the one document's.
    tell, stream = (voice.insist, sys.stderr) if voice.json else (voice.line, sys.stdout)

    def write(name: str, line: str) -> None:
        nonlocal width
        if name not in seen:
            seen[name] = next(shades)
            width = max(width, len(name))
        label = output.styled(f"{name:<{width}} |", f"\x1b[{seen[name]}m", stream)
        # A colour that a line leaves on would run into the next process's.
        tell(f"{label} {line}{output.PLAIN if chr(27) in line else ''}")

    return write


def size(count: int | None) -> str:
    """A number of bytes for people."""
    if count is None:
        return ""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 10 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def ago(since: str) -> str:
    """How long ago a moment was, for people."""
    try:
        seconds = (datetime.now(UTC) - datetime.fromisoformat(since)).total_seconds()
    except ValueError:
        return since
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit} ago"
    return "just now"


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Table:
    """A table without lines."""
    from rich.table import Table

    made = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", pad_edge=False)
    for column in columns:
        made.add_column(column, overflow="fold")
    for row in rows:
        made.add_row(*(cell if not isinstance(cell, str | int) else text(str(cell)) for cell in row))
    return made


def text(said: str, style: str = "") -> Any:
    """Text as it is: what a person named is never markup, nor does it move the cursor."""
    from rich.text import Text

    return Text(output.harmless(said), style=style)


def _value(value: Any) -> str:
    return "" if value is None else str(value)
