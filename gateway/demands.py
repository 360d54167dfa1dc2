"""What a plan demands of a call, spelled out, and what becomes of it: the words for a no, a place that goes to another
call, everything given back.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gateway import refusals
from gateway.pipeline import Refusal
from gateway.policies.rate_limit import limited
from gateway.state.store import Demand, Denied, Place

if TYPE_CHECKING:
    from gateway.call import Call
    from gateway.plan import Plan


def demands_of(plan: Plan, call: Call) -> list[Demand]:
    """What the plan demands of the call, spelled out."""
    spelled = [*(rate.demand(call) for rate in plan.rates), *(cap.demand(call) for cap in plan.caps)]
    return [demand for demand in spelled if demand is not None]


def denial(call: Call, denied: Denied) -> Refusal:
    """The words for what was denied: 429, and when to come back."""
    if not isinstance(denied.demand, Place):
        return limited(denied.retry_after)
    refusal = refusals.TOO_MANY_POLLS if call.hold is not None else refusals.TOO_MANY_CALLS
    return replace(refusal, retry_after=limited(denied.retry_after).retry_after)


def release(call: Call) -> None:
    """Gives back everything the call has borrowed."""
    leases, call.leases = call.leases, ()
    for lease in leases:
        lease.release()


def evict(call: Call, by: str) -> None:
    """Ends a call whose place was lent to another."""
    call.note = f"for {by}"
    call.serve.on_evict(call)
