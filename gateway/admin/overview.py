"""What the gateway does now, as one JSON object for who watches (`stream`): what is held by whom, what came of calls,
and whether all is well. Puts into shape what `census` has counted, in one process or in several. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from heapq import nlargest
from typing import TYPE_CHECKING

from gateway.admin.census import Json, gather
from gateway.admin.census import Sources as Sources
from gateway.outcome import Outcome
from gateway.telemetry.histogram import HOLD, NEWS, Histogram

if TYPE_CHECKING:
    from gateway.admin.history import Rate

MOST_ROUTES = 50  # the busiest; the others are in /metrics
MOST_CONSUMERS = 20
NO_NEWS = (Outcome.EMPTY, Outcome.BLANK, Outcome.OVERRUN)


async def overview(seen: Sources, rates: Iterable[Rate]) -> Json:
    """All but what is looked for less often (limits, plots, advice)."""
    return shaped(await gather(seen, rates))


def shaped(found: Json) -> Json:
    """What was gathered, as it is shown."""
    names = _busiest(found)
    tallies = [(name, found["tallies"][name]) for name in names if name in found["tallies"]]
    return {
        **{key: found[key] for key in ("now", "ready", "detail", "draining")},
        "held": _held(found, names),
        "connections": found["connections"],
        "rates": [dict(zip(("route", "outcome", "poll", "per_second"), rate, strict=True)) for rate in found["rates"]],
        "totals": {name: {key: tally[key] for key in _TOTALS} for name, tally in tallies},
        "hold": _each(tallies, "hold", HOLD),
        "news": _each(tallies, "news", NEWS),
        "empty_share": {name: _empty_share(tally) for name, tally in tallies},
        "consumers": list(_consumers(found["consumers"])),
        **{key: found[key] for key in ("state", "reload", "lag", "dropped")},
    }


_TOTALS = ("polls", "calls", "clamped", "evictions")


def _busiest(found: Json) -> list[str]:
    """The routes that are shown, in the order of the configuration; calls without a route last, if there were any."""

    def weight(name: str) -> tuple[int, int]:
        tally = found["tallies"].get(name, {"polls": {}, "calls": {}})
        return sum(found["held"][name]), sum(tally["polls"].values()) + sum(tally["calls"].values())

    most = set(nlargest(MOST_ROUTES, filter(None, found["held"]), key=weight))
    return [name for name in found["held"] if name in most or not name]


def _held(found: Json, shown: list[str]) -> Json:
    held, rest = found["held"], found["more_held"]
    waiting = sum(one[1] for one in held.values()) + rest[1]
    return {
        "total": sum(one[0] for one in held.values()) + rest[0] + waiting,
        "waiting": waiting,
        "routes": [{"route": name, "parked": held[name][0], "waiting": held[name][1]} for name in shown],
        "more_routes": max(found["plans"] - len(list(filter(None, shown))), 0),
        "endpoints": found["endpoints"],
    }


def _each(tallies: list[tuple[str, Json]], key: str, bounds: tuple[float, ...]) -> Json:
    """A distribution of each route that has one."""
    found = ((name, read(tally[key], bounds)) for name, tally in tallies)
    return {name: _distribution(histogram) for name, histogram in found if histogram.count}


def read(told: Json, bounds: tuple[float, ...]) -> Histogram:
    """A distribution that was gathered."""
    histogram = Histogram(bounds)
    histogram.buckets, histogram.sum = told["buckets"], told["sum"]
    return histogram


def _distribution(histogram: Histogram) -> Json:
    quantiles = {f"p{round(share * 100)}": histogram.quantile(share) for share in (0.5, 0.95, 0.99)}
    return {"count": histogram.count, "sum": round(histogram.sum, 6), **quantiles}


def _empty_share(tally: Json) -> float | None:
    """Of the polls that were answered, how many with "no news"."""
    empty = sum(tally["polls"].get(outcome, 0) for outcome in NO_NEWS)
    told = empty + tally["polls"].get(Outcome.NEWS, 0)
    return round(empty / told, 4) if told else None


def _consumers(found: Json) -> Iterator[Json]:
    """Who holds most now, and then who called most."""

    def weight(name: str) -> tuple[int, float]:
        held, calls, _ = found[name]
        return held, 0 if held else calls

    for name in nlargest(MOST_CONSUMERS, found, key=weight):
        held, calls, seconds = found[name]
        yield {"consumer": name, "held": held, "calls": int(calls), "held_seconds": round(seconds, 3)}
