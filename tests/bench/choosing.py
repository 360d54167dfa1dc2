"""The measure of choosing an endpoint: what it takes to pick one of a hundred while thousands of polls are held, one of
which has just ended, for every balance. No socket: the upstream's own structures, as a call goes through them.
"""

from __future__ import annotations

import random
import time
from statistics import median

from gateway.call import Call
from gateway.upstream.balance import Upstream
from gateway.upstream.endpoint import Endpoint
from tests.kit.balancing import call, upstream

from .measure import Figures, Scale
from .process import MeasureError
from .proxies import Stage

TURNS, ENDPOINTS = 21, 100  # the median turn counts
BALANCES = {
    "least_held": "least-held",
    "round_robin": "round-robin",
    "random_two": "random-two",
    "hash": "hash:query.sid",
    "sticky": "sticky:query.sid",
}


async def choosing(stage: Stage, scale: Scale) -> list[Figures]:
    """Microseconds of CPU per choice, by balance."""
    return [{f"choose_{name}_us": cost(balance, scale.polls) for name, balance in BALANCES.items()}]


def cost(balance: str, polls: int) -> float:
    made, calls, places = held(balance, polls)
    return median(turn(made, calls, places) for _ in range(TURNS)) * 1e6


def held(balance: str, polls: int) -> tuple[Upstream, list[Call], list[Endpoint]]:
    """An upstream, the calls it carries, and where. The sessions of "sticky" are known."""
    made = upstream([1] * ENDPOINTS, balance)
    calls = [call(f"/?transport=polling&sid=session-{number}") for number in range(polls)]
    places = [choose(made, each) for each in calls]
    for each, place in zip(calls, places, strict=True):
        if made.sessions is not None and each.affinity is not None:
            made.sessions.pins.put((each.affinity,), place, 0.0, 600.0)
    return made, calls, places


def choose(made: Upstream, each: Call) -> Endpoint:
    endpoint = made.pick((), each, 1.0)
    if endpoint is None:
        raise MeasureError("there was no endpoint to choose")
    endpoint.lease.take()
    return endpoint


def turn(made: Upstream, calls: list[Call], places: list[Endpoint]) -> float:
    """Seconds for one choice: each call ends and comes again, in no order; less what ending and coming cost."""
    order = random.sample(range(len(calls)), len(calls))
    begun = time.process_time()
    for number in order:
        places[number].lease.release()
        places[number] = choose(made, calls[number])
    chosen = time.process_time()
    for number in order:
        places[number].lease.release()
        places[number] = _same(places[number])
    return (2 * chosen - begun - time.process_time()) / len(calls)


def _same(endpoint: Endpoint) -> Endpoint:
    endpoint.lease.take()
    return endpoint
