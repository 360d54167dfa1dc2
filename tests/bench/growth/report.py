"""The figures as a table for the terminal, and as a page with plots for the docs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from .axes import AXES
from .steady import CLIENTS
from .turns import FLAT, SLICE, Curve

Found = dict[str, list[Curve]]  # by axis
PAGE = """\
# What grows, and what a request costs then

<!-- Written by `make growth ARGS=--docs`: change tests/bench/growth, not this file. -->

However many polls are held beside it, routes are configured, consumers are known, endpoints are there: that should not
change what a request costs. `make growth` measures it on your machine: for each size a gateway of its own with all that
the bench knows on (a JWT, two rate limits, a cap, the call log, metrics by consumer, traces of 1 %), all of them at
once, asked in turn in slices of {slice:.0f} ms. {clients:,} clients ask as soon as they were answered; the service
takes 40 ms for a request, and holds a poll for as long. The file of the call log is not compacted meanwhile: that costs
the same for each record, but later.

Consumers are known for longer than a minute here. Those of the last minute still stand among the counts of limits:
right after 200,000 or more had come, a request took 1.17 times as much as beside 10.

The tables tell microseconds of CPU time of the gateway, system calls included: medians of {sittings} sittings, each in
fresh processes, of {rounds} rounds. The ratio is to the first size of the same round; *flat* means that no size differs
from the first by more than {flat:.0%}.

{machine}
"""


def table(name: str, curves: list[Curve]) -> Iterator[str]:
    """A line for each size."""
    levels = curves[0].levels
    width = max(len(curve.what) for curve in curves)
    yield f"\n{AXES[name].title:<{width}}{''.join(f'{level:>16,}' for level in levels)}"
    for curve in curves:
        cells = (f"{curve.middle(level):.1f} us {curve.ratio(level):5.2f}x" for level in levels)
        yield f"{curve.what:<{width}}{''.join(f'{cell:>16}' for cell in cells)}  {verdict(curve)}"


def verdict(curve: Curve) -> str:
    return "flat" if curve.flat() else "NOT FLAT"


def write(docs: Path, found: Found, sittings: int, rounds: int, machine: str) -> None:
    """`growth.md`, and beside it `img/growth-*.svg`."""
    (docs / "img").mkdir(exist_ok=True)
    said = {"flat": FLAT, "slice": SLICE * 1000, "clients": CLIENTS, "machine": machine}
    parts = [PAGE.format(sittings=sittings, rounds=rounds, **said)]
    for name, curves in found.items():
        title = AXES[name].title
        (docs / "img" / f"growth-{name}.svg").write_text(plot(title, curves))
        parts += [
            f"## {title[0].upper()}{title[1:]}\n",
            f"![CPU by {title}](img/growth-{name}.svg)\n",
            *_rows(curves),
            "",
        ]
    (docs / "growth.md").write_text("\n".join(parts).rstrip() + "\n")


def _rows(curves: list[Curve]) -> Iterator[str]:
    levels = curves[0].levels
    yield f"| us of CPU{''.join(f' | {level:,}' for level in levels)} | |"
    yield f"|---{'|---:' * len(levels)}|---|"
    for curve in curves:
        cells = "".join(f" | {curve.middle(level):.1f} ({curve.ratio(level):.2f}x)" for level in levels)
        yield f"| {curve.what}{cells} | {verdict(curve)} |"


def plot(title: str, curves: list[Curve]) -> str:
    """An SVG that stands by itself: no script, nothing from elsewhere. From zero on, as a line that is cut off below
    tells a drama that is none."""
    pygal, style_of = import_module("pygal"), import_module("pygal.style").CleanStyle
    highest = max(curve.middle(level) for curve in curves for level in curve.levels)
    style = style_of(background="white", plot_background="white", font_family="sans-serif", label_font_size=13,
                       major_label_font_size=13, legend_font_size=13, title_font_size=15)  # fmt: skip
    chart = pygal.Line(
        width=720, height=320, js=(), style=style, range=(0, highest * 1.1), legend_at_bottom=True, dots_size=4,
        legend_at_bottom_columns=1, truncate_legend=-1, title=f"us of CPU, by {title}", pretty_print=False,
        value_formatter=lambda value: f"{value:.0f}", show_minor_y_labels=True,
    )  # fmt: skip
    chart.x_labels = [f"{level:,}" for level in curves[0].levels]
    for curve in curves:
        chart.add(curve.what, [curve.middle(level) for level in curve.levels])
    chart.uuid = "growth"  # or every run writes another
    return re.sub(r"<script.*?</script>", "", str(chart.render(is_unicode=True)), flags=re.DOTALL) + "\n"
