"""Upstreams with endpoints that nobody listens at, and calls that only have what a balance looks at."""

from __future__ import annotations

from typing import Any, cast

from gateway.call import Call
from gateway.config.balances import parse_balance
from gateway.identity.claims import Identity
from gateway.upstream.balance import Upstream
from gateway.upstream.endpoint import Endpoint
from gateway.upstream.sticky import compile_sessions

from .heads import Fields, head

KEEP = 600.0  # seconds


def upstream(weights: list[int], balance: str = "round-robin", slow_start: float = 0.0) -> Upstream:
    """An upstream "up" with endpoints h0, h1 and so on. Sessions are told by `json:/sid`."""
    spread = parse_balance(balance)
    sessions = compile_sessions(spread, "json:/sid", "0", KEEP) if spread.kind == "sticky" else None
    made = Upstream("up", spread, sessions=sessions, slow_start=slow_start)
    made.endpoints = tuple(Endpoint(made, f"h{number}", 80, weight) for number, weight in enumerate(weights))
    return made


def call(target: str = "/", headers: Fields = (), peer: str = "192.0.2.1", identity: Identity | None = None) -> Call:
    """A call on its way in; `forget_head` is what being sent does to it."""
    made = Call(cast(Any, None), cast(Any, None), "id", head("GET", target, headers), peer, 0.0)
    made.identity = identity
    return made


def take(upstream: Upstream, call: Call | None = None, now: float = 0.0) -> Endpoint:
    """The endpoint that is picked, which carries one call more from now on."""
    endpoint = cast(Endpoint, upstream.pick((), call, now))
    endpoint.lease.take()
    return endpoint
