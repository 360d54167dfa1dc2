"""The Call: the one object of a request, filled forward. Each field has one writer, named beside it. While a poll is
parked this object, its two sockets and one timer slot are all that is alive; nothing else is kept for settling.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from gateway.clock import NEVER

if TYPE_CHECKING:
    from gateway.head import RequestHead, ResponseHead
    from gateway.holds.plan import HoldPlan, Recalled
    from gateway.identity.claims import Identity
    from gateway.outcome import Outcome
    from gateway.pipeline import Reply
    from gateway.plan import Plan
    from gateway.policies.websocket import Offer
    from gateway.serve import Serve
    from gateway.sides import Conn, Up
    from gateway.state.store import Keys
    from gateway.streams import Stream
    from gateway.telemetry.trace import Arrival
    from gateway.upstream.endpoint import Endpoint


class State(IntEnum):
    """Where a call stands. The columns of the event table in `serve`."""

    OPENING = 0  # the head is read, nothing decided
    ADMITTING = 1  # steps are running
    WAITING = 2  # a step waits for something (keys, a queue)
    PARKED = 3  # forwarded (or being connected); the upstream has not begun to answer
    RELAYING = 4  # the answer is passing through
    TUNNELLING = 5  # after a 101: bytes pass both ways
    SETTLED = 6


# As globals, for the reason in `outcome`.
OPENING: Final[State] = State.OPENING
ADMITTING: Final[State] = State.ADMITTING
WAITING: Final[State] = State.WAITING
PARKED: Final[State] = State.PARKED
RELAYING: Final[State] = State.RELAYING
TUNNELLING: Final[State] = State.TUNNELLING
SETTLED: Final[State] = State.SETTLED


class Lease:
    """Capacity borrowed, given back exactly once: the release is written next to the acquire, settle calls it."""

    __slots__ = ()

    def release(self) -> None:
        raise NotImplementedError


NO_LEASES: Final[tuple[Lease, ...]] = ()  # to a compiler `()` itself is a type that has room for none


class Try(NamedTuple):
    """An attempt that brought no answer, or none that counts. Instants in loop seconds."""

    endpoint: "Endpoint"
    began: float
    ended: float
    sent: bool
    outcome: "Outcome"
    status: int = 0


class Call:
    __slots__ = (
        # open (edge)
        "conn", "serve", "id", "head", "method", "path", "query", "peer", "started", "framing", "bytes_in", "arrival",
        # route
        "plan", "params", "origin", "upgrade",
        # ask: is it a poll, and for how long (seconds)
        "hold", "asked", "told", "recalled", "key", "teaches",
        # identify
        "identity",
        # limit: instants in loop seconds
        "granted", "clamped_by", "deadline", "upstream_due", "rewrite", "blank",
        # take (the store's transaction) and, in line for it, `waiting`; settle gives back
        "charges", "charged", "leases", "waited",
        # forward
        "up", "endpoint", "affinity", "attempts", "tries", "sent_at", "first_byte_at", "wire", "wait_sent", "cursor",
        # relay
        "status", "bytes_out", "sample", "stream", "ending", "news_latency",
        # settle
        "state", "outcome", "ended", "note",
        # timers
        "due", "filed",
    )  # fmt: skip

    def __init__(
        self, conn: Conn, serve: Serve, call_id: str, head: RequestHead | None, peer: str, started: float
    ) -> None:
        self.conn: Conn = conn
        self.serve = serve
        self.id = call_id
        self.head = head  # dropped when the call is parked
        self.method = head.method if head is not None else ""
        self.path = head.path if head is not None else ""
        self.query = head.query if head is not None else ""
        self.peer = peer
        self.started = started
        self.framing = head.framing if head is not None else None
        self.bytes_in = 0
        self.arrival: Arrival | None = None  # what its spans will show of the head
        self.plan: Plan | None = None
        self.params: dict[str, str] | None = None
        self.origin: str | None = None
        self.upgrade: Offer | None = None  # the change of protocol it asks for, where its route has that
        self.hold: HoldPlan | None = None
        self.asked: float | None = None
        self.told: float = NEVER  # what the upstream understands if nothing is rewritten
        self.recalled: Recalled = ()  # values of the request that the answer is compared with
        self.key: str | None = None  # as what it polls, where the dialect has a rule about that
        self.teaches = 0  # what its answer may tell of a session: 1 how long its polls are held, 2 what it is called
        self.identity: Identity | None = None
        self.granted: float | None = None
        self.clamped_by: str | None = None
        self.deadline: float = NEVER
        self.upstream_due: float = NEVER
        self.rewrite = False  # the wish is written into the forwarded request
        self.blank: Reply | None = None  # the no-news answer we may give
        self.up: Up | None = None
        self.endpoint: Endpoint | None = None
        self.affinity: str | bytes | None = None  # what of the request decided about its endpoint
        self.attempts = 0
        self.tries: tuple[Try, ...] = ()  # attempts that are over without an answer, after which another could follow
        self.sent_at: float | None = None  # to the endpoint where it is now
        self.first_byte_at: float | None = None
        self.wire: bytes | None = None  # the head as forwarded: until it is sent, or while it may be sent again
        self.wait_sent: float | None = None  # seconds
        self.cursor: str | None = None
        self.leases = NO_LEASES
        self.status = 0
        self.bytes_out = 0
        self.sample: tuple[ResponseHead, bytes] | None = None  # a short answer, until its end
        self.stream: Stream | None = None  # where its answer is one of events
        self.ending: Outcome | None = None  # how the call will end if nothing comes between
        self.news_latency: float | None = None  # seconds from the first byte of news to ours handed on
        self.charges: Keys = ()  # who paid for it under each limit, in the order of `plan.shown`
        self.charged = False  # and has not got back
        self.waited = 0.0  # seconds in line for a limit
        self.state = State.OPENING
        self.outcome: Outcome | None = None
        self.ended: float | None = None
        self.note: str | None = None
        self.due = NEVER
        self.filed = NEVER

    @property
    def poller(self) -> str:
        """Who polls, as caps tell pollers apart: the consumer, a stranger's address."""
        return self.identity.consumer if self.identity is not None else self.peer

    @property
    def parked_at(self) -> float | None:
        """When it was first sent to an endpoint: a poll that is sent again is parked all the while."""
        return next((each.began for each in self.tries if each.sent), self.sent_at) if self.tries else self.sent_at

    @property
    def began_early(self) -> bool:
        """Whether its answer began as the dialect's do before there is news: then its first byte says nothing. An error
        is an answer from its first byte on."""
        hold = self.hold
        return hold is not None and hold.early_headers and self.first_byte_at is not None and self.status < 400

    @property
    def held_on(self) -> bool:
        """Whether it is still held although its answer has begun."""
        return self.state is State.RELAYING and self.up is not None and self.began_early

    def held(self, ended: float) -> float:
        """Seconds it was parked, of a poll that ended then: until its answer came, or to its end."""
        since = self.parked_at
        if since is None:
            return 0.0
        answered = self.first_byte_at if not self.began_early else None
        return (answered if answered is not None else ended) - since

    @property
    def lasts(self) -> bool:
        """Whether it may be a stream of events, or a tunnel: no hold, and yet without an end of its own."""
        return self.stream is not None or self.upgrade is not None

    def passing(self, ended: float) -> float:
        """Seconds that such a call passed through, of one that ended then; 0 where it came to nothing."""
        began = self.stream is not None or self.status == 101
        return ended - self.first_byte_at if began and self.first_byte_at is not None else 0.0

    @property
    def evictable(self) -> bool:
        """Whether this call can be ended to make room: a parked poll that we may tell "no news", or a tunnel. One that
        is kept back for another was never sent, so it may also be told that it lost."""
        if self.state is State.TUNNELLING:
            return True
        if self.state is State.WAITING and self.hold is not None and self.hold.tells_apart:
            return self.up is not None
        return self.blank is not None and self.state in (State.WAITING, State.PARKED)

    def on_due(self, now: float) -> None:
        """The one clock of this call ran out (`clock.Timers`)."""
        self.serve.on_deadline(self, now)
