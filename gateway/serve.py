"""The life of a call: run the admission without a task, then react to events until it is settled, once. The table at
the end says what each event does in each state; how it is done stands in `life`. Knows no sockets: `call.conn` and
`call.up` are told what to do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from gateway import refusals
from gateway.call import PARKED, Call, State
from gateway.clock import Clock, Timers
from gateway.drain import Drain
from gateway.head import ResponseHead
from gateway.life.tunnelling import Tunnelling
from gateway.limits import Limits
from gateway.outcome import Outcome
from gateway.pipeline import Refusal, Verdict
from gateway.sides import READING
from gateway.upstream.forward import Forwarder
from gateway.upstream.http1 import UpstreamConnection

if TYPE_CHECKING:
    from gateway.plan import Snapshot
    from gateway.state.notes import Notes


class Serve(Tunnelling):
    """Takes calls from the edge and settles each exactly once, which hands it to `settled` for its record."""

    def __init__(self, snapshot: Snapshot, clock: Clock, timers: Timers, forwarder: Forwarder, limits: Limits,
                 settled: Callable[[Call], None]) -> None:  # fmt: skip
        super().__init__(snapshot, clock, timers, forwarder, limits, settled)
        self._table = {event: tuple(getattr(self, row.get(state, "_ignore")) for state in State)
                       for event, row in TABLE.items()}  # fmt: skip

    def share(self, notes: Notes) -> None:
        """What is remembered of earlier answers is shared with other workers."""
        self._memory.share(notes)

    def on_resumed(self, call: Call, done: asyncio.Future[Verdict], index: int) -> None:
        """A step that waited has its verdict."""
        self._table["resumed"][call.state](call, done, index)

    def on_turn(self, call: Call) -> None:
        """A call that waits in line is first, and there may be room."""
        self._table["turn"][call.state](call)

    def on_head(self, call: Call, head: ResponseHead, data: bytes, ended: bool, framed: bytes | None = None) -> None:
        """The upstream began to answer; `data` is the part of the body that came along, `framed` that in its chunks."""
        self._table["head"][call.state](call, head, data, ended, framed)

    def on_switch(self, call: Call, head: ResponseHead, up: UpstreamConnection, data: bytes) -> None:
        """The upstream says that it changed the protocol; `data` is what it sent right behind its 101."""
        self._table["switch"][call.state](call, head, up, data)

    def on_interim(self, call: Call, head: ResponseHead) -> None:
        """The upstream said something before its answer (1xx)."""
        self._table["interim"][call.state](call, head)

    def on_body(self, call: Call, data: bytes, framed: bytes | None = None) -> None:
        self._table["body"][call.state](call, data, framed)

    def on_end(self, call: Call) -> None:
        self._table["end"][call.state](call)

    def on_failure(self, call: Call, refusal: Refusal, note: str) -> None:
        """The upstream failed; `refusal` says how the client is told if it can still be told."""
        self._table["failure"][call.state](call, refusal, note)

    def on_late(self, call: Call) -> None:
        """Connecting took so long that no hold worth sending is left."""
        self._table["late"][call.state](call)

    def hear(self, call: Call) -> None:
        """An answer that has come and waits for its turn (`rush`) is told before anything else ends the call."""
        if call.state is PARKED and isinstance(call.up, UpstreamConnection):
            call.up.hear()

    def on_deadline(self, call: Call, now: float) -> None:
        self.hear(call)
        try:
            self._table["deadline"][call.state](call, now)
        except Exception:
            self.refuse(call, refusals.INTERNAL)  # or it would be parked for ever, without a clock
            raise

    def on_gone(self, call: Call, outcome: Outcome = Outcome.CLIENT_GONE) -> None:
        """The client left, or took nothing for too long."""
        self._table["gone"][call.state](call, outcome)

    def on_whole(self, call: Call, body: bytes | None) -> None:
        """The request body that was asked for is complete; None: it is longer than was allowed."""
        if call.up is READING:
            call.up = None
            self._table["whole"][call.state](call, body)

    def on_upload(self, call: Call, data: bytes, ended: bool) -> None:
        """A piece of the request body arrived."""
        self._table["upload"][call.state](call, data, ended)

    def on_bad_upload(self, call: Call, refusal: Refusal) -> None:
        """The request body is malformed, too large or too slow."""
        self._table["bad_upload"][call.state](call, refusal)

    def on_choked(self, call: Call) -> None:
        """The client reads slower than the upstream sends."""
        self._table["choked"][call.state](call)

    def on_drained(self, call: Call) -> None:
        """Everything written to the client has left our buffer."""
        self._table["drained"][call.state](call)

    def on_evict(self, call: Call) -> None:
        """Somebody else takes this call's place."""
        self._table["evict"][call.state](call)

    def on_superseded(self, call: Call) -> None:
        """A newer poll of the same poller was let in."""
        self.hear(call)
        self._table["superseded"][call.state](call)

    def on_revoked(self, call: Call) -> None:
        """The caller may no longer be served."""
        self._table["revoked"][call.state](call)

    def on_drain(self, call: Call, drain: Drain) -> None:
        """The process is going to end: every call gets its instant within the window."""
        self._table["drain"][call.state](call, drain)


S = State
TABLE: dict[str, dict[State, str]] = {
    "resumed": {S.WAITING: "_resume", S.SETTLED: "_forget"},
    "turn": {S.WAITING: "_turn"},
    "whole": {S.WAITING: "_read"},
    "interim": {S.PARKED: "_hint"},
    "head": {S.PARKED: "_begin"},
    "switch": {S.PARKED: "_switch"},
    "body": {S.RELAYING: "_relay"},
    "end": {S.RELAYING: "_end", S.TUNNELLING: "_over"},
    "failure": {S.PARKED: "_fail", S.RELAYING: "_truncate", S.TUNNELLING: "_broken"},
    "late": {S.PARKED: "_late"},
    "deadline": {S.WAITING: "_overdue", S.PARKED: "_overdue", S.RELAYING: "_stall", S.TUNNELLING: "_rest"},
    "gone": {
        S.OPENING: "_leave",
        S.ADMITTING: "_leave",
        S.WAITING: "_leave",
        S.PARKED: "_leave",
        S.RELAYING: "_leave",
        S.TUNNELLING: "_left",
    },
    "upload": {S.PARKED: "_pass_on", S.RELAYING: "_pass_on"},
    "bad_upload": {S.WAITING: "_reject_upload", S.PARKED: "_reject_upload", S.RELAYING: "_break_off"},
    "choked": {S.RELAYING: "_hold_back"},
    "drained": {S.RELAYING: "_go_on"},
    "evict": {S.WAITING: "_evict", S.PARKED: "_evict", S.TUNNELLING: "_yield"},
    "superseded": {S.WAITING: "_give_way", S.PARKED: "_give_way", S.RELAYING: "_break_hold"},
    "revoked": {S.WAITING: "_revoke", S.PARKED: "_revoke", S.RELAYING: "_cut", S.TUNNELLING: "_shut"},
    "drain": {
        S.WAITING: "_wind_down",
        S.PARKED: "_wind_down",
        S.RELAYING: "_wind_down",
        S.TUNNELLING: "_wind_up",
    },
}
