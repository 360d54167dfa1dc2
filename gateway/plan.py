"""What a route compiled to, and the Snapshot of all of them. Frozen; a Call keeps the Snapshot it began with.
What outlives a reload (pools, meters, leases) is referenced from here but lives outside.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gateway.holds.plan import HoldPlan
from gateway.networks import Networks
from gateway.pipeline import Step

# Not only for the checker: what is compiled looks the class of a field up.
from gateway.routing import Router
from gateway.shapes import BUILT_IN, NO_TRACES, Cors, EdgeLimits, RequestShape, ResponseShape, Retry, Sample, Sse
from gateway.upstream.balance import Upstream

if TYPE_CHECKING:
    from gateway.policies.caps import Cap
    from gateway.policies.rate_limit import RateLimit, Shown
    from gateway.policies.websocket import Upgrades
    from gateway.state.store import Asked


@dataclass(frozen=True, slots=True)
class Plan:
    """One route, compiled: everything a call needs from `route` to `settle`. Times in seconds, sizes in bytes."""

    route: str
    path: str  # the template, a bounded label
    upstream: Upstream
    request: RequestShape
    response: ResponseShape
    steps: tuple[Step, ...] = ()
    early: tuple[RateLimit, ...] = ()  # asked in a step before identity, of callers who are not known yet
    rates: tuple[RateLimit, ...] = ()  # asked with everything else a call demands
    shown: Shown | None = None  # those asked before identity, then these, as clients are told of them
    caps: tuple[Cap, ...] = ()
    asked: Asked | None = None  # `rates` and `caps`, made ready by the store: of whom `early` was asked before
    at_once: Asked | None = None  # the same and `early`, of everybody else
    hold: HoldPlan | None = None
    cors: Cors | None = None
    upgrade: Upgrades | None = None  # the changes of protocol that are let through
    retry: Retry = BUILT_IN
    max_body: int = 10 * 1024 * 1024
    secret_params: tuple[str, ...] = ()  # path parameters that never reach a log
    bound_to_token: bool = True  # a hold ends no later than its token
    connect_timeout: float = 2.0
    response_timeout: float = 30.0
    body_idle_timeout: float = 60.0
    sse: Sse | None = None  # of streams of events, where the route says anything of them
    sample: Sample = NO_TRACES


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Router and plans of one configuration."""

    router: Router
    plans: tuple[Plan, ...]
    edge: EdgeLimits
    upstreams: dict[str, Upstream]  # those that run, or will
    fresh: dict[str, Upstream] = field(default_factory=dict)  # what they shall be like: adopted when this goes live
    trusted: Networks = ()  # proxies whose X-Forwarded-For is believed
    secret_prefixes: tuple[str, ...] = ()  # how paths with a secret in them begin
    log_values: frozenset[str] = frozenset()  # query names whose values may be logged
    log_peer: str = "full"  # how much of a client's address may be: "full", "network", "none"
    log_cursor: bool = True  # whether cursors may be
    sample: Sample = NO_TRACES  # for calls that no plan was found for

    def serves(self, route: str) -> bool:
        """Whether there is still a route of that name."""
        return any(plan.route == route for plan in self.plans)
