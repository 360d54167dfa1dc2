"""From an admitted call to a request on an endpoint's connection: choose, connect, send, and send again what may be.
Nothing is sent twice that an upstream may have seen, except a cursor poll and what `policies.retry` names.
A parsed head is turned into the bytes to send at once: what waits for a connection, or for a replay, is one string.
"""

from __future__ import annotations

import asyncio
import logging
import random
from typing import TYPE_CHECKING, Final

from gateway.call import Try
from gateway.clock import Timers
from gateway.head import RequestHead
from gateway.holds import ask, budget
from gateway.holds.content import Content, media_type
from gateway.holds.replay import REPLAY
from gateway.holds.rewrite import Rewrite
from gateway.outcome import Outcome
from gateway.parse import Parsers
from gateway.pipeline import Refusal
from gateway.policies import retry
from gateway.sockets import VANISHED_AFTER
from gateway.sparing import Sparing
from gateway.upstream import failure
from gateway.upstream.dial import Dial, Dialer
from gateway.upstream.headers import request_bytes
from gateway.upstream.http1 import UpstreamConnection

if TYPE_CHECKING:
    from gateway.call import Call
    from gateway.holds.plan import HoldPlan
    from gateway.plan import Plan
    from gateway.poller import Poller
    from gateway.upstream.endpoint import Endpoint

MAX_DIALS: Final = 3  # endpoints tried for one call before it fails
OPENED: Final = "upstream %s: no endpoint can be reached; until one can, calls get 503 at once"
CLOSED: Final = "upstream %s: it can be reached again"
logger = logging.getLogger("gateway")


