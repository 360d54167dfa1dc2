"""Plots as SVG to stand inside a page: no script, no network, no style of their own. Their colours come from `css()`,
which the page carries once, light or dark as the reader's system is. Also for the dashboard; knows no database.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from html import escape
from importlib import import_module
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

from markupsafe import Markup

from gateway.telemetry.record import clean

Series = tuple[str, Sequence[float | None]]  # its name, a value for each label
Unit = Callable[[float], str]  # how a value is said

WIDTH, HEIGHT = 720, 260
MOST_LABELS = 8  # on the axis below: more do not fit on a phone

_FONT = 20  # pixels that room is made for; on a wide screen labels are smaller
_STEPS = (1, 2, 3, 4, 6, 8, 12, 24)


def css() -> str:
    """The style of plots, and the colours of a page that goes with them."""
    return Path(__file__).with_name("charts.css").read_text("utf-8")


def lines(title: str, labels: Sequence[str], series: Sequence[Series], unit: Unit) -> Markup:
    """Lines over time; where a value is None there is a gap."""
    return _figure("Line", title, labels, series, unit)


def bars(title: str, labels: Sequence[str], series: Sequence[Series], unit: Unit) -> Markup:
    """Bars over time, those of one label on top of each other."""
    return _figure("StackedBar", title, labels, series, unit)


def _figure(kind: str, title: str, labels: Sequence[str], series: Sequence[Series], unit: Unit) -> Markup:
    pygal = _pygal()
    step = next((each for each in _STEPS if len(labels) <= each * MOST_LABELS), len(labels) // MOST_LABELS + 1)
    chart = getattr(pygal, kind)(
        width=WIDTH, height=HEIGHT, margin=8, spacing=8, js=(), css=(), classes=(), disable_xml_declaration=True,
        show_legend=False, show_dots=any(_lonely(values) for _, values in series),
        show_minor_x_labels=False, x_labels_major_every=step,
        truncate_label=-1, value_formatter=unit, min_scale=3, max_scale=6,
        range=_range(kind, series), style=pygal.style.Style(label_font_size=_FONT, major_label_font_size=_FONT),
    )  # fmt: skip
    chart.x_labels = list(map(clean, labels))
    for name, values in series:
        chart.add(clean(name), list(values), allow_interruptions=True)
    chart.add_xml_filter(_bare)
    if not any(value is not None for _, values in series for value in values):
        return Markup(f'<figure class="chart"><figcaption>{escape(title)}</figcaption><p>nothing here</p></figure>')
    svg = chart.render(is_unicode=True).replace("<svg ", f'<svg role="img" aria-label="{escape(title)}" ', 1)
    keys = "".join(f'<li><i class="color-{n}"></i>{escape(name)}</li>' for n, (name, _) in enumerate(series))
    shown = f'<ul class="keys">{keys}</ul>' if len(series) > 1 else ""
    return Markup(f'<figure class="chart"><figcaption>{escape(title)}</figcaption>{shown}{svg}</figure>')


def _pygal() -> Any:
    """The library, without what it leaves in the way of every later import: a finder for maps, of an old make."""
    import_module("pygal.style")
    sys.meta_path[:] = [each for each in sys.meta_path if type(each).__name__ != "PluginImportFixer"]
    return import_module("pygal")


def _lonely(values: Sequence[float | None]) -> bool:
    """Whether some value has no neighbour that a line could lead to."""
    known = [False, *(value is not None for value in values), False]
    return any(here and not (before or after) for before, here, after in zip(known, known[1:], known[2:], strict=False))


def _range(kind: str, series: Sequence[Series]) -> tuple[float, float] | None:
    """From zero on: a line that is cut off below tells a drama that is none."""
    values = [value for _, each in series for value in each if value is not None]
    if not values or kind == "StackedBar":
        return None
    return 0, max(values) or 1


def _bare(root: Element) -> Element:
    """Without what a page must not have twice, or at all: ids, styles, scripts, tooltips that wait for a script."""
    for parent in list(root.iter()):
        for child in list(parent):
            kind = child.get("class", "") if isinstance(child.tag, str) else "comment"
            if child.tag in ("defs", "title", "desc") or kind == "comment" or kind.endswith("-overlay"):
                parent.remove(child)
    for element in root.iter():
        element.attrib.pop("id", None)
        element.attrib.pop("style", None)
    return root
