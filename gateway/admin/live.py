"""What is under way, as plain values: a call that is held, how many there are, the compiled routes, the upstreams.
Reads, never changes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, TypeAlias

from gateway.admin.membership import membership
from gateway.asking import Asking
from gateway.call import Call, State
from gateway.clock import NEVER
from gateway.pollers import Kept
from gateway.ramp import Early
from gateway.telemetry.instruments import Watched
from gateway.telemetry.record import shown_path
from gateway.waiting import Spot

if TYPE_CHECKING:
    from gateway.outcome import Outcome
    from gateway.plan import Plan, Snapshot
    from gateway.upstream.balance import Upstream
    from gateway.upstream.circuit import Circuit
    from gateway.upstream.endpoint import Endpoint
    from gateway.upstream.resolve import Name

HELD = (State.PARKED, State.WAITING)  # the usual one first; of an answer that has begun `held_on` decides
SLICE = 250  # calls looked at in one turn of the loop: about a millisecond

Value: TypeAlias = str | float | None
Ended: TypeAlias = "Mapping[tuple[str, str], Mapping[Outcome, int]]"  # by upstream and endpoint

# What is told of a call that is held, in this order, and how it is read. Times that run are told by `describe`.
READ: dict[str, Callable[[Call], Value]] = {
    "id": lambda call: call.id,
    "route": lambda call: call.plan.route if call.plan is not None else None,
    "consumer": lambda call: call.identity.consumer if call.identity is not None else None,
    "tenant": lambda call: call.identity.tenant if call.identity is not None else None,
    "peer": lambda call: call.peer,
    "method": lambda call: call.method,
    "path": lambda call: shown_path(call, call.serve.snapshot.secret_prefixes),
    "state": lambda call: call.state.name.lower(),
    "poll": lambda call: call.hold is not None,
    "hold_asked": lambda call: call.asked,
    "hold_granted": lambda call: call.granted,
    "clamped_by": lambda call: call.clamped_by,
    "endpoint": lambda call: call.endpoint.name if call.endpoint is not None else None,
    "attempts": lambda call: call.attempts,
    "endable": lambda call: call.evictable,
}


def is_held(call: Call) -> bool:
    return call.state in HELD or call.state is State.TUNNELLING or call.held_on


def describe(call: Call, now: float) -> dict[str, object]:
    """One call that is held. `now` is loop seconds, what is told are seconds from it."""
    told: dict[str, object] = {name: read(call) for name, read in READ.items()}
    told["since"] = round(now - call.started, 3)
    told["ends_in"] = round(call.deadline - now, 3) if call.deadline != NEVER else None
    told["waited"] = round(waited(call, now), 3)
    return told


def waited(call: Call, now: float) -> float:
    """Seconds in line for a limit, or kept back for another poll, so far."""
    up = call.up.spot if isinstance(call.up, Asking) else call.up
    return call.waited + (now - up.since if isinstance(up, (Spot, Kept, Early)) else 0.0)


def slices(calls: Iterable[Call | None]) -> Iterator[list[Call]]:
    """Those that are held, a few at a time, for who lets others have a turn in between: each as it stands then."""
    left = iter(calls)
    while some := list(islice(left, SLICE)):
        yield [call for call in some if call is not None and is_held(call)]


def count(calls: Iterable[Call | None], snapshot: Snapshot) -> dict[tuple[str, str], int]:
    """How many calls are held, by route and state; a route without any has its zeros."""
    counts = {(plan.route, state): 0 for plan in snapshot.plans for state in _states(plan)}
    for call in calls:
        if call is not None and call.plan is not None and is_held(call):
            key = (call.plan.route, call.state)
            counts[key] = counts.get(key, 0) + 1  # a route that is no more may still have polls
    return {(route, state.name.lower()): count for (route, state), count in counts.items()}


def _states(plan: Plan) -> tuple[State, ...]:
    """Those in which calls of a route may be held."""
    relaying = (State.RELAYING,) if plan.hold is not None and plan.hold.early_headers else ()
    return (*HELD, *relaying, State.TUNNELLING) if plan.upgrade is not None else (*HELD, *relaying)


def standing(endpoint: Endpoint, now: float) -> dict[str, object]:
    """Whether an endpoint takes calls, why not, for how long now and for how long yet, and what its probes say. Times
    are seconds."""
    found = endpoint.standing
    probe = found.probe
    return {
        "state": "out" if endpoint.out else "in",
        "why": sorted(endpoint.out),
        "since": round(now - found.since, 3) if found.since is not None else None,
        "back_in": round(max(found.until - now, 0.0), 3) if found.until != NEVER else None,
        "strikes": len(found.strikes),
        "ejections": found.events["eject"],
        "probe": probe and {
            "good": probe.good,
            "said": probe.said,
            "ago": round(now - probe.at, 3),
            "took": round(probe.took, 6),
        },
    }  # fmt: skip


def at_endpoints(snapshot: Snapshot) -> dict[tuple[str, str], int]:
    """How many calls each endpoint has, by upstream and endpoint; one that is written twice is one."""
    counts: dict[tuple[str, str], int] = {}
    for upstream in snapshot.upstreams.values():
        for endpoint in (*upstream.endpoints, *upstream.leaving):
            key = (upstream.name, endpoint.name)
            counts[key] = counts.get(key, 0) + endpoint.held
    return counts


def endpoints(snapshot: Snapshot) -> dict[tuple[str, str], Watched]:
    """How the endpoints stand, by upstream and endpoint; of one that is written twice, all its lines together."""
    found: dict[tuple[str, str], Watched] = {}
    for upstream in snapshot.upstreams.values():
        for endpoint in upstream.endpoints:
            key, standing = (upstream.name, endpoint.name), endpoint.standing
            before = found.get(key, Watched(False, {}, {}))
            events, probes = Counter(before.events) + standing.events, Counter(before.probes) + standing.probes
            found[key] = Watched(before.taking or not endpoint.out, events, probes)
    return found


def moved_sessions(snapshot: Snapshot) -> dict[str, int]:
    """How many sessions had to leave their endpoint, by upstream, where sessions are kept at all."""
    return {name: up.moved for name, up in snapshot.upstreams.items() if up.sessions is not None}


def sent_again(snapshot: Snapshot) -> dict[tuple[str, str], int]:
    """How many attempts followed one that an upstream may have seen, and how many the budget denied."""
    budgets = [(upstream.name, upstream.budget) for upstream in snapshot.upstreams.values()]
    sent = {(name, "sent"): budget.taken for name, budget in budgets}
    return sent | {(name, "denied"): budget.denied for name, budget in budgets}


def circuits(snapshot: Snapshot) -> dict[str, tuple[bool, int]]:
    """Whether no endpoint of an upstream can be reached, and how often that came about."""
    found = ((upstream.name, upstream.circuit) for upstream in snapshot.upstreams.values())
    return {name: (circuit.since is not None, circuit.opened) for name, circuit in found}


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


def upstreams(snapshot: Snapshot, ended: Ended, names: Mapping[str, Name], now: float) -> list[dict[str, object]]:
    """Every upstream with its endpoints, how each stands, how much it carries now, and how the calls it got ended."""
    return [_upstream(upstream, ended, now) | membership(upstream, names) for upstream in snapshot.upstreams.values()]


def _upstream(upstream: Upstream, ended: Ended, now: float) -> dict[str, object]:
    return {
        "name": upstream.name,
        "held": upstream.held,
        "max_held": upstream.max_held,
        "taking": sum(not endpoint.out for endpoint in upstream.endpoints),
        "circuit": _circuit(upstream.circuit, now),
        "retries": {"sent": upstream.budget.taken, "denied": upstream.budget.denied},
        "endpoints": [_endpoint(endpoint, ended, now) for endpoint in upstream.endpoints],
    }


def _circuit(circuit: Circuit, now: float) -> dict[str, object]:
    since = round(now - circuit.since, 3) if circuit.since is not None else None
    return {"state": circuit.state, "since": since, "opened": circuit.opened, "refused": circuit.refusals}


def _endpoint(endpoint: Endpoint, ended: Ended, now: float) -> dict[str, object]:
    calls = ended.get((endpoint.upstream.name, endpoint.name), {})
    return {
        "name": endpoint.name,
        "places": list(endpoint.places),
        "weight": endpoint.weight,
        "held": endpoint.held,
        "idle": len(endpoint.idle),
        "connections": endpoint.open,
        "overruns": endpoint.overruns,
        **standing(endpoint, now),
        "calls": {str(outcome): number for outcome, number in calls.items() if number},
    }
