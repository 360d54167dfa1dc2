"""Plots that may stand in a page: nothing foreign in them, every text escaped, colours by variables."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser

import pytest

from gateway.past import charts
from gateway.past.amounts import count, latency

HOURS = [f"{hour:02}:00" for hour in range(24)]
PLOTS: list[Callable[..., str]] = [charts.lines, charts.bars]


class Parsed(HTMLParser):
    """Tags with their attributes, and whether they close as they should."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "br", "link", "img"):
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.mark.parametrize("plot", PLOTS)
def test_a_plot_is_bare_svg(plot: Callable[..., str]) -> None:
    found = Parsed(plot("Calls", HOURS, [("news", [float(hour) for hour in range(24)]), ("none", [1.0] * 24)], count))
    tags = {tag for tag, _ in found.tags}
    assert "svg" in tags
    assert not tags & {"script", "style", "a", "image", "use", "foreignobject", "defs", "link"}
    attributes = {name for _, attrs in found.tags for name in attrs}
    assert not attributes & {"id", "style", "href", "xlink:href", "onclick", "onload"}


@pytest.mark.parametrize("plot", PLOTS)
def test_names_and_titles_are_escaped(plot: Callable[..., str]) -> None:
    evil = '"><script>alert(1)</script><svg onload=alert(1)>'
    text = plot(evil, ["<b>", "&amp;"], [(evil, [1.0, 2.0]), ("b", [1.0, 2.0])], count)
    found = Parsed(text)
    assert "<script" not in text
    assert {tag for tag, _ in found.tags} <= {
        "figure",
        "figcaption",
        "ul",
        "li",
        "i",
        "svg",
        "g",
        "rect",
        "path",
        "text",
    }
    assert evil in found.texts
    assert ("&amp;" in found.texts, "<b>" in found.texts) == (True, True)


def test_a_gap_is_a_gap_and_nothing_is_nothing() -> None:
    broken = charts.lines("x", list("abcd"), [("one", [1.0, None, 2.0, 3.0])], latency)
    assert broken.count('class="line reactive nofill"') == 1  # only what has a neighbour is a line
    for nothing in ([None] * 4, []):
        assert "nothing here" in charts.lines("x", list("abcd")[: len(nothing)], [("one", nothing)], latency)


def test_one_instant_is_a_dot() -> None:
    assert "<circle" in charts.lines("x", ["a"], [("one", [1.0])], count)


def test_labels_are_as_many_as_a_phone_has_room_for() -> None:
    for many in (1, 8, 24, 48, 100, 1000):
        labels = [f"l{number}" for number in range(many)]
        shown = re.findall(">l[0-9]+<", charts.lines("x", labels, [("one", [1.0] * many)], count))
        assert 1 <= len(shown) <= charts.MOST_LABELS


def test_the_scale_begins_at_zero() -> None:
    assert ">0<" in charts.lines("x", list("ab"), [("one", [100.0, 101.0])], count)


def test_the_style_has_colours_for_light_dark_and_paper() -> None:
    css = charts.css()
    assert "prefers-color-scheme: dark" in css
    assert "@media print" in css
    assert "url(" not in css and "@import" not in css
    named = set(re.findall(r"var\((--[a-z0-9]+)\)", css))
    for theme in re.findall(r":root \{([^}]*)\}", css):
        assert named <= set(re.findall(r"(--[a-z0-9]+):", theme))


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.0, "0 us"), (0.0002, "200 us"), (0.0125, "12.5 ms"), (0.9, "900.0 ms"), (1.5, "1.50 s")]
)
def test_latencies_are_said_in_their_own_unit(seconds: float, said: str) -> None:
    assert latency(seconds) == said


def test_a_value_alone_between_gaps_is_a_dot() -> None:
    assert "<circle" in charts.lines("Share", ["a", "b", "c"], [("now", [None, 0.4, None])], str)
    assert "<circle" not in charts.lines("Share", ["a", "b", "c"], [("now", [None, 0.4, 0.5])], str)
