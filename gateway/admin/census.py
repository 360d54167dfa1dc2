"""What an overview is made of, counted in this process: plain values that can be added to those of other processes. The
thousands that are held are looked through a few in a turn of the loop; the rest is counters.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from heapq import nlargest
from typing import TYPE_CHECKING, Any

from gateway.admin.live import slices, standing
from gateway.call import State
from gateway.telemetry.tallies import FAILED

if TYPE_CHECKING:
    from gateway.admin.history import Rate
    from gateway.call import Call
    from gateway.limits import Limits
    from gateway.plan import Snapshot
    from gateway.state.condition import Condition
    from gateway.state.store import Store
    from gateway.telemetry.consumers import Counted
    from gateway.telemetry.histogram import Histogram
    from gateway.telemetry.tallies import RouteTally, Tallies

MOST_ROUTES = 200  # the busiest: more than are shown, for with several processes others may be
MOST_CONSUMERS = 500
MOST_UPSTREAMS = 50  # and of each so many endpoints
SLICE = 20  # routes added up in one turn of the loop: about a millisecond

Json = dict[str, Any]


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
    state: Condition | None = None  # of a store that others share


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

    def held(self, route: str) -> tuple[int, int]:
        """Parked, and waiting."""
        return self.parked(route), self.routes[route, State.WAITING]


async def gather(seen: Sources, rates: Iterable[Rate]) -> Json:
    """All that is shown, before it is put into shape. `held` and `tallies` are by route, in the order of the
    configuration; those of calls without one come last."""
    census = await Census().take(seen.calls())
    names = _busiest(seen, census)
    ready, detail = seen.ready
    return {
        "now": round(time.time(), 3),
        "ready": ready,
        "detail": detail,
        "draining": seen.draining,
        "held": {name: census.held(name) for name in names},
        "more_held": _rest(census, names),
        "plans": len(seen.snapshot.plans),
        "tallies": await _tallied(seen.tallies, names),
        "endpoints": list(_endpoints(seen)),
        "connections": {"open": seen.connections[0], "limit": seen.connections[1], "shed": dict(seen.shed)},
        "rates": [list(one) for one in rates],
        "consumers": _consumers(seen.tallies, census),
        "state": _state(seen.state) if seen.state is not None else None,
        "reload": seen.reload,
        "lag": {"recent": seen.tallies.lag.recent, "most": seen.tallies.lag.most, "gc": seen.tallies.lag.gc_pause},
        "dropped": seen.dropped,
    }


def _busiest(seen: Sources, census: Census) -> list[str]:
    names = dict.fromkeys([plan.route for plan in seen.snapshot.plans])
    names |= dict.fromkeys([route for route, _ in census.routes if route])

    def weight(name: str) -> tuple[int, int]:
        tally = seen.tallies.routes.get(name)
        ended = sum(tally.outcomes.values()) + sum(tally.calls.values()) if tally is not None else 0
        return sum(census.held(name)), ended

    most = set(nlargest(MOST_ROUTES, names, key=weight))
    unmatched = seen.tallies.routes.get("")
    return [name for name in names if name in most] + ([""] if unmatched and unmatched.calls else [])


def _state(state: Condition) -> Json:
    """As it stands now. (`asdict` makes something else of a Counter.)"""
    told = {each.name: getattr(state, each.name) for each in fields(state)}
    return {**told, "decisions": dict(state.decisions), "errors": dict(state.errors)}


def _rest(census: Census, names: list[str]) -> tuple[int, int]:
    """Those that are held on other routes, or on none yet: parked, and waiting."""
    listed = set(names)
    others = [census.held(name) for name in {route for route, _ in census.routes} - listed]
    return sum(parked for parked, _ in others), sum(waiting for _, waiting in others)


async def _tallied(tallies: Tallies, names: list[str]) -> Json:
    found: Json = {}
    for first in range(0, len(names), SLICE):
        some = names[first : first + SLICE]
        found |= {name: _tally(tallies.routes[name]) for name in some if name in tallies.routes}
        await asyncio.sleep(0)
    return found


def _tally(tally: RouteTally) -> Json:
    """Endings since the start, of polls and of ordinary calls."""
    return {
        "polls": {str(outcome): number for outcome, number in tally.outcomes.items()},
        "calls": {str(outcome): number for outcome, number in tally.calls.items()},
        "clamped": sum(tally.clamped.values()),
        "evictions": tally.evictions,
        "hold": _distribution(tally.hold),
        "news": _distribution(tally.news),
    }


def _distribution(histogram: Histogram) -> Json:
    return {"buckets": histogram.buckets[:], "sum": histogram.sum}


def _endpoints(seen: Sources) -> Iterator[Json]:
    for upstream in list(seen.snapshot.upstreams.values())[:MOST_UPSTREAMS]:
        for endpoint in upstream.endpoints[:MOST_UPSTREAMS]:
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


def _consumers(tallies: Tallies, census: Census) -> Json:
    """Of who holds most now, and who called most: how many are held, and as far as they are counted how many calls
    ended and how long they were held in all."""
    names = [name for name, _ in census.consumers.most_common(MOST_CONSUMERS)]
    names += [name for name, _ in tallies.consumers.busiest(MOST_CONSUMERS) if name not in census.consumers]
    return {name: [census.consumers[name], *_counted(tallies.consumers.of(name))] for name in names}


def _counted(counted: Counted | None) -> tuple[float, float]:
    return (float(counted.calls), counted.held) if counted is not None else (0.0, 0.0)