class Forwarder:
    __slots__ = ("_closed", "_dialer", "_loop", "_opened", "_parsers", "_timers")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, parsers: Parsers, timers: Timers, vanished_after: float = VANISHED_AFTER,
        poller: Poller | None = None,
    ) -> None:  # fmt: skip
        self._loop = loop
        self._parsers = parsers
        self._timers = timers
        self._opened = Sparing[str](loop, lambda name, _: logger.warning(OPENED, name))
        self._closed = Sparing[str](loop, lambda name, _: logger.warning(CLOSED, name))
        self._dialer = Dialer(loop, parsers, timers, self._connected, self._failed, vanished_after, poller)

    def allow(self, connections: int) -> None:
        """At most so many connections to all endpoints together, as far as idle ones can be closed for new ones."""
        self._dialer.most_open = connections

    def forward(self, call: Call, plan: Plan, tried: tuple[Endpoint, ...] = ()) -> Refusal | None:
        """Begins to forward; a Refusal when there is nobody to forward to. What happens later arrives as events."""
        upstream = plan.upstream
        if upstream.held >= upstream.max_held:
            return failure.OVERLOADED
        now = self._timers.now()
        until = due(call, plan, now) if call.tries else call.deadline
        if now >= until and call.hold is None:
            return failure.TIMEOUT
        endpoint = upstream.pick(tried, call, now)
        if endpoint is None:
            return failure.REFUSED if tried else _unresolved(call)
        if not self._prepare(call, plan, endpoint, now):
            return failure.TOO_LATE
        fresh = call.hold is None or call.parked_at is not None or REPLAY[call.hold.replay].fresh
        connection = endpoint.take_idle(now, fresh)
        if connection is not None:
            upstream.circuit.spares(call)
        elif not upstream.circuit.lets(call, now):
            return failure.circuit_open(random.random())
        call.endpoint = endpoint
        call.leases = (*call.leases, endpoint.lease.take())
        call.attempts += 1
        if connection is not None:
            self._send(call, plan, connection, now)
        else:
            upstream.budget.begin(now)
            self._timers.arm(call, min(now + plan.connect_timeout, until))
            call.up = self._dialer.dial(call, (*tried, endpoint))
        return None

    def _prepare(self, call: Call, plan: Plan, endpoint: Endpoint, now: float) -> bool:
        """Writes `wire`, the request as that endpoint shall get it (its body only where that was read whole), with the
        wait that is left now; False when too little is left to be worth sending. The parsed head is dropped."""
        head = call.head or self._read_back(call)
        wish, left = Rewrite(head.query), None
        if call.hold is not None:
            left = budget.wait_left(call.hold, call.granted or 0.0, call.deadline, now)
            if left is None:
                return False
            if call.rewrite:
                wish = ask.write(call.hold, head, left)
            call.upstream_due = budget.due(call.hold, left if call.rewrite else call.told, now)
        call.wire = request_bytes(call, plan, head, endpoint, wish, left)
        call.wait_sent = left
        call.head = None
        return True

    def _read_back(self, call: Call) -> RequestHead:
        """The head of a call, from the bytes it was forwarded as (what the gateway added is added anew)."""
        raw, _, body = (call.wire or b"").partition(b"\r\n\r\n")
        fields = raw.partition(b"\r\n")[2].partition(b"\r\n")[2]  # behind the request line and Host
        parsed = self._parsers.request(
            b"%b / HTTP/1.1\r\nHost: x\r\n%b\r\n\r\n" % (call.method.encode(), fields), "http"
        )
        assert not isinstance(parsed, Refusal)
        head = parsed[0]
        head.path, head.query, head.params = call.path, call.query, call.params
        if call.framing is None and head.framing is not None:
            head.content = Content(body, media_type(head))
        head.scheme = head.headers.get("X-Forwarded-Proto", "http")
        head.host = head.headers.get("X-Forwarded-Host", "")
        return head

    def _connected(self, dial: Dial, connection: UpstreamConnection) -> None:
        call = dial.call
        plan, now = call.plan, self._timers.now()
        assert plan is not None
        if plan.upstream.circuit.connected(now) is not None:
            self._closed(plan.upstream.name)
        try:
            self._refresh(call, plan, dial.endpoint, now, connection)
        except Exception as error:
            connection.cancel()
            self._loop.call_exception_handler({"message": "a call could not be sent", "exception": error})
            call.serve.on_failure(call, failure.INTERNAL, "send")

    def _refresh(self, call: Call, plan: Plan, endpoint: Endpoint, now: float, connection: UpstreamConnection) -> None:
        """Sends, with a shorter wait when connecting took so long that the one prepared would end too late."""
        if _still_fits(call, now) or self._prepare(call, plan, endpoint, now):
            self._send(call, plan, connection, now)
        else:
            connection.close()
            call.up = None
            call.serve.on_late(call)

    def _send(self, call: Call, plan: Plan, connection: UpstreamConnection, now: float) -> None:
        raw = call.wire
        assert raw is not None
        hold = call.hold
        if call.framing is not None or len(raw) > retry.KEPT:
            call.wire = None  # it cannot be sent again
        elif hold is not None and (call.parked_at is not None or not repeatable(hold)):
            call.wire = None  # nor may this
        call.up = connection
        call.sent_at = now
        first = hold is None and not call.tries
        self._timers.arm(call, now + plan.response_timeout if first else due(call, plan, now))
        connection.start(call, raw)
        if call.framing is not None:
            call.conn.start_upload()

    def connect_timed_out(self, call: Call, plan: Plan, dial: Dial) -> None:
        dial.cancel()
        self._elsewhere(dial, plan, failure.CONNECT_TIMEOUT, "timeout")

    def _failed(self, dial: Dial, error: OSError | UnicodeError) -> None:
        plan = dial.call.plan
        assert plan is not None
        self._elsewhere(dial, plan, *failure.of_connect(error, dial.endpoint.places[0]))

    def _elsewhere(self, dial: Dial, plan: Plan, refusal: Refusal, note: str) -> None:
        """Not a byte was sent, so any call may try the next endpoint."""
        call = dial.call
        call.up = None
        call.tries = (*call.tries, Try(dial.endpoint, dial.since, self._timers.now(), False, refusal.outcome))
        self.give_back(call, dial.endpoint)
        self._note_refused(dial, plan, refusal)
        verdict = refusal if len(dial.tried) >= MAX_DIALS else self.forward(call, plan, dial.tried)
        if verdict is failure.TOO_LATE:
            call.serve.on_late(call)
        elif verdict is not None:
            call.serve.on_failure(call, refusal, note)

    def _note_refused(self, dial: Dial, plan: Plan, refusal: Refusal) -> None:
        upstream = plan.upstream
        upstream.told(dial.endpoint, refusal.outcome, since=dial.since)
        if refusal.outcome is not Outcome.UPSTREAM_REFUSED:  # but that we have no descriptor left
            return
        if upstream.circuit.refused(dial.endpoint, upstream.endpoints, self._timers.now()):
            self._opened(upstream.name)

    def give_back(self, call: Call, endpoint: Endpoint) -> None:
        endpoint.lease.release()
        call.leases = tuple(lease for lease in call.leases if lease is not endpoint.lease)


def due(call: Call, plan: Plan, now: float) -> float:
    """Until when a call that is sent waits for its answer, however often it is: a poll to its deadline."""
    if call.hold is not None:
        return call.deadline
    since = call.parked_at if call.tries else now
    return min((since if since is not None else now) + plan.response_timeout, call.deadline)


def _unresolved(call: Call) -> Refusal:
    """Its upstream has no endpoint at all: nobody knows where their names are."""
    call.note = "unresolved"
    return failure.UNRESOLVED


def _still_fits(call: Call, now: float) -> bool:
    wait = call.wait_sent
    return call.hold is None or wait is None or budget.wait_left(call.hold, wait, call.deadline, now) == wait


def repeatable(hold: HoldPlan) -> bool:
    """Whether the dialect lets a poll be sent again although the upstream may have seen it."""
    return REPLAY[hold.replay].again
