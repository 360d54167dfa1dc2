"""Which limits are nearly used up, and by whom. Everybody whom the store remembers may be the one, so that no more than
so many are looked at, the newest first, a few in a turn of the loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from heapq import nlargest
from typing import TYPE_CHECKING, NamedTuple

from gateway.admin.counts import kind_of, known
from gateway.policies.caps import Cap
from gateway.state.store import Tokens
from gateway.telemetry.record import clean

if TYPE_CHECKING:
    from gateway.admin.overview import Sources
    from gateway.policies.rate_limit import RateLimit

MOST = 20  # that are shown
NEAR = 0.5  # of what there is: below it nobody is near
LOOKED_AT = 20_000  # keys in all
SLICE = 250  # keys in one turn of the loop: about half a millisecond


class Edge(NamedTuple):
    """How much of a limit somebody has used. `waiting`: calls in line for it."""

    limit: str
    kind: str
    key: str
    used: float
    max: int
    share: float
    waiting: int


async def edges(seen: Sources) -> list[Edge]:
    """Those that are nearest, the fullest first."""
    return nearest(await gather(seen))


def nearest(found: Iterable[Edge]) -> list[Edge]:
    """Of those, who is near at all."""
    return [edge for edge in sorted(found, key=_share, reverse=True)[:MOST] if edge.share >= NEAR]


async def gather(seen: Sources) -> list[Edge]:
    """The fullest, and what is bounded without a policy."""
    rules = known(seen.snapshot)
    found: list[Edge] = []
    for limit, rule in rules.items():
        keys = seen.store.newest(limit, LOOKED_AT // len(rules))
        for first in range(0, len(keys), SLICE):
            found += [_edge(seen, rule, key) for key in keys[first : first + SLICE]]
            found = nlargest(MOST, found, key=_share)
            await asyncio.sleep(0)
    return [*_of_upstreams(seen), *found]


def _share(edge: Edge) -> float:
    return edge.share


def _edge(seen: Sources, rule: RateLimit | Cap, key: str) -> Edge:
    if isinstance(rule, Cap):
        used: float = seen.store.held(rule.limit, key)
        most = rule.max
    else:
        left, _ = seen.store.level(Tokens(rule.limit, key, rule.rate), seen.now())
        used, most = max(rule.rate.burst - left, 0), rule.rate.burst
    waiting = seen.limits.in_line(rule.limit, key)
    return Edge(rule.limit, kind_of(rule), clean(key), used, most, round(used / most, 3) if most else 1.0, waiting)


def _of_upstreams(seen: Sources) -> Iterator[Edge]:
    """What is bounded without a policy: connections, and calls at an upstream."""
    taken, most = seen.connections
    yield Edge("server.max_connections", "connections", "", taken, most, round(taken / most, 3) if most else 1.0, 0)
    for upstream in seen.snapshot.upstreams.values():
        if upstream.max_held:
            share = round(upstream.held / upstream.max_held, 3)
            yield Edge(f"upstream.{upstream.name}.max_held", "held", "", upstream.held, upstream.max_held, share, 0)
