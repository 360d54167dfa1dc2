"""Plans for calls that have no configuration behind them: a route that changes nothing but what the gateway must."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from gateway.plan import Plan
from gateway.policies.caps import Cap
from gateway.policies.rate_limit import RateLimit, Shown
from gateway.shapes import RequestShape, ResponseShape
from gateway.state.store import Store
from gateway.upstream.balance import Upstream
from gateway.upstream.headers import FORWARDED, HOP_BY_HOP, OURS, compile_drops


def limits_of(store: Store, rates: tuple[RateLimit, ...], caps: tuple[Cap, ...]) -> dict[str, Any]:
    """What a plan is told of its limits."""
    shown = Shown(rates, store) if rates else None
    asked = store.prepare(rates, caps) if rates or caps else None
    return {"rates": rates, "caps": caps, "shown": shown, "asked": asked, "at_once": asked}


def plan_of(upstream: Upstream, **changes: Any) -> Plan:
    """A route `/updates` that changes nothing but what the gateway must."""
    request = RequestShape(compile_drops(HOP_BY_HOP | OURS, (FORWARDED,)))
    plan = Plan("updates", "/updates", upstream, request, ResponseShape(compile_drops(HOP_BY_HOP)))
    return replace(plan, **changes)
