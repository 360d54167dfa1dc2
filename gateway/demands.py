"""What a plan demands of a call, spelled out, and what becomes of it: the words for a no, what was paid, a place that
goes to another call, everything given back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING

from gateway import refusals
from gateway.call import NO_LEASES
from gateway.pipeline import Refusal
from gateway.policies.rate_limit import later, limited
from gateway.state.store import Demand, Denied, Place, Tokens

if TYPE_CHECKING:
    from gateway.call import Call
    from gateway.plan import Plan
    from gateway.policies.rate_limit import RateLimit
    from gateway.state.store import Taken


def take(plan: Plan, call: Call, now: float, yields: Call | None = None) -> Taken | asyncio.Future[Taken]:
    """All that the plan still demands of the call, or nothing (`Asked.take`). Who has paid by now was asked for
    what comes before identity, in a step of its own."""
    asked = plan.asked if call.charges else plan.at_once
    return asked.take(call, now, yields) if asked is not None else None


def demands_of(plan: Plan, call: Call) -> list[Demand]:
    """What the plan still demands of the call, spelled out."""
    early = () if call.charges else plan.early
    spelled = [*(rate.demand(call) for rate in (*early, *plan.rates)), *(cap.demand(call) for cap in plan.caps)]
    return [demand for demand in spelled if demand is not None]


def denial(call: Call, denied: Denied) -> Refusal:
    """The words for what was denied: 429, and when to come back."""
    if not isinstance(denied.demand, Place):
        return limited(denied.retry_after)
    refusal = refusals.TOO_MANY_POLLS if call.hold is not None else refusals.TOO_MANY_CALLS
    return refusal.later(later(denied.retry_after))


def paid(call: Call, plan: Plan, since: int = 0) -> Iterator[tuple[RateLimit, Tokens]]:
    """The tokens that the call paid, and under which limits: from the charge of that number on."""
    limits = plan.shown.limits if plan.shown is not None else ()
    for rate, key in zip(limits[since:], call.charges[since:], strict=False):
        if key is not None:
            yield rate, Tokens(rate.limit, key, rate.rate)


def release(call: Call) -> None:
    """Gives back everything the call has borrowed."""
    leases, call.leases = call.leases, NO_LEASES
    for lease in leases:
        lease.release()


def evict(call: Call, by: str) -> None:
    """Ends a call whose place was lent to another, if it can still be ended: one whose answer has begun runs on."""
    call.serve.hear(call)
    if call.evictable:
        call.note = f"for {by}"
        call.serve.on_evict(call)
