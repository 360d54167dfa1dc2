"""Upstreams and their endpoints: which endpoint takes the next call, and the idle connections each one keeps.
They live outside the Snapshot, so a reload never loses a connection or a count.
"""

from __future__ import annotations

import ssl
from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

from gateway.call import Lease

if TYPE_CHECKING:
    from gateway.upstream.dial import Dial
    from gateway.upstream.http1 import UpstreamConnection

FRESH = 1.0  # seconds: an idle connection younger than this may carry what must not be repeated
MAX_IDLE = 1024  # idle connections kept per endpoint; a burst beyond it is closed again

Picker = Callable[[Sequence["Endpoint"], int], "Endpoint"]


class Endpoint:
    """One address of an upstream. `held` counts the calls it carries, `overruns` polls in a row left unanswered."""

    __slots__ = (
        "dialing", "host", "idle", "lease", "name", "overruns", "port", "prefix", "server_name", "tls", "upstream",
        "waiting", "weight",
    )  # fmt: skip

    def __init__(
        self, upstream: Upstream, host: str, port: int, weight: int = 1, tls: ssl.SSLContext | None = None,
        server_name: str | None = None, prefix: str = "",
    ) -> None:  # fmt: skip
        self.upstream = upstream
        self.host = host
        self.port = port
        self.weight = weight
        self.tls = tls
        self.server_name = server_name
        self.prefix = prefix  # put before every path
        default = 443 if tls is not None else 80
        bracketed = f"[{host}]" if ":" in host else host
        self.name = bracketed if port == default else f"{bracketed}:{port}"  # what Host says, and the label
        self.idle: deque[UpstreamConnection] = deque()
        self.overruns = 0
        self.dialing = 0  # connections being made, and the dials that wait for their turn
        self.waiting: deque[Dial] = deque()
        self.lease = EndpointLease(self)

    @property
    def held(self) -> int:
        return self.lease.held

    def take_idle(self, now: float, fresh: bool) -> UpstreamConnection | None:
        """The most recently used idle connection, or None. `fresh` asks for one so young that the upstream cannot
        have begun to close it (RFC 9112 9.3.1: a request may be lost on a connection closed from the other side)."""
        while self.idle:
            connection = self.idle.pop()
            idle_for = now - connection.idle_since
            if idle_for >= connection.keepalive or not connection.alive():
                connection.close()
            elif fresh and idle_for > FRESH:
                self.idle.append(connection)
                return None
            else:
                return connection
        return None


class EndpointLease(Lease):
    """A place at an endpoint. One object per endpoint serves every call: what it lends is a count."""

    __slots__ = ("_upstream", "held")

    def __init__(self, endpoint: Endpoint) -> None:
        self.held = 0
        self._upstream = endpoint.upstream

    def take(self) -> Lease:
        self.held += 1
        self._upstream.held += 1
        return self

    def release(self) -> None:
        self.held -= 1
        self._upstream.held -= 1


class Upstream:
    """A named group of endpoints. `keepalive` is in seconds, `max_held` counts calls over all endpoints."""

    __slots__ = ("_pick", "_turn", "balance", "endpoints", "held", "keepalive", "max_held", "name")

    def __init__(self, name: str, balance: str = "least-held", keepalive: float = 4.0, max_held: int = 20000) -> None:
        self.name = name
        self.balance = balance
        self.keepalive = keepalive
        self.max_held = max_held
        self.endpoints: tuple[Endpoint, ...] = ()
        self.held = 0
        self._turn = 0
        self._pick: Picker = PICKERS[balance]

    def pick(self, tried: Collection[Endpoint] = ()) -> Endpoint | None:
        """An endpoint for the next call, none of those already tried; None when all were."""
        choice = [e for e in self.endpoints if e not in tried] if tried else self.endpoints
        if not choice:
            return None
        self._turn += 1
        return choice[0] if len(choice) == 1 else self._pick(choice, self._turn)


def round_robin(endpoints: Sequence[Endpoint], turn: int) -> Endpoint:
    """Each endpoint in turn, as often as its weight says."""
    slot = turn % sum(endpoint.weight for endpoint in endpoints)
    for endpoint in endpoints:
        slot -= endpoint.weight
        if slot < 0:
            return endpoint
    return endpoints[-1]


def least_held(endpoints: Sequence[Endpoint], turn: int) -> Endpoint:
    """The endpoint with the fewest calls for its weight; equals take turns."""
    start = turn % len(endpoints)
    order = (*endpoints[start:], *endpoints[:start])
    return min(order, key=lambda endpoint: endpoint.held / endpoint.weight)


PICKERS: dict[str, Picker] = {"round-robin": round_robin, "least-held": least_held}
