"""What a plan demands of a call, spelled out, and what becomes of it: the words for a no, what was paid, a place that
goes to another call, everything given back.
"""

from __future__ import annotations

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


def demands_of(plan: Plan, call: Call) -> list[Demand]:
    """What the plan demands of the call, spelled out."""
    spelled = [*(rate.demand(call) for rate in plan.rates), *(cap.demand(call) for cap in plan.caps)]
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
