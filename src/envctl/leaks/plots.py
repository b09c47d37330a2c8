"""Two small plots as inline SVG: numbers and dates only, so there is nothing in them that a stranger wrote."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from html import escape

from envctl.leaks.history import Past
from envctl.leaks.plain import local_time
from envctl.render import size

SHOWN = 52
"""A year of weekly audits; more would be too thin to see."""
WIDTH, HEIGHT = 480, 190
LEFT, RIGHT, TOP, BOTTOM = 52, 10, 14, 24


def bars(audits: Sequence[Past]) -> str:
    """How many leaks each audit found, orphans below what nobody can explain."""
    shown = audits[-SHOWN:]
    top = nice(max(one.orphan + one.unexplained for one in shown))
    return _svg("Leaks per audit", [*_grid(top, str), *_bars(shown, top), *_dates(shown)])


def line(audits: Sequence[Past]) -> str:
    """How much room the leaks took."""
    shown = audits[-SHOWN:]
    top = nice(max(one.bytes for one in shown))
    return _svg("Size of leaks", [*_grid(top, size), *_line(shown, top), *_dates(shown)])


def nice(value: int) -> int:
    """The end of an axis: an even number with one digit that counts, and not below what is shown on it."""
    power = int("1" + "0" * (len(str(value)) - 1))
    steps = (step * power for step in range(1, 11))
    return next(step for step in steps if step >= value and step % 2 == 0)


def _bars(shown: Sequence[Past], top: int) -> Iterator[str]:
    pitch = (WIDTH - LEFT - RIGHT) / len(shown)
    width = max(min(pitch * 0.7, 26), 2)
    for number, one in enumerate(shown):
        x, below = LEFT + pitch * (number + 0.5) - width / 2, 0
        told = f"{local_time(one.at)}: {one.orphan} orphans, {one.unexplained} unexplained"
        yield f"<g><title>{escape(told)}</title>"
        for name, colour, count in (("orphan", "#c8322b", one.orphan), ("unexplained", "#c77700", one.unexplained)):
            y, height = _y(below + count, top), _y(below, top) - _y(below + count, top)
            if count:
                yield (
                    f'<rect class="{name}" fill="{colour}" x="{x:.1f}" y="{y:.1f}" '
                    f'width="{width:.1f}" height="{height:.1f}"/>'
                )
            below += count
        yield "</g>"


def _line(shown: Sequence[Past], top: int) -> Iterator[str]:
    pitch = (WIDTH - LEFT - RIGHT) / len(shown)
    points = [(LEFT + pitch * (number + 0.5), _y(one.bytes, top)) for number, one in enumerate(shown)]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    first, last, ground = points[0][0], points[-1][0], _y(0, top)
    yield (
        f'<polygon class="area" fill="#3b6fb6" fill-opacity="0.14" '
        f'points="{first:.1f},{ground:.1f} {path} {last:.1f},{ground:.1f}"/>'
    )
    yield f'<polyline class="path" fill="none" stroke="#3b6fb6" stroke-width="2" points="{path}"/>'
    for one, (x, y) in zip(shown, points, strict=True):
        told = f"{local_time(one.at)}: {size(one.bytes)}"
        dot = f'<circle class="dot" fill="#3b6fb6" cx="{x:.1f}" cy="{y:.1f}" r="3">'
        yield f"{dot}<title>{escape(told)}</title></circle>"


def _grid(top: int, written: Callable[[int], str]) -> Iterator[str]:
    for value in (0, top // 2, top):
        y = _y(value, top)
        yield f'<line class="grid" stroke="#dfe3e8" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text fill="#5b6472" x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{escape(written(value))}</text>'


def _dates(shown: Sequence[Past]) -> Iterator[str]:
    for one, x, anchor in ((shown[0], LEFT, "start"), (shown[-1], WIDTH - RIGHT, "end")):
        yield (
            f'<text fill="#5b6472" x="{x}" y="{HEIGHT - 6}" text-anchor="{anchor}">'
            f"{escape(local_time(one.at).partition(' ')[0])}</text>"
        )


def _y(value: float, top: int) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / top


def _svg(title: str, parts: Sequence[str]) -> str:
    frame = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
    return f'{frame} aria-label="{escape(title)}">{"".join(parts)}</svg>'
