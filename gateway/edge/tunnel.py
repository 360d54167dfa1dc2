"""After a 101: two connections glued together. What one side sends goes to the other as it comes, a side that takes
nothing stops the other, and an end on one side is passed on to the other. `serve` decides when a tunnel has to end; of
a WebSocket that is said in a Close frame, between two frames of what passes.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from gateway.clock import NEVER, Timers
from gateway.edge.halves import Frames, Half
from gateway.outcome import Outcome
from gateway.upstream import failure

if TYPE_CHECKING:
    from gateway.call import Call
    from gateway.edge.http1 import Downstream
    from gateway.upstream.http1 import UpstreamConnection

# Seconds a side has for its part of an end: to take what is left for it, to answer a Close, to close.
CLOSING: Final = 5.0


class Tunnel:
    """Both sides. Stands in `call.up` from the 101 on; tells `serve` once, when both connections are lost."""

    __slots__ = (
        "_call",
        "_conn",
        "_failed",
        "_settled",
        "_timers",
        "_up",
        "client",
        "closing",
        "due",
        "filed",
        "upstream",
    )

    def __init__(self, call: Call, conn: Downstream, up: UpstreamConnection, timers: Timers, *, framed: bool) -> None:
        assert conn.transport is not None and up.transport is not None
        self._call: Call | None = call
        self._conn = conn
        self._up = up
        self._timers = timers
        self._failed: tuple[Half, Exception] | None = None  # who broke it off
        self.closing = False
        self.due = NEVER
        self.filed = NEVER
        ours, theirs = conn.transport, up.transport
        if framed:
            self.client: Half = Frames(self, ours, theirs, timers, masked=True)
            self.upstream: Half = Frames(self, theirs, ours, timers, masked=False)
        else:
            self.client, self.upstream = Half(self, ours, theirs, timers), Half(self, theirs, ours, timers)
        self.client.other, self.upstream.other = self.upstream, self.client

    def open(self, head: bytes, early: bytes, data: bytes) -> None:
        """Sends the 101. `early` is what the client sent before it, `data` what the upstream sent right behind it."""
        # As on the client's side: what is not taken at once stops the other side, and is no more than one read of it.
        self.upstream.transport.set_write_buffer_limits(high=0 if self._up.endpoint.tls is None else 1)
        for half in (self.client, self.upstream):
            half.transport.set_protocol(half)
        self.upstream.write(head)
        if early:
            self.client.data_received(early)
        if data:
            self.upstream.data_received(data)

    # -- what `serve` asks for -----------------------------------------------------------------------------------

    @property
    def last(self) -> float:
        """When something came from either side (loop seconds)."""
        return max(self.client.last, self.upstream.last)

    @property
    def passed(self) -> tuple[int, int]:
        """Bytes that came from the client, and from the upstream."""
        return self.client.count, self.upstream.count

    def end(self, code: int) -> None:
        """Ends it: each side is told in a frame where there are frames, and has a moment to answer. Other protocols
        have no word for that: they are cut off so that nobody takes it for their own end."""
        if self.closing:
            return
        self.closing = True
        if self.client.transport.is_closing() or self.upstream.transport.is_closing():
            return  # it has begun to end by itself, and has a clock for that
        if not (self.client.finish(code) and self.upstream.finish(code)):
            self._cut()
            return
        self.client.leave()
        self.upstream.leave()
        self._timers.arm(self, self._timers.now() + CLOSING)

    def cancel(self) -> None:
        """The call is over: so are both connections, at once."""
        self._call = None
        self._cut()

    def pause(self) -> None:
        """Each side stops the other by itself."""

    def resume(self) -> None:
        """As `pause`."""

    def upload(self, data: bytes, ended: bool) -> None:
        raise AssertionError("what a client sends through a tunnel is no body")

    # -- how it ends ---------------------------------------------------------------------------------------------

    def passes_end(self, half: Half) -> bool:
        """One side has shut its sending side. TLS cannot pass that on but as the end of everything, and when both have
        said it there is nothing left to wait for. A WebSocket whose one side is at an end has only a moment."""
        other = half.other
        if self.closing:
            return False
        if other.ended or not (half.transport.can_write_eof() and other.transport.can_write_eof()):
            self._close(other)
            return False
        with suppress(OSError, RuntimeError):  # it left meanwhile; its end is still to come
            other.transport.write_eof()
        if isinstance(half, Frames):
            self._timers.arm(self, self._timers.now() + CLOSING)
        return True

    def _close(self, half: Half) -> None:
        """Closes a side once it has taken what is left for it, or has had its time."""
        half.transport.close()
        if self.filed == NEVER:
            self._timers.arm(self, self._timers.now() + CLOSING)

    def on_due(self, now: float) -> None:
        """Somebody did not do his part in time."""
        self._cut()

    def _cut(self) -> None:
        if self.client.transport.is_closing():
            self.client.transport.abort()
        elif not self.client.gone:
            self._conn.abort(reset=True)
        if not self.upstream.gone:
            self.upstream.transport.abort()

    def lost(self, half: Half, exc: Exception | None) -> None:
        other = half.other
        if half is self.client:
            self._conn.transport = None
        if other.gone:
            self._timers.cancel(self)
            try:
                self._tell()
            finally:  # whatever became of the record, both connections are counted off
                self._conn.connection_lost(None)
                self._up.connection_lost(None)
        elif self.closing and half.said:
            return  # the other side was told, and has its time to answer
        elif exc is None or self.closing or half.over or other.over:
            self._close(other)
        else:
            self._failed = (half, exc)
            self._cut()

    def _tell(self) -> None:
        call, self._call = self._call, None
        if call is None:
            return
        if self._failed is None:
            call.serve.on_end(call)
        elif self._failed[0] is self.client:
            call.serve.on_gone(call, Outcome.CLIENT_GONE)
        else:
            call.serve.on_failure(call, *failure.of_loss(self._failed[1]))
