"""A stage for one request: the real edge, the real `serve` and the real forwarder, between two transports that lead
nowhere, on a loop that never runs. Time moves when somebody moves it, so that a minute's hold is over at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Final

from gateway.call import Call, State
from gateway.clock import NEVER, Clock, Timers
from gateway.drain import Drain
from gateway.edge.edge import Edge
from gateway.edge.http1 import Downstream
from gateway.edge.room import Room
from gateway.explain.model import Answer
from gateway.explain.wires import StillLoop
from gateway.explain.wires import Wire as Wire
from gateway.limits import Limits
from gateway.parse import Parsers
from gateway.policies.websocket import agreement
from gateway.serve import Serve
from gateway.sides import READING
from gateway.state.memory import MemoryStore
from gateway.state.prepared import Prepared
from gateway.telemetry.trace import arrivals
from gateway.upstream.forward import Forwarder
from gateway.upstream.http1 import UpstreamConnection
from gateway.upstream.repeat import Pause

if TYPE_CHECKING:
    from gateway.config.settings import Config
    from gateway.plan import Snapshot
    from gateway.state.store import Capped, Denied, Keys, Metered

_CONNECTIONS: Final = 4  # per endpoint: for the request, its replay, and others like it
_GO_ON: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_BEGINNING: Final = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class Unused(MemoryStore):
    """A store in which nothing was ever taken: a request that is played several times does not use up its limits."""

    def prepare(self, rates: Sequence[Metered], caps: Sequence[Capped]) -> Prepared:
        return _Fresh(rates, caps)


class _Fresh(Prepared):
    def __init__(self, rates: Sequence[Metered], caps: Sequence[Capped]) -> None:
        self._asked = (rates, caps)

    def take(self, call: Call, now: float, yields: Call | None = None) -> Denied | None:
        return MemoryStore().prepare(*self._asked).take(call, now)

    def levels(self, keys: Keys, now: float, since: float) -> tuple[int, ...]:
        return MemoryStore().prepare(*self._asked).levels(keys, now, since)


class Watched(Serve):
    """A serve that remembers the body it had read whole; None: none was read, or it was too long."""

    whole: bytes | None = None

    def on_whole(self, call: Call, body: bytes | None) -> None:
        self.whole = body
        super().on_whole(call, body)


class Scene:
    """One request as the gateway takes it in. `call` is what became of it; `upstream()` is where it was sent."""

    def __init__(self, config: Config, snapshot: Snapshot, wall: float, peer: str) -> None:
        self._loop = StillLoop()
        self._snapshot = snapshot
        timers = Timers(self._loop)
        self.parsers = Parsers(self._loop)
        self._settled: list[Call] = []
        self._others: list[Downstream] = []
        forwarder = Forwarder(self._loop, self.parsers, timers)
        limits = Limits(self._loop, timers, MemoryStore())
        clock = Clock(timers.now, lambda: wall)
        self.serve = Watched(snapshot, clock, timers, forwarder, limits, self._settled.append)
        self.serve.arrives = arrivals(config.telemetry.otlp is not None, config.telemetry.trust_incoming)
        self._connections: list[tuple[UpstreamConnection, Wire]] = []
        self._stock(timers)
        self.scheme = "https" if config.server.tls else "http"
        edge = Edge(self.serve, self.parsers, timers, snapshot.edge, config.server.half_close, Room())
        self._connect = partial(Downstream, edge, self.scheme, peer)
        self._client, self._wire = self._connect(), Wire(peer)
        self._client.connection_made(self._wire)

    def _stock(self, timers: Timers) -> None:
        """Gives every endpoint connections that are ready, so that nobody is dialled."""
        for upstream in self._snapshot.upstreams.values():
            for endpoint in upstream.endpoints:
                endpoint.overruns = 0
                for _ in range(_CONNECTIONS):
                    connection, wire = UpstreamConnection(endpoint, self.parsers, timers), Wire("")
                    connection.connection_made(wire)
                    connection.keepalive = connection.idle_since = NEVER
                    endpoint.idle.append(connection)
                    self._connections.append((connection, wire))

    def send(self, raw: bytes) -> None:
        self._client.data_received(raw)

    @property
    def call(self) -> Call:
        call = self._client.call or (self._settled[0] if self._settled else None)
        assert call is not None
        return call

    @property
    def parked(self) -> bool:
        """Whether the call was forwarded and nothing has ended it."""
        return self.call.state is State.PARKED

    @property
    def now(self) -> float:
        return self._loop.instant

    @property
    def closed(self) -> bool:
        """Whether the gateway ended the client's connection."""
        return self._wire.over is not None

    @property
    def upstream(self) -> tuple[UpstreamConnection, Wire] | None:
        """The connection that carries the call, or None."""
        up = self.call.up
        return next((pair for pair in self._connections if pair[0] is up), None)

    @property
    def answer(self) -> Answer | None:
        """What the client was told, None while it waits or when its connection was just closed."""
        return self._answer(self._wire)

    def _answer(self, wire: Wire) -> Answer | None:
        raw, _, body = wire.written.removeprefix(_GO_ON).partition(b"\r\n\r\n")
        head = self.parsers.response(raw + b"\r\n\r\n")
        if not raw or isinstance(head, str):
            return None
        headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in head.raw_headers)
        return Answer(head.status, head.reason, headers, body.decode("utf-8", "replace"))

    # -- what may happen next ------------------------------------------------------------------------------------

    def wait(self, until: float) -> None:
        """Time passes up to `until`, silently."""
        self._loop.instant = max(self._loop.instant, until)

    def run_out(self) -> None:
        """Time passes until the call's own clock runs out, if it has one."""
        if self.call.due != NEVER:
            self.wait(self.call.due)
            self.call.on_due(self.now)

    def drain(self, window: float) -> Drain:
        """SIGTERM, with that many seconds to end everything."""
        drain = self.serve.draining = Drain(self.now, self.now + window)
        self.serve.on_drain(self.call, drain)
        return drain

    def leave(self) -> None:
        """The client closes its connection."""
        self._client.connection_lost(None)

    def begin(self) -> None:
        """The upstream sends the head of an answer, and no more."""
        pair = self.upstream
        assert pair is not None
        pair[0].data_received(_BEGINNING)

    def switch(self) -> None:
        """The upstream agrees to the change of protocol that was asked for."""
        pair, offer = self.upstream, self.call.upgrade
        assert pair is not None and offer is not None
        pair[0].data_received(agreement(offer))

    def lose(self) -> None:
        """The upstream closes the connection that carries the call."""
        pair = self.upstream
        assert pair is not None
        pair[0].idle_since = 0.0  # it was not idle before
        pair[1].close()
        pair[0].connection_lost(None)
        if isinstance(self.call.up, Pause):
            self.run_out()

    def again(self, raw: bytes) -> Answer | None:
        """The same request comes from another connection. What that one is told; None: it waits, or was forwarded."""
        client, wire = self._connect(), Wire(self.call.peer)
        self._others.append(client)
        client.connection_made(wire)
        client.data_received(raw)
        self._loop.turn()
        return self._answer(wire)

    @property
    def keeps_back(self) -> bool:
        """Whether what came last waits."""
        call = self._others[-1].call if self._others else None
        return call is not None and call.state is State.WAITING

    def close(self) -> None:
        for client in (*self._others, self._client):
            if client.call is not None:
                client.connection_lost(None)
        for upstream in self._snapshot.upstreams.values():
            for endpoint in upstream.endpoints:
                endpoint.idle.clear()
        self._loop.close()


@contextmanager
def played(config: Config, snapshot: Snapshot, raw: bytes, wall: float, peer: str) -> Iterator[Scene]:
    """The scene after the gateway has taken in `raw`. `wall` is Unix seconds."""
    scene = Scene(config, snapshot, wall, peer)
    try:
        scene.send(raw)
        if scene.call.up is READING:  # its body is shorter than its head says
            scene.run_out()
        yield scene
    finally:
        scene.close()
