"""Many calls at one upstream of endpoints that come and go: the real `Serve`, `Forwarder`, `Repeats`, `Watcher` and
`UpstreamConnection` on a loop that is cranked by hand. Only transports and clients are stand-ins; who is picked, and
whatever is sent, is checked at that moment.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection
from dataclasses import replace
from typing import Any, cast

from gateway.call import Call, State
from gateway.clock import Clock, Timers
from gateway.config.balances import parse_balance
from gateway.limits import Limits
from gateway.parse import Parsers
from gateway.plan import Plan, Snapshot
from gateway.routing import Router, Rule
from gateway.serve import Serve
from gateway.shapes import EdgeLimits, Retry
from gateway.state.memory import MemoryStore
from gateway.upstream.balance import Upstream
from gateway.upstream.dial import Dial
from gateway.upstream.ejection import Ejection
from gateway.upstream.endpoint import Endpoint
from gateway.upstream.forward import Forwarder
from gateway.upstream.health import Health, Watcher
from gateway.upstream.http1 import UpstreamConnection
from gateway.upstream.member import Member, endpoints
from gateway.upstream.resolve import Place, places
from gateway.upstream.sticky import compile_sessions

from .balancing import KEEP
from .calls import head_of
from .plans import plan_of
from .serving import POLLS, WALL, Conn, HandLoop

MEMBERS = (Member("a.test", 80), Member("b.test", 5000), Member("10.0.0.9", 80))
AGAIN = Retry(attempts=3, methods=frozenset({"GET"}), status=frozenset({503}), backoff=0.1)
MOST_SENT = {"/cursor": 2, "/take": 1, "/calls": 3, "/orders": 1}  # times one call may reach an endpoint


class Checked(Upstream):
    """Checks whom it picks."""

    def pick(self, tried: Collection[Endpoint] = (), call: Call | None = None, now: float = 0.0) -> Endpoint | None:
        found = super().pick(tried, call, now)
        left = [each for each in self.endpoints if each not in tried]
        assert (found is None) is (not left), "somebody gets the call while there is anybody"
        if found is not None:
            assert found in left, "no stranger, and nobody twice"
            assert not found.out or all(each.out for each in left), "nobody ill while another one is well"
        return found


class Wire:
    """The transport of a connection to an endpoint."""

    def __init__(self, fleet: Fleet, connection: UpstreamConnection) -> None:
        self.fleet = fleet
        self.connection = connection
        self.closing = False

    def write(self, data: bytes) -> None:
        assert not self.closing
        self.fleet.on_sent(self.connection)

    def abort(self) -> None:
        self.end(None)

    close = abort

    def end(self, error: Exception | None) -> None:
        if not self.closing:
            self.closing = True
            self.fleet.wires.remove(self)
            self.fleet.loop.call_soon(self.connection.connection_lost, error)

    def is_closing(self) -> bool:
        return self.closing

    def get_extra_info(self, name: str) -> None:
        return None

    def set_write_buffer_limits(self, high: int) -> None:
        """Nothing is ever full."""


class Fleet:
    """`at` is where names are, `drained` what an operator drained."""

    def __init__(self, balance: str, slow_start: float, ejects: Ejection | None, probes: Health | None) -> None:
        self.loop = HandLoop()
        loop = cast(asyncio.AbstractEventLoop, self.loop)
        self.timers, self.parsers = Timers(loop), Parsers(loop)
        self.at: dict[str, tuple[Place, ...]] = {"a.test": places(["10.0.0.1"]), "b.test": places(["10.0.1.1"])}
        self.drained: set[str] = set()
        self.members: tuple[Member, ...] = MEMBERS
        self.upstream = self._described(balance, slow_start, ejects, probes)
        self.known: set[Endpoint] = set()
        self.wires: list[Wire] = []
        self.sent = Counter[Call]()
        self.calls: list[Call] = []
        self.records: list[Call] = []
        plan = plan_of(self.upstream, retry=AGAIN)
        cursor, take = POLLS["template"], POLLS["origin"]
        self.plans = {
            "/cursor": replace(plan, hold=cursor), "/take": replace(plan, hold=take), "/calls": plan, "/orders": plan,
        }  # fmt: skip
        router = Router([(Rule(None, path, ()), each) for path, each in self.plans.items()])
        snapshot = Snapshot(router, tuple(self.plans.values()), EdgeLimits(), {"up": self.upstream})
        self.forwarder = Forwarder(loop, self.parsers, self.timers)
        self.serve = Serve(
            snapshot, Clock(self.loop.time, lambda: WALL + self.loop.now), self.timers, self.forwarder,
            Limits(loop, self.timers, MemoryStore()), self.records.append,
        )  # fmt: skip
        self.watcher = Watcher(self.upstream, self.timers, lambda event: None, lambda *probe: None)
        self.settle()

    def _described(self, balance: str, slow_start: float, ejects: Ejection | None, probes: Health | None) -> Checked:
        spread = parse_balance(balance)
        sessions = compile_sessions(spread, "json:/sid", "0", KEEP) if spread.kind == "sticky" else None
        made = Checked("up", spread, sessions=sessions, slow_start=slow_start)
        made.ejection, made.health = ejects, probes
        return made

    def settle(self) -> None:
        """Names or operators changed who the members are."""
        self.upstream.become(self._wanted(self.upstream))
        self.watcher.renew()
        self.known.update(self.upstream.endpoints)

    def _wanted(self, upstream: Upstream) -> list[Endpoint]:
        return list(endpoints(upstream, self.members, self.drained, lambda host: self.at.get(host, ())))

    def reload(self, balance: str, slow_start: float, ejects: Ejection | None, probes: Health | None) -> None:
        fresh = self._described(balance, slow_start, ejects, probes)
        self.drained = set()
        fresh.endpoints = self._wanted(fresh)
        self.upstream.adopt(fresh)
        self.watcher.renew()
        self.known.update(self.upstream.endpoints)

    def call(self, path: str, sid: str | None) -> Call:
        head = head_of(f"{path}?sid={sid}" if sid else path, method="POST" if path == "/orders" else "GET")
        made = Call(cast(Any, None), self.serve, "0" * 32, head, f"192.0.2.{len(self.calls) % 7}", self.loop.now)
        made.conn = cast(Any, Conn(cast(Any, _OneCall(made, self.serve))))
        self.calls.append(made)
        self.serve.open(made)
        return made

    def on_sent(self, connection: UpstreamConnection) -> None:
        call = connection.call
        assert call is not None and call.endpoint is connection.endpoint
        self.sent[call] += 1
        assert self.sent[call] <= MOST_SENT[call.path], "sent more often than it may be"

    @property
    def dials(self) -> list[Dial]:
        return [cast(Any, call.up) for call in self.calls if isinstance(cast(Any, call.up), Dial)]

    @property
    def asked(self) -> list[Wire]:
        return [wire for wire in self.wires if wire.connection.call is not None]

    def connect(self, dial: Dial, error: OSError | None = None) -> None:
        """A dial ends so."""
        task, dial.task = dial.task, None
        if task is not None:
            task.cancel()
        if error is not None:
            self.forwarder._failed(dial, error)
            return
        connection = UpstreamConnection(dial.endpoint, self.parsers, self.timers)
        self.wires.append(Wire(self, connection))
        connection.connection_made(cast(Any, self.wires[-1]))
        self.forwarder._connected(dial, connection)

    def answer(self, wire: Wire, status: int, body: bytes = b"[1]", keep: bool = True) -> None:
        said = "keep-alive" if keep else "close"
        head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\nConnection: {said}\r\n\r\n"
        wire.connection.data_received(head.encode() + body)

    @property
    def plan(self) -> Plan:
        return self.plans["/calls"]

    def check_counts(self) -> None:
        """What is counted is what is there."""
        alive = [call for call in self.calls if call.state is not State.SETTLED]
        for endpoint in self.known:
            assert endpoint.held == sum(endpoint.lease in call.leases for call in alive)
        assert self.upstream.held == sum(endpoint.held for endpoint in self.known)
        self.calls = alive


class _OneCall:
    """As much of a scene as `Conn` asks for."""

    def __init__(self, call: Call, serve: Serve) -> None:
        self.call = call
        self.serve = serve
