"""What is under way, as plain values: the calls held now and the compiled routes. Reads, never changes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from gateway.call import Call, State
from gateway.clock import NEVER
from gateway.telemetry.record import shown_path

if TYPE_CHECKING:
    from gateway.plan import Plan, Snapshot

_HELD = (State.WAITING, State.PARKED)


def held(calls: Iterable[Call | None], now: float, limit: int) -> dict[str, object]:
    """The parked and waiting calls, longest first; at most `limit` are listed, all are counted."""
    found = sorted((call for call in calls if call is not None and call.state in _HELD), key=lambda call: call.started)
    return {"held": len(found), "calls": [_describe(call, now) for call in found[:limit]]}


def count(calls: Iterable[Call | None], snapshot: Snapshot) -> dict[tuple[str, str], int]:
    """How many calls are held, by route and state; a route without any has its zeros."""
    counts = {(plan.route, state): 0 for plan in snapshot.plans for state in _HELD}
    for call in calls:
        if call is not None and call.state in _HELD and call.plan is not None:
            key = (call.plan.route, call.state)
            counts[key] = counts.get(key, 0) + 1  # a route that is no more may still have polls
    return {(route, state.name.lower()): count for (route, state), count in counts.items()}


def at_endpoints(snapshot: Snapshot) -> dict[tuple[str, str], int]:
    """How many calls each endpoint has, by upstream and endpoint; one that is written twice is one."""
    counts: dict[tuple[str, str], int] = {}
    for upstream in snapshot.upstreams.values():
        for endpoint in upstream.endpoints:
            key = (upstream.name, endpoint.name)
            counts[key] = counts.get(key, 0) + endpoint.held
    return counts


def _describe(call: Call, now: float) -> dict[str, object]:
    identity = call.identity
    return {
        "id": call.id,
        "route": call.plan.route if call.plan is not None else None,
        "consumer": identity.consumer if identity is not None else None,
        "tenant": identity.tenant if identity is not None else None,
        "peer": call.peer,
        "method": call.method,
        "path": shown_path(call),
        "state": call.state.name.lower(),
        "poll": call.hold is not None,
        "since": round(now - call.started, 3),
        "ends_in": round(call.deadline - now, 3) if call.deadline != NEVER else None,
        "hold_asked": call.asked,
        "hold_granted": call.granted,
        "clamped_by": call.clamped_by,
        "endpoint": call.endpoint.name if call.endpoint is not None else None,
        "attempts": call.attempts,
    }


def routes(snapshot: Snapshot) -> list[dict[str, object]]:
    """The compiled table."""
    return [_route(plan) for plan in snapshot.plans]


def _route(plan: Plan) -> dict[str, object]:
    hold = plan.hold
    return {
        "name": plan.route,
        "path": plan.path,
        "upstream": plan.upstream.name,
        "endpoints": [endpoint.name for endpoint in plan.upstream.endpoints],
        "dialect": hold.dialect if hold is not None else None,
        "max_hold": hold.max if hold is not None else None,
        "no_news": hold.answer if hold is not None else None,
        "response_timeout": plan.response_timeout,
    }
