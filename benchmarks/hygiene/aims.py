"""What was found beside what was wanted, as bars that should end before a line: one SVG file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from figures import Aim
from plot import BAR, ROW, STYLE, TOP

WIDTH, LEFT, RIGHT = 920, 400, 190


def picture(title: str, subtitle: str, aims: Sequence[Aim]) -> str:
    """A bar for each aim, the line where it is just reached, and the figures."""
    height = TOP + ROW * len(aims) + 20
    most = max(1.25, *(aim.found / aim.wanted for aim in aims))
    scale = (WIDTH - LEFT - RIGHT) / most
    line = LEFT + scale
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">',
        f"<title>{escape(title)}</title>",
        f"<style>{STYLE}.wanted{{stroke:#cf222e;stroke-dasharray:4 3}}</style>",
        f'<rect class="page" width="{WIDTH}" height="{height}" rx="6"/>',
        f'<text class="text title" x="16" y="26">{escape(title)}</text>',
        f'<text class="mute" x="16" y="46">{escape(subtitle)}</text>',
        *(part for number, aim in enumerate(aims) for part in bar(aim, TOP + ROW * number, scale)),
        f'<line class="wanted" x1="{line:.1f}" y1="{TOP - 4}" x2="{line:.1f}" y2="{height - 12}"/>',
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def bar(aim: Aim, top: int, scale: float) -> Iterator[str]:
    """The name, the bar, and what it says in figures."""
    middle, width = top + ROW / 2, max(0.0, aim.found / aim.wanted * scale)
    kind = "floor" if aim.reached else "other"
    text = f"{aim.shown} {aim.unit} of {aim.wanted:.3g} {aim.unit}"
    yield f'<text class="text" x="{LEFT - 10}" y="{middle + 4:.1f}" text-anchor="end">{escape(aim.measure)}</text>'
    yield f'<rect class="{kind}" x="{LEFT}" y="{middle - BAR / 2:.1f}" width="{width:.1f}" height="{BAR}" rx="2"/>'
    yield f'<text class="text" x="{LEFT + max(width, scale) + 8:.1f}" y="{middle + 4:.1f}">{text}</text>'
