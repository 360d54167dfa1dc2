"""What is plotted on the overview: looked up and added up in one process, and then the question that `draw` answers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING

from gateway.admin.census import Json
from gateway.admin.history import EVERY, KEPT
from gateway.telemetry.histogram import HOLD, NEWS, Histogram, merged

if TYPE_CHECKING:
    from gateway.admin.history import History
    from gateway.telemetry.tallies import Tallies


SLICE = 200  # histograms added up in one turn of the loop: about a millisecond


async def gather(history: History, tallies: Tallies) -> Json:
    """The numbers: endings over the last minutes by group, how long polls were held, and how long news took to be
    passed on."""
    held = await _sum(HOLD, [part for tally in tallies.routes.values() for part in tally.holds.values()])
    news = await _sum(NEWS, [tally.news for tally in tallies.routes.values()])
    return {"series": history.series(), "held": held.buckets, "news": news.buckets}


def shaped(found: Json) -> Json:
    """The plots."""
    return {
        "figures": [
            {
                "kind": "lines", "title": "Endings a second, last 10 minutes", "unit": "count",
                "labels": [ago((KEPT - step) * EVERY) for step in range(KEPT)], "series": found["series"],
            },
            _distribution("How long polls were held", HOLD, found["held"]),
            _distribution("From the upstream's news to ours", NEWS, found["news"]),
        ]
    }  # fmt: skip


async def _sum(bounds: tuple[float, ...], parts: Iterable[Histogram]) -> Histogram:
    whole, left = Histogram(bounds), iter(parts)
    while some := list(islice(left, SLICE)):
        whole = merged(bounds, [whole, *some])
        await asyncio.sleep(0)
    return whole


def _distribution(title: str, bounds: tuple[float, ...], buckets: list[int]) -> Json:
    labels = [*(bound(each) for each in bounds), f"> {bound(bounds[-1])}"]
    series = [("polls since the start", buckets)] if any(buckets) else []
    return {"kind": "bars", "title": title, "labels": labels, "series": series, "unit": "count"}


def ago(seconds: float) -> str:
    """Such as "-2 min"."""
    return f"-{seconds / 60:g} min" if seconds % 60 == 0 else f"-{seconds:g} s"


def bound(seconds: float) -> str:
    """The upper end of a bucket."""
    if seconds >= 1:
        return f"{seconds:g} s"
    return f"{seconds * 1e3:g} ms" if seconds >= 0.001 else f"{seconds * 1e6:g} us"
