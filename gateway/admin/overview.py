"""What the gateway does now, as one JSON object for who watches (`stream`): what is held by whom, what came of calls,
and whether all is well. Thousands of held calls are looked through a few in a turn of the loop; the rest is counters.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from heapq import nlargest
from typing import TYPE_CHECKING

from gateway.admin.live import slices, standing
from gateway.call import State
from gateway.outcome import Outcome
from gateway.telemetry.tallies import FAILED

if TYPE_CHECKING:
    from gateway.admin.history import Rate
    from gateway.call import Call
    from gateway.limits import Limits
    from gateway.plan import Snapshot
    from gateway.state.store import Store
    from gateway.telemetry.histogram import Histogram
    from gateway.telemetry.tallies import RouteTally, Tallies

MOST_ROUTES = 50  # the busiest; the others are in /metrics
MOST_CONSUMERS = 20
NO_NEWS = (Outcome.EMPTY, Outcome.BLANK, Outcome.OVERRUN)

Json = dict[str, object]


@dataclass(frozen=True, slots=True)
class Sources:
    """What an overview is read from: the running gateway's own objects, and a few numbers of this moment."""

    calls: Callable[[], Iterator[Call | None]]
    now: Callable[[], float]  # loop seconds
    snapshot: Snapshot
    tallies: Tallies
    store: Store
    limits: Limits
    ready: tuple[bool, str]
    draining: bool
    connections: tuple[int, int]  # open, and how many there may be
    shed: Mapping[str, int]
    reload: Json
    dropped: Json  # lines and spans that were lost


class Census:
    """The calls that are held, counted by what they have in common."""

    def __init__(self) -> None:
        self.routes: Counter[tuple[str, State]] = Counter()
        self.consumers: Counter[str] = Counter()

    async def take(self, calls: Iterable[Call | None]) -> Census:
        """Looks at each, a few in a turn of the loop."""
        for some in slices(calls):
            self.routes.update([(call.plan.route if call.plan is not None else "", call.state) for call in some])
            self.consumers.update([call.identity.consumer for call in some if call.identity is not None])
            await asyncio.sleep(0)
        return self

    def parked(self, route: str) -> int:
        """Those at an endpoint, also where the answer has begun and is held on, and tunnels."""
        return sum(self.routes[route, state] for state in (State.PARKED, State.RELAYING, State.TUNNELLING))


async def overview(seen: Sources, rates: Iterable[Rate]) -> Json:
    """All but what is looked for less often (limits, plots, advice)."""
    census = await Census().take(seen.calls())
    ready, detail = seen.ready
    shown = _busiest(seen, census)
    return {
        "now": round(time.time(), 3),
        "ready": ready,
        "detail": detail,
        "draining": seen.draining,
        "held": _held(seen, census, shown),
        "connections": {"open": seen.connections[0], "limit": seen.connections[1], "shed": dict(seen.shed)},
        "rates": [one._asdict() for one in rates],
        "totals": {name: _totals(seen.tallies.routes[name]) for name in shown if name in seen.tallies.routes},
        "hold": _each(shown, seen.tallies, lambda tally: tally.hold),
        "news": _each(shown, seen.tallies, lambda tally: tally.news),
        "empty_share": {name: _empty_share(tally) for name, tally in _tallied(shown, seen.tallies)},
        "consumers": _consumers(seen.tallies, census),
        "reload": seen.reload,
        "lag": {"recent": seen.tallies.lag.recent, "most": seen.tallies.lag.most, "gc": seen.tallies.lag.gc_pause},
        "dropped": seen.dropped,
    }


def _busiest(seen: Sources, census: Census) -> list[str]:
    """The routes that are shown, in the order of the configuration; calls without a route last, if there were any."""
    names = dict.fromkeys([plan.route for plan in seen.snapshot.plans])
    names |= dict.fromkeys([route for route, _ in census.routes if route])

    def weight(name: str) -> tuple[int, int]:
        tally = seen.tallies.routes.get(name)
        ended = sum(tally.outcomes.values()) + sum(tally.calls.values()) if tally is not None else 0
        return census.parked(name) + census.routes[name, State.WAITING], ended

    most = set(nlargest(MOST_ROUTES, names, key=weight))
    unmatched = seen.tallies.routes.get("")
    return [name for name in names if name in most] + ([""] if unmatched and unmatched.calls else [])


def _held(seen: Sources, census: Census, shown: list[str]) -> Json:
    waiting = sum(number for (_, state), number in census.routes.items() if state is State.WAITING)
    routes = [
        {"route": name, "parked": census.parked(name), "waiting": census.routes[name, State.WAITING]} for name in shown
    ]
    return {
        "total": census.routes.total(),
        "waiting": waiting,
        "routes": routes,
        "more_routes": max(len(seen.snapshot.plans) - len([name for name in shown if name]), 0),
        "endpoints": list(_endpoints(seen)),
    }


def _endpoints(seen: Sources) -> Iterator[Json]:
    for upstream in list(seen.snapshot.upstreams.values())[:MOST_ROUTES]:
        for endpoint in upstream.endpoints[:MOST_ROUTES]:
            ended = seen.tallies.endpoints.get((upstream.name, endpoint.name), {})
            yield {
                "upstream": upstream.name,
                "endpoint": endpoint.name,
                "held": endpoint.held,
                "max_held": upstream.max_held,
                "calls": sum(ended.values()),
                "failed": sum(number for outcome, number in ended.items() if outcome in FAILED),
                "overruns": endpoint.overruns,
                **standing(endpoint, seen.now()),
            }


def _tallied(shown: list[str], tallies: Tallies) -> Iterator[tuple[str, RouteTally]]:
    return ((name, tallies.routes[name]) for name in shown if name in tallies.routes)


def _totals(tally: RouteTally) -> Json:
    """Endings since the start, of polls and of ordinary calls."""
    return {
        "polls": {str(outcome): number for outcome, number in tally.outcomes.items()},
        "calls": {str(outcome): number for outcome, number in tally.calls.items()},
        "clamped": sum(tally.clamped.values()),
        "evictions": tally.evictions,
    }


def _each(shown: list[str], tallies: Tallies, of: Callable[[RouteTally], Histogram]) -> Json:
    """A distribution of each route that has one."""
    found = ((name, of(tally)) for name, tally in _tallied(shown, tallies))
    return {name: _distribution(histogram) for name, histogram in found if histogram.count}


def _distribution(histogram: Histogram) -> Json:
    quantiles = {f"p{round(share * 100)}": histogram.quantile(share) for share in (0.5, 0.95, 0.99)}
    return {"count": histogram.count, "sum": round(histogram.sum, 6), **quantiles}


def _empty_share(tally: RouteTally) -> float | None:
    """Of the polls that were answered, how many with "no news"."""
    empty = sum(tally.outcomes.get(outcome, 0) for outcome in NO_NEWS)
    told = empty + tally.outcomes.get(Outcome.NEWS, 0)
    return round(empty / told, 4) if told else None


def _consumers(tallies: Tallies, census: Census) -> list[Json]:
    """Who holds most now, and then who called most."""
    names = [name for name, _ in census.consumers.most_common(MOST_CONSUMERS)]
    names += [name for name, _ in tallies.consumers.busiest(MOST_CONSUMERS) if name not in census.consumers]
    found = [(name, tallies.consumers.get(name, (0, 0.0))) for name in names[:MOST_CONSUMERS]]
    return [
        {"consumer": name, "held": census.consumers[name], "calls": int(calls), "held_seconds": round(seconds, 3)}
        for name, (calls, seconds) in found
    ]
