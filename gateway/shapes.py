"""What parts of a route compiled to, and the limits of the edge: plain values, frozen, of which a Plan is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from gateway.networks import Networks

if TYPE_CHECKING:
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


BUILT_IN: Final = Retry()


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

    kept: dict[str, str] = field(default_factory=dict)
    sent: str = ""


NO_TRACES: Final = Sample()


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
