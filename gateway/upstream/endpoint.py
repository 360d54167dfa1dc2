"""One address of an upstream: what it carries, and the idle connections that rest with it. It lives outside the
Snapshot, so a reload never loses a connection or a count.
"""

from __future__ import annotations

import ssl
from collections import deque
from typing import TYPE_CHECKING, Final

from gateway.call import Lease
from gateway.upstream.resting import Resting
from gateway.upstream.standing import Standing

if TYPE_CHECKING:
    from gateway.upstream.balance import Upstream
    from gateway.upstream.dial import Dial
    from gateway.upstream.http1 import UpstreamConnection

FRESH: Final = 1.0  # seconds: an idle connection younger than this may carry what must not be repeated
# Idle connections kept per endpoint, for the next polls of those who were woken: as many as a process parks. Of all
# that are open `Dialer.most_open` is the bound, and those that rest give way to new ones.
MAX_IDLE: Final = 16_384


class Endpoint:
    """One address of an upstream. `held` counts the calls it carries, `overruns` polls in a row left unanswered."""

    __slots__ = (
        "authority", "dialing", "host", "idle", "lease", "most_idle", "name", "open", "out", "overruns", "places",
        "port", "prefix", "server_name", "share", "standing", "tls", "upstream", "waiting", "wary", "weight",
    )  # fmt: skip

    def __init__(
        self, upstream: Upstream, host: str, port: int, weight: int = 1, tls: ssl.SSLContext | None = None,
        server_name: str | None = None, prefix: str = "", places: tuple[str, ...] = (), one_of_many: bool = False,
    ) -> None:  # fmt: skip
        self.upstream = upstream
        self.host = host
        self.port = port
        self.weight = weight
        self.share = float(weight)  # its part of the calls just now: see `slow_start`
        self.tls = tls
        self.server_name = server_name
        self.prefix = prefix  # put before every path
        self.places = places or (host,)  # where it is dialled: at the first, or if nobody listens there at the next
        self.authority = authority(host, port, tls is not None)  # what Host says
        self.name = self.full_name if one_of_many else self.authority  # what it is called: in records, in metrics
        self.idle = Resting()
        self.most_idle = MAX_IDLE
        self.open = 0  # connections, idle ones included
        self.overruns = 0
        self.out: frozenset[str] = frozenset()  # why it takes no new calls just now: see `Upstream.take_out`
        self.dialing = 0  # connections being made, and the dials that wait for their turn
        self.waiting: deque[Dial] = deque()
        self.lease = EndpointLease(self)
        self.standing = Standing()
        self.wary = True  # whether an answer says something new: there are strikes, or some answers are strikes

    @property
    def held(self) -> int:
        return self.lease.held

    @property
    def address(self) -> tuple[object, ...]:
        """What makes it the same endpoint in another configuration."""
        return (self.host, self.places[0], self.port, self.tls is not None, self.server_name, self.prefix)

    @property
    def full_name(self) -> str:
        """Its name where its host has several addresses, each an endpoint: `host@address:port`."""
        return f"{self.host}@{authority(self.places[0], self.port, self.tls is not None)}"

    @property
    def draining(self) -> bool:
        """Whether an operator wants no new calls there."""
        return not self.upstream.drained.isdisjoint((self.authority, self.full_name))

    def adopt(self, fresh: Endpoint) -> Endpoint:
        """Goes on as a new configuration, or another look at its name, describes it. Connections made with certificates
        of before are closed when idle; those under way are not used again."""
        renewed = fresh.tls is not self.tls
        self.weight, self.tls, self.places, self.name = fresh.weight, fresh.tls, fresh.places, fresh.name
        self.most_idle = fresh.most_idle
        if renewed:
            self.close_idle()
        return self

    def join(self, upstream: Upstream) -> Endpoint:
        """Becomes one of `upstream`, before it carries any call."""
        self.upstream = upstream
        self.lease = EndpointLease(self)
        return self

    def retire(self) -> None:
        """Takes no new calls; those under way end as they would have, and their connections with them."""
        self.most_idle = 0
        self.close_idle()

    def close_idle(self) -> None:
        while self.idle:
            self.idle.pop().close()

    def keeps(self, connection: UpstreamConnection) -> bool:
        """Whether a connection that carried a call may rest here: not one made with certificates of before a reload."""
        if len(self.idle) >= self.most_idle or connection.transport is None:
            return False
        return self.tls is None or connection.transport.get_extra_info("sslcontext") is self.tls

    def lost(self, connection: UpstreamConnection, idle: bool) -> None:
        """A connection has ended; `idle` unless it carried a call."""
        self.open -= 1
        if idle:
            self.idle.discard(connection)

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


def authority(host: str, port: int, secure: bool) -> str:
    """`host:port` as a URL has it: without the port that its scheme stands for."""
    bracketed = f"[{host}]" if ":" in host else host
    return bracketed if port == (443 if secure else 80) else f"{bracketed}:{port}"


class EndpointLease(Lease):
    """A place at an endpoint. One object per endpoint serves every call: what it lends is a count."""

    __slots__ = ("_endpoint", "_upstream", "held")

    def __init__(self, endpoint: Endpoint) -> None:
        self.held = 0
        self._endpoint = endpoint
        self._upstream = endpoint.upstream

    def take(self) -> Lease:
        self.held += 1
        self._upstream.held += 1
        return self

    def release(self) -> None:
        self.held -= 1
        self._upstream.held -= 1
        eased = self._upstream.eased
        if eased is not None:
            eased.add(self._endpoint)
