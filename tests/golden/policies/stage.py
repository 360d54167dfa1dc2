"""The stage of `gateway explain` with room for several clients: one serve, as many connections as are needed, an
upstream that says what a test has it say. No socket is opened and no time passes by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from gateway.call import Call, State
from gateway.clock import NEVER
from gateway.config.compile import compile_config
from gateway.config.settings import Config
from gateway.drain import Drain
from gateway.edge.http1 import Downstream
from gateway.explain.scene import Scene, Wire
from gateway.holds.plan import HoldPlan
from gateway.identity.issue import issue
from gateway.plan import Snapshot
from gateway.policies.rate_limit import Screen
from gateway.state.memory import MemoryStore
from gateway.upstream.repeat import Pause
from tests.golden.policies.shelf import configured
from tests.unit.config.kit import ENVIRON, sound

NOW = 1_800_000_000.0
PEER = "192.0.2.7"
BODILESS = (204, 304)
_ROUNDS = 3  # of stocking: connections enough for two clients and a repetition each


class Said(NamedTuple):
    """An answer a client got."""

    status: int
    headers: dict[str, str]  # names in lower case
    body: str


@cache
def attached(name: str, signed: bool, more: str = "") -> Config:
    """A shipped policy attached to a route, read and checked as `gateway run` would."""
    with TemporaryDirectory() as folder:
        return sound(Path(folder), configured(name, signed, more))


def token(name: str, scope: str) -> str:
    """A token for the signed route of that policy."""
    return issue(attached(name, True).jwt["main"], "alice", 3600.0, {"scope": scope}, now=NOW, environ=ENVIRON)


def request(described: Mapping[str, Any], *fields: str) -> bytes:
    """The bytes of `request = "GET /x"`, `headers = ["A: b"]` and `body = ".."`."""
    lines = [f"{described['request']} HTTP/1.1", *described.get("headers", ()), *fields]
    body = described.get("body", "").encode()
    if not any(line.lower().startswith("host:") for line in lines):
        lines.insert(1, "Host: h")
    if "body" in described:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join((*lines, "", "")).encode() + body


def answer(described: Mapping[str, Any]) -> tuple[bytes, bytes]:
    """Head and body of `status = 200`, `headers = ["A: b"]`, `body = ".."`."""
    status, body = described.get("status", 200), described.get("body", "").encode()
    length = () if status in BODILESS else (f"Content-Length: {len(body)}",)
    return "\r\n".join((f"HTTP/1.1 {status} Said", *described.get("headers", ()), *length, "", "")).encode(), body


class Client:
    """One client's connection, and what became of the request it sent."""

    def __init__(self, stage: Stage, connection: Downstream) -> None:
        self._stage = stage
        self._connection = connection
        self._wire = Wire(PEER)
        self._call: Call | None = None
        connection.connection_made(self._wire)

    def send(self, raw: bytes) -> None:
        self._connection.data_received(raw)
        self._call = self._connection.call or self._stage.last_settled

    @property
    def call(self) -> Call:
        assert self._call is not None
        return self._call

    @property
    def answer(self) -> Said | None:
        """What it was told, None while it waits or when its connection was just closed."""
        head, found, body = self._wire.written.partition(b"\r\n\r\n")
        if not found:
            return None
        first, *lines = head.decode("latin-1").split("\r\n")
        fields = (line.partition(": ") for line in lines)
        return Said(int(first.split(" ")[1]), {name.lower(): value for name, _, value in fields}, body.decode())

    @property
    def fate(self) -> str:
        """ "held", "waits", or how it ended: "drained 503", "drained closed"."""
        call = self.call
        if call.outcome is None:
            return {State.WAITING: "waits", State.PARKED: "held"}.get(call.state, call.state.name.lower())
        return f"{call.outcome.value} {self.answer.status if self.answer is not None else 'closed'}"


class Stage(Scene):
    """One serve of one policy. The client a Scene brings along stays silent; each `join` adds one that speaks."""

    def __init__(self, config: Config, snapshot: Snapshot) -> None:
        super().__init__(config, snapshot, NOW, PEER)
        for _ in range(_ROUNDS):
            self._stock(self.serve._timers)
        self._clients: list[Downstream] = []

    @property
    def plan(self) -> HoldPlan:
        """The dialect, as it compiled."""
        hold = self.serve.snapshot.plans[0].hold
        assert hold is not None
        return hold

    @property
    def last_settled(self) -> Call | None:
        return self._settled[-1] if self._settled else None

    def join(self, raw: bytes) -> Client:
        """Another client, who sends these bytes."""
        connection = Downstream(self._client._edge, "http", PEER)
        self._clients.append(connection)
        client = Client(self, connection)
        client.send(raw)
        return client

    def ordered(self, call: Call) -> bytes:
        """What the upstream was sent for this call, b"" when nothing."""
        pair = next((pair for pair in self._connections if pair[0] is call.up), None)
        return pair[1].written if pair is not None else b""

    def says(self, call: Call, described: Mapping[str, Any]) -> None:
        """The upstream answers this call, the head first and the body in a piece of its own."""
        connection = next(pair[0] for pair in self._connections if pair[0] is call.up)
        head, body = answer(described)
        connection.data_received(head)
        if body:
            connection.data_received(body)

    def begins(self, call: Call) -> None:
        """The upstream begins to answer this call: a head, and a line feed that is no news yet."""
        connection = next(pair[0] for pair in self._connections if pair[0] is call.up)
        connection.data_received(b"HTTP/1.1 200 Said\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n\n\r\n")

    def breaks(self, call: Call) -> None:
        """The upstream closes the connection that carries this call, which was made for it."""
        connection, wire = next(pair for pair in self._connections if pair[0] is call.up)
        connection.idle_since = 0.0
        wire.close()
        connection.connection_lost(None)
        if isinstance(call.up, Pause):
            self.runs_out(call)

    def runs_out(self, call: Call) -> None:
        """Time passes until the call's own clock runs out, if it has one."""
        if call.due != NEVER:
            self.wait(call.due)
            call.on_due(self.now)

    def turn(self) -> None:
        """What was put off to the next turn of the loop happens. No time passes."""
        self._loop.call_soon(self._loop.stop)
        self._loop.run_forever()

    def drain_all(self, window: float) -> None:
        """SIGTERM, with that many seconds to end everything."""
        drain = self.serve.draining = Drain(self.now, self.now + window)
        for connection in self._clients:
            if connection.call is not None:
                self.serve.on_drain(connection.call, drain)

    def close(self) -> None:
        for connection in self._clients:
            if connection.call is not None:
                connection.connection_lost(None)
        super().close()


@contextmanager
def staged(name: str, more: str = "", signed: bool = False) -> Iterator[Stage]:
    config = attached(name, signed, more)
    stage = Stage(config, compile_config(config, lambda: NOW, ENVIRON, Screen(MemoryStore(), lambda: 0.0)))
    try:
        yield stage
    finally:
        stage.close()
