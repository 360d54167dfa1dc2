"""From an admitted call to a request on an endpoint's connection: choose, connect, send, and the one replay a cursor
poll may have. Nothing is sent twice that an upstream may have seen, except such a poll (DESIGN.md section 4).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gateway.clock import Timers
from gateway.holds import ask, budget
from gateway.parse import Parsers
from gateway.pipeline import Refusal
from gateway.upstream import failure
from gateway.upstream.headers import request_head
from gateway.upstream.http1 import UpstreamConnection

if TYPE_CHECKING:
    from gateway.call import Call
    from gateway.plan import Plan
    from gateway.upstream.balance import Endpoint

MAX_DIALS = 3  # endpoints tried for one call before it fails
_REPEATABLE = frozenset({"cursor"})


class Dial:
    """A connection being made for a call: stands in `call.up` until there is one. A task lives only this long."""

    __slots__ = ("task", "tried")

    def __init__(self, tried: tuple[Endpoint, ...]) -> None:
        self.task: asyncio.Task[None] | None = None
        self.tried = tried

    def cancel(self) -> None:
        if self.task is not None:
            self.task.cancel()

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def upload(self, data: bytes, ended: bool) -> None:
        raise AssertionError("a body is read only once its head is sent")


class Forwarder:
    __slots__ = ("_loop", "_parsers", "_timers")

    def __init__(self, loop: asyncio.AbstractEventLoop, parsers: Parsers, timers: Timers) -> None:
        self._loop = loop
        self._parsers = parsers
        self._timers = timers

    def forward(self, call: Call, plan: Plan, tried: tuple[Endpoint, ...] = ()) -> Refusal | None:
        """Begins to forward; a Refusal when there is nobody to forward to. What happens later arrives as events."""
        upstream = plan.upstream
        if upstream.held >= upstream.max_held:
            return failure.OVERLOADED
        endpoint = upstream.pick(tried)
        if endpoint is None:
            return failure.REFUSED
        call.endpoint = endpoint
        call.leases = (*call.leases, endpoint.lease.take())
        call.attempts += 1
        connection = endpoint.take_idle(self._timers.now(), fresh=not repeatable(call))
        if connection is not None:
            self._send(call, plan, connection)
            return None
        self._timers.arm(call, min(self._timers.now() + plan.connect_timeout, call.deadline))
        dial = call.up = Dial((*tried, endpoint))
        dial.task = self._loop.create_task(self._connect(call, plan, endpoint, dial))
        return None

    async def _connect(self, call: Call, plan: Plan, endpoint: Endpoint, dial: Dial) -> None:
        connection = UpstreamConnection(endpoint, self._parsers, self._timers)
        try:
            await self._loop.create_connection(
                lambda: connection,
                endpoint.host,
                endpoint.port,
                ssl=endpoint.tls,
                server_hostname=endpoint.server_name,
            )
        except OSError as error:
            self._next(call, plan, dial, *failure.of_connect(error))
            return
        except asyncio.CancelledError:
            connection.close()  # it may have been made in the very turn that cancelled us
            raise
        dial.task = None
        try:
            self._send(call, plan, connection)
        except Exception as error:
            connection.cancel()
            self._loop.call_exception_handler({"message": "a call could not be sent", "exception": error})
            call.serve.on_failure(call, failure.INTERNAL, "send")

    def connect_timed_out(self, call: Call, plan: Plan, dial: Dial) -> None:
        dial.cancel()
        self._next(call, plan, dial, failure.CONNECT_TIMEOUT, "timeout")

    def _next(self, call: Call, plan: Plan, dial: Dial, refusal: Refusal, note: str) -> None:
        """Not a byte was sent, so any call may try the next endpoint."""
        call.up = None
        self._give_back(call, dial.tried[-1])
        if len(dial.tried) >= MAX_DIALS or self.forward(call, plan, dial.tried) is not None:
            call.serve.on_failure(call, refusal, note)

    def _give_back(self, call: Call, endpoint: Endpoint) -> None:
        endpoint.lease.release()
        call.leases = tuple(lease for lease in call.leases if lease is not endpoint.lease)

    def _send(self, call: Call, plan: Plan, connection: UpstreamConnection) -> None:
        """Writes the head with the wish as it is now: what connecting took is no longer there to be held."""
        head = call.head
        assert head is not None
        now = self._timers.now()
        query, wish, left = head.query, None, None
        if call.hold is not None:
            left = budget.wait_left(call.hold, call.granted or 0.0, call.deadline, now)
            if left is None:
                connection.close()
                call.up = None
                call.serve.on_late(call)
                return
            if call.rewrite:
                query, wish = ask.write(call.hold, head, left)
                call.upstream_due = budget.due(call.hold, left, now)
        raw = request_head(call, plan, head, connection.endpoint, query, wish, left)
        if call.sent_at is None and not head.has_body and repeatable(call):
            call.replay_head = raw
        call.head = None  # a parked call keeps no head
        call.up = connection
        call.sent_at = now
        self._timers.arm(call, call.deadline if call.hold is not None else now + plan.response_timeout)
        connection.start(call, raw, head.chunked, head.has_body)
        if head.has_body:
            call.conn.start_upload(head.expect)

    def replay(self, call: Call, plan: Plan) -> Refusal | None:
        """Sends a cursor poll whose connection died once more, on another endpoint where there is one, with what is
        left of its hold. The head is read back from the bytes it was forwarded as."""
        endpoint, raw = call.endpoint, call.replay_head
        assert endpoint is not None and raw is not None
        parsed = self._parsers.request(raw, "http")
        assert not isinstance(parsed, Refusal)
        head = parsed[0]
        head.path, head.query = call.path, call.query
        head.scheme = head.headers.get("X-Forwarded-Proto", "http")
        head.host = head.headers.get("X-Forwarded-Host", "")
        call.head, call.replay_head = head, None
        self._give_back(call, endpoint)
        return self.forward(call, plan, (endpoint,) if len(plan.upstream.endpoints) > 1 else ())


def repeatable(call: Call) -> bool:
    """Whether the dialect lets a poll be sent again although the upstream may have seen it."""
    return call.hold is not None and call.hold.replay in _REPEATABLE
