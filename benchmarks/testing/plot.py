"""The seconds of every contender as bars with whiskers, as one SVG file that reads well on a light and a dark page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

WIDTH, LEFT, RIGHT, TOP, ROW, BAR = 920, 310, 130, 62, 34, 18
STYLE = """
.page{fill:#ffffff}.text{fill:#1f2328}.mute{fill:#59636e}.grid{stroke:#d1d9e0}.whisker{stroke:#1f2328}
.other{fill:#9aa7b4}.ours{fill:#0969da}.floor{fill:#1a7f37}
@media (prefers-color-scheme: dark){.page{fill:#0d1117}.text{fill:#f0f6fc}.mute{fill:#9198a1}.grid{stroke:#3d444d}
.whisker{stroke:#f0f6fc}.other{fill:#6b7682}.ours{fill:#4493f8}.floor{fill:#3fb950}}
text{font:13px system-ui,-apple-system,"Segoe UI",sans-serif}.title{font-size:15px;font-weight:600}
"""


def bars(title: str, subtitle: str, rows: Sequence[dict[str, Any]]) -> str:
    """One bar per row: its median, a whisker from the least to the most, and the figure."""
    height = TOP + ROW * len(rows) + 34
    most = max(row["most"] for row in rows)
    step = next(one for one in (0.5, 1, 2, 5, 10, 20, 50, 100) if most / one <= 9)
    scale = (WIDTH - LEFT - RIGHT) / most
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">',
        f"<title>{escape(title)}</title>",
        f"<style>{STYLE}</style>",
        f'<rect class="page" width="{WIDTH}" height="{height}" rx="6"/>',
        f'<text class="text title" x="16" y="26">{escape(title)}</text>',
        f'<text class="mute" x="16" y="46">{escape(subtitle)}</text>',
        *grid(most, step, scale, height),
        *(part for number, row in enumerate(rows) for part in bar(row, TOP + ROW * number, scale)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def grid(most: float, step: float, scale: float, height: int) -> Iterator[str]:
    """A line and a number for every step of the scale."""
    for number in range(int(most / step) + 1):
        x = LEFT + number * step * scale
        yield f'<line class="grid" x1="{x:.1f}" y1="{TOP - 4}" x2="{x:.1f}" y2="{height - 28}"/>'
        yield f'<text class="mute" x="{x:.1f}" y="{height - 11}" text-anchor="middle">{number * step:g} s</text>'


def bar(row: dict[str, Any], top: int, scale: float) -> Iterator[str]:
    """The name, the bar, the whisker over it and what it says in figures."""
    middle = top + ROW / 2
    least, most = LEFT + row["least"] * scale, LEFT + row["most"] * scale
    yield f'<text class="text" x="{LEFT - 10}" y="{middle + 4:.1f}" text-anchor="end">{escape(row["name"])}</text>'
    y, width = middle - BAR / 2, row["median"] * scale
    yield f'<rect class="{kind(row)}" x="{LEFT}" y="{y:.1f}" width="{width:.1f}" height="{BAR}" rx="2"/>'
    yield f'<line class="whisker" x1="{least:.1f}" y1="{middle}" x2="{most:.1f}" y2="{middle}"/>'
    for x in (least, most):
        yield f'<line class="whisker" x1="{x:.1f}" y1="{middle - 4}" x2="{x:.1f}" y2="{middle + 4}"/>'
    figures = f"{row['median']:.1f} s · {row['of_floor']:.2f} x"
    yield f'<text class="text" x="{most + 8:.1f}" y="{middle + 4:.1f}">{figures}</text>'


def kind(row: dict[str, Any]) -> str:
    """The colour."""
    if row["of_floor"] == 1:
        return "floor"
    return "ours" if row["name"].startswith("envctl") else "other"
