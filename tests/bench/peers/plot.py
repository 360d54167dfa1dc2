"""The figures as a picture: a panel for each of four costs, a bar for each proxy, shorter is better. Plain SVG that is
readable on a light page and on a dark one.
"""

from __future__ import annotations

from html import escape

from .comparing import Comparison
from .known import OURS

PANELS = (
    ("hold_kib", "KiB per held poll", ".1f"),
    ("wake_us", "CPU us per wake", ".0f"),
    ("wake_all", "ms until the last poll is answered", ".0f"),
    ("short_us", "CPU us per short request", ".0f"),
)
PANEL, ROW, NAMES, LONGEST = 440, 22, 80, 290  # pixels: a panel's width, a bar's room, before it, the longest
OWN, OTHERS = "#c2410c", "#64748b"
SVG = """\
<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" \
font-family="sans-serif" font-size="12">
<rect width="100%" height="100%" fill="#ffffff"/>
{panels}
</svg>
"""


def plot(done: Comparison) -> str:
    """The whole picture."""
    names = [name for name in done.peers if name not in OURS[1:]]
    tall = 40 + ROW * len(names)
    panels = [_panel(done, names, at, at % 2 * PANEL, at // 2 * tall) for at in range(len(PANELS))]
    return SVG.format(width=2 * PANEL, height=2 * tall + 10, panels="\n".join(panels))


def _panel(done: Comparison, names: list[str], at: int, x: int, y: int) -> str:
    key, title, form = PANELS[at]
    values = {name: value for name in names if (value := done.figures(name).get(key))}
    most = max(values.values(), default=1.0)
    lines = [f'<text x="{x + 10}" y="{y + 24}" font-weight="bold">{escape(title)}</text>']
    for row, (name, value) in enumerate(values.items()):
        top, long = y + 34 + ROW * row, max(1.0, value / most * LONGEST)
        left, base = x + NAMES, top + 13
        lines += [
            f'<text x="{left - 6}" y="{base}" text-anchor="end">{escape(name)}</text>',
            f'<rect x="{left}" y="{top}" width="{long:.1f}" height="{ROW - 6}" fill="{_colour(name)}"/>',
            f'<text x="{left + long + 5:.1f}" y="{base}">{value:{form}}</text>',
        ]
    return "\n".join(lines)


def _colour(name: str) -> str:
    return OWN if name in OURS else OTHERS
