"""What the growth bench must not get wrong: what is compared with what, when that is flat, and what is written."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from .axes import AXES
from .report import table, write
from .turns import Curve, curves


def test_a_size_is_compared_with_the_first_of_its_own_round() -> None:
    curve = Curve("short request", (1, 10), {1: [50.0, 100.0, 60.0], 10: [51.0, 104.0, 90.0]})
    assert [curve.middle(1), curve.middle(10)] == [60.0, 90.0]
    assert curve.ratio(10) == 1.04  # the machine was slow in the second round, and busy in the last
    assert curve.flat()


@pytest.mark.parametrize(("figure", "flat"), [(89.0, False), (91.0, True), (109.0, True), (111.0, False)])
def test_flat_is_a_tenth_more_or_less(figure: float, flat: bool) -> None:
    assert Curve("", (1, 10), {1: [100.0], 10: [figure]}).flat() is flat


def test_the_page_shows_each_figure_and_a_plot_that_needs_nothing_else(tmp_path: Path) -> None:
    curve = Curve("short request", (1, 5000), {1: [50.0], 5000: [60.0]})
    assert "NOT FLAT" in "\n".join(table("routes", [curve]))
    write(tmp_path, {"routes": [curve]}, 1, 1, "A machine.")
    page = (tmp_path / "growth.md").read_text()
    assert "| short request | 50.0 (1.00x) | 60.0 (1.20x) | NOT FLAT |" in page
    assert "(img/growth-routes.svg)" in page
    svg = (tmp_path / "img" / "growth-routes.svg").read_text()
    assert "5,000" in svg and "<script" not in svg
    ElementTree.fromstring(svg)


@pytest.mark.parametrize("name", AXES)
async def test_every_axis_grows_in_a_real_gateway(name: str) -> None:
    found = await curves(AXES[name], (1, 3), sittings=2, rounds=1, seconds=0.1, say=lambda _: None)
    assert len(found) >= 2
    assert all(len(curve.rounds[level]) == 2 and curve.middle(level) > 0 for curve in found for level in (1, 3))
