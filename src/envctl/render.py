"""Plain data as tables and screens. The only importer of rich beside the spinner, and only once something is shown."""

from __future__ import annotations

import io
import itertools
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TextIO

from envctl import output

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
        from rich.console import Console

        if stream.isatty():
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
def sandbox_summary(data: Mapping[str, Any]) -> RenderableType:
    """What `dev up` made ready."""
    from rich.console import Group

    rows = [(name, data["servers"].get(name, ""), _named(data["resources"], name)) for name in data["servers"]]
    lines: list[RenderableType] = [
        _text(f"{data['namespace']} ready ({data['environment']}, {data['engine']})"),
        _table(("service", "address", "yours"), rows),
    ]
    if data["processes"]:
        lines.append(_text(_ports(data["processes"])))
    lines.append(_text(f"variables: {', '.join(data['variables'])}"))
    lines.append(_text('  in this shell: eval "$(envctl env)"'))
    return Group(*lines)


@later
def status_screen(data: Mapping[str, Any]) -> RenderableType:
    """What `dev status` saw."""
    from rich.console import Group

    parts: list[RenderableType] = [
        _text(f"{data['project']} · {data['namespace']} · engine {data['engine']}"),
        _text(f"state in {data['state']}", "dim"),
    ]
    up = any(one["state"] == "running" for one in data["servers"])
    for title, table in _status_tables(data):
        unseen = not up and "resources" in title
        missing = f"{title}: not seen while the servers do not run" if unseen else f"no {title}"
        parts += [_text(""), table if table.row_count else _text(missing, "dim")]
    for part in _tests(data["tests"]):
        parts += [_text(""), part]
    if data["processes"]:
        parts += [_text(""), _text(_ports(data["processes"]))]
    if not up:
        said = "the servers of dev are stopped; their data stay" if data["servers"] else "dev has no servers yet"
        parts += [_text(""), _text(f"{said}: envctl dev up", "bold")]
    return Group(*parts)


@later
def settings_table(described: Mapping[str, Mapping[str, Any]]) -> RenderableType:
    """Every setting, its value and where it came from."""
    rows = [(key, _value(one["value"]), one["source"]) for key, one in described.items()]
    return _table(("setting", "value", "from"), rows)


@later
def findings_table(findings: Iterable[Finding]) -> RenderableType:
    """What `doctor` found, the remedies below what they are for."""
    from rich.console import Group
    from rich.table import Table

    marks = {"ok": ("ok", "green"), "warning": ("warning", "yellow"), "problem": ("problem", "bold red")}
    table = Table.grid(padding=(0, 2))
    counted = dict.fromkeys(marks, 0)
    for one in findings:
        counted[one.level] += 1
        table.add_row(_text(*marks[one.level]), _text(one.check), _text(one.message))
        if one.remedy:
            table.add_row("", "", _text(f"→ {one.remedy}", "bold"))
    bad = ", ".join(f"{counted[level]} {level}{'' if counted[level] == 1 else 's'}" for level in ("problem", "warning"))
    return Group(table, _text(""), _text(f"{bad}, {counted['ok']} ok"))


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

    def write(name: str, line: str) -> None:
        nonlocal width
        if name not in seen:
            seen[name] = next(shades)
            width = max(width, len(name))
        label = output.styled(f"{name:<{width}} |", f"\x1b[{seen[name]}m", sys.stdout)
        # A colour that a line leaves on would run into the next process's.
        voice.line(f"{label} {line}{output.PLAIN if chr(27) in line else ''}")

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


def _ports(processes: Mapping[str, int]) -> str:
    return "ports for processes: " + ", ".join(f"{name} {port}" for name, port in processes.items())


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


def _status_tables(data: Mapping[str, Any]) -> Iterator[tuple[str, Table]]:
    servers = [(o["service"], _state(o["state"]), o["address"], o["pid"] or "", o["detail"]) for o in data["servers"]]
    yield "servers", _table(("server", "state", "address", "pid", ""), servers)
    leases = [(o["kind"], o["namespace"], o["command"], o["pid"] or "", ago(o["since"])) for o in data["leases"]]
    yield "leases", _table(("lease", "namespace", "command", "pid", "since"), leases)
    resources = [(o["kind"], o["name"], size(o["bytes"])) for o in data["resources"]]
    yield "resources of this namespace", _table(("resource", "name", "size"), resources)
    others = [(o["namespace"], o["branch"], o["path"], "" if o["there"] else "gone") for o in data["others"]]
    yield "other namespaces", _table(("namespace", "branch", "checkout", ""), others)


def _tests(data: Mapping[str, Any]) -> Iterator[RenderableType]:
    """What the tests have here; of what is not there, nothing."""
    servers = [(o["service"], _state(o["state"]), o["address"], o["pid"] or "", o["set"]) for o in data["servers"]]
    if servers:
        yield _table(("server of the tests", "state", "address", "pid", "set"), servers)
    runs = [(o["namespace"], o["slot"], o["command"], ago(o["since"])) for o in data["runs"]]
    if runs:
        yield _table(("run at work", "slot", "command", "since"), runs)
    kept = [(o["name"], ago(o["since"]), o["open"]) for o in data["kept"]]
    if kept:
        yield _table(("kept by a failed run", "since", "open it with"), kept)
    if data["templates"]["count"]:
        yield _text(f"templates: {data['templates']['count']}, {size(data['templates']['bytes'])}")


def _table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Table:
    """A table without lines."""
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(cell if not isinstance(cell, str | int) else _text(str(cell)) for cell in row))
    return table


def _state(word: str) -> Any:
    return _text(word, {"running": "green", "starting": "yellow"}.get(word, "bold red"))


def _text(text: str, style: str = "") -> Any:
    """Text as it is: what a person named is never markup."""
    from rich.text import Text

    return Text(text, style=style)


def _named(resources: Iterable[Mapping[str, Any]], service: str) -> str:
    """The names that mean something to an application; the login that comes with a database is not one of them."""
    return ", ".join(one["name"] for one in resources if one["service"] == service and one["kind"] != "role")


def _value(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(str(item) for item in value)
    return "" if value is None else str(value)
