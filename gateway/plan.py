"""What a route compiled to, and the Snapshot of all of them. Frozen; a Call keeps the Snapshot it began with.
What outlives a reload (pools, meters, leases) is referenced from here but lives outside.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gateway.holds.plan import HoldPlan
from gateway.pipeline import Step

if TYPE_CHECKING:
    from gateway.networks import Networks
    from gateway.policies.caps import Cap
    from gateway.policies.rate_limit import RateLimit, Shown
    from gateway.policies.websocket import Upgrades
    from gateway.routing import Router
    from gateway.state.store import Asked
    from gateway.upstream.balance import Upstream
    from gateway.upstream.headers import Drops


@dataclass(frozen=True, slots=True)
class RequestShape:
    """How a request is rewritten for the upstream: header fields that end here, fields to add, path.

    `identity` maps a header name to the claim it carries: "consumer", "tenant", "certificate" or "claims.<name>".
    """

    drops: Drops
    add: bytes = b""  # ready header lines, each ending in CRLF
    identity: tuple[tuple[bytes, str], ...] = ()
    drop_cookies: tuple[bytes, ...] = ()
    rewrite: str | None = None  # path template with {x} and the tail of /**
    keep_host: bool = False  # the client's Host goes on, not the endpoint's name


@dataclass(frozen=True, slots=True)
class ResponseShape:
    """How an answer is rewritten for the client: header fields that end here, lines to add."""

    drops: Drops
    add: bytes = b""


@dataclass(frozen=True, slots=True)
class Cors:
    """Cross-origin rules of a route; `origins` are exact, or {"*"}."""

    origins: frozenset[str]
    methods: tuple[str, ...]
    headers: tuple[str, ...]
    expose: tuple[str, ...] = ()
    credentials: bool = False
    max_age: int = 600  # seconds
    pages: Mapping[str, bytes] = field(default_factory=dict)  # by origin: the lines of an answer, ready
    strangers: bytes = b""  # those for everybody else


@dataclass(frozen=True, slots=True)
class Retry:
    """What may be sent again beyond the built-in rule, which is what stands here; and how much and how soon, which
    counts for that rule too. `backoff` is in seconds."""

    attempts: int = 1  # in all, of calls of `methods`
    budget: float = 0.2  # share of the upstream's calls
    backoff: float = 0.025
    methods: frozenset[str] = frozenset()
    status: frozenset[int] = frozenset()  # answers that count as failures


@dataclass(frozen=True, slots=True)
class Sse:
    """How streams of events are treated; seconds, NEVER for what does not happen. `idle`: the service may be silent for
    so long."""

    heartbeat: float
    idle: float
    max_time: float
    resumes: bool = True  # its clients come back to where they were: a drain ends it


@dataclass(frozen=True, slots=True)
class Sample:
    """Which calls leave a trace (`telemetry.sampling`): the bound of each class of endings, and the one for the flag
    that is told to the upstream. Without bounds there are none."""

    kept: Mapping[str, str] = field(default_factory=dict)
    sent: str = ""


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
    retry: Retry = Retry()
    max_body: int = 10 * 1024 * 1024
    secret_params: tuple[str, ...] = ()  # path parameters that never reach a log
    bound_to_token: bool = True  # a hold ends no later than its token
    connect_timeout: float = 2.0
    response_timeout: float = 30.0
    body_idle_timeout: float = 60.0
    sse: Sse | None = None  # of streams of events, where the route says anything of them
    sample: Sample = Sample()


@dataclass(frozen=True, slots=True)
class EdgeLimits:
    """The downstream clocks (seconds) and sizes (bytes) of `[server]`."""

    header_timeout: float = 10.0
    body_idle_timeout: float = 15.0
    write_idle_timeout: float = 30.0
    keepalive_timeout: float = 75.0
    max_head: int = 16 * 1024
    max_line: int = 8 * 1024
    max_headers: int = 128
    max_body: int = 10 * 1024 * 1024
    per_address: int | None = None  # connections
    exempt: Networks = ()  # addresses that many clients share
    proxy_protocol: bool = False  # connections come from trusted proxies, and begin with a PROXY header
    front_idle_timeout: float | None = None  # the edge in front of us gives up after this


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
    sample: Sample = Sample()  # for calls that no plan was found for

    def serves(self, route: str) -> bool:
        """Whether there is still a route of that name."""
        return any(plan.route == route for plan in self.plans)
