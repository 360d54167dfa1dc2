"""One client connection: HTTP/1.1 and 1.0, one call at a time, the next request kept as bytes until it is settled.
While a poll is parked there is no parser and no task here, and reading goes on, so that a hang-up is noticed at once.
What a call means is decided in `serve`; this file turns bytes into calls and answers into bytes.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from random import getrandbits
from typing import TYPE_CHECKING, Final, cast

from gateway import refusals
from gateway.bodies import BadBodyError, Body, Whole
from gateway.call import RELAYING, Call
from gateway.clock import NEVER
from gateway.edge.answer import answer_bytes, relay_bytes
from gateway.edge.heads import take_head
from gateway.edge.phase import (
    BODY,
    CALL,
    CLOSED,
    HEAD,
    HELD_BODY,
    IDLE,
    LINGERING,
    NO_CHUNKS,
    OURS,
    THEIRS,
    WHOLE_BODY,
    Phase,
)
from gateway.edge.tunnel import Tunnel
from gateway.outcome import Outcome
from gateway.pipeline import HeaderList, Refusal
from gateway.upstream.headers import response_head, switch_head

if TYPE_CHECKING:
    from gateway.edge.edge import Edge
    from gateway.head import Fields, RequestHead, ResponseHead
    from gateway.upstream.headers import Drops
    from gateway.upstream.http1 import UpstreamConnection

UPLOAD_BUFFER: Final = 64 * 1024  # bytes of a body read before the call is admitted; then the client is made to wait
LINGER: Final = 2.0  # seconds an unread body is still taken in after the answer, so that a reset does not destroy it
_RESET: Final = struct.pack("ii", 1, 0)


class Downstream(asyncio.Protocol):
    __slots__ = (
        "_before", "_body", "_buffer", "_chunks", "_edge", "_expect", "_keep", "_phase", "_reading_paused", "_resuming",
        "_seen", "_unread", "_unsent", "_whole", "call", "due", "filed", "peer", "scheme", "transport", "version",
    )  # fmt: skip
    certificate: str | None = None  # whose the client showed, on connections where it was asked for one

    def __init__(self, edge: Edge, scheme: str, peer: str) -> None:
        self._edge = edge
        self.scheme = scheme
        self.transport: asyncio.Transport | None = None
        self.call: Call | None = None
        self.peer = peer  # an address; empty on a unix socket
        self.version = 1
        self.due = NEVER
        self.filed = NEVER
        self._before: Fields | None = None  # of the request before, if it was answered at once
        self._buffer = b""
        self._body: Body | None = None  # of the request, until it has ended
        self._expect = False
        self._chunks = NO_CHUNKS  # of the answer
        self._keep = True
        self._phase = IDLE
        self._reading_paused = False
        self._resuming = False  # a pipelined request is read in the next turn of the loop
        self._seen = 0  # LINGERING: bytes thrown away; writing: what was unsent when the clock was set
        self._unread = False  # the request was refused before it was read to its end
        self._whole: Whole | None = None  # the request's body, where it is looked into, until the upstream gets it
        self._unsent = False  # the transport holds bytes the client has not taken

    # -- the connection ------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        self.transport = transport
        # With the lowest limit, `pause_writing` means "not all of it left" and `resume_writing` means "all of it has".
        # TLS transports pause at the limit and not above it, even in a write that left nothing behind: there it is 1.
        transport.set_write_buffer_limits(high=0 if self.scheme == "http" else 1)
        self._unsent = False  # what TLS still holds now are session tickets: nobody waits for them
        self._edge.connections.add(self)
        self._arm(self._edge.limits.header_timeout)

    def connection_lost(self, exc: Exception | None) -> None:
        self._phase = CLOSED
        self._edge.timers.cancel(self)
        self._edge.connections.discard(self)
        self._edge.room.leave(self.peer)
        self.transport = None
        self._buffer = b""
        if self.call is not None:
            self._edge.serve.on_gone(self.call)

    def eof_received(self) -> bool:
        """The client shut its sending side. By default it counts as gone, from this moment and not from the turn of
        the loop in which the transport is closed; what is already answered still leaves."""
        call = self.call
        if call is None or self._phase not in (CALL, BODY, WHOLE_BODY, HELD_BODY):
            return False
        answered = call.state is RELAYING and call.up is None
        waits = answered or (self._edge.half_close == "answer" and call.upgrade is None)
        if self.scheme == "http" and waits and self._stop_keeping():
            return True
        if not answered:
            self._close()
            self._edge.serve.on_gone(call)
        return False

    def _stop_keeping(self) -> bool:
        self._keep = False
        return self._body is None

    def _arm(self, seconds: float) -> None:
        self._edge.timers.arm(self, self._edge.timers.now() + seconds if seconds != NEVER else NEVER)

    def on_due(self, now: float) -> None:
        """One clock runs at a time; the phase says which."""
        call = self.call
        if self._unsent and self.transport is not None:
            self._write_overdue(call)
        elif self._phase is HEAD:
            self._refuse(refusals.HEAD_TIMEOUT)
        elif self._phase in (WHOLE_BODY, BODY) and call is not None:
            self._edge.serve.on_bad_upload(call, refusals.BODY_TIMEOUT)
        elif self._phase in (IDLE, LINGERING):
            self._close()
        elif self._phase is CLOSED and self.transport is not None:
            self.transport.abort()

    def _write_overdue(self, call: Call | None) -> None:
        """The client has taken nothing for the whole time, or something: then it gets another."""
        assert self.transport is not None
        unsent = self.transport.get_write_buffer_size()
        if unsent < self._seen:
            self._seen = unsent
            self._arm(self._edge.limits.write_idle_timeout)
            return
        self.abort(reset=True)
        if call is not None:
            self._edge.serve.on_gone(call, Outcome.CLIENT_TIMEOUT)

    # -- the request ---------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        phase = self._phase
        if phase is LINGERING:
            self._seen += len(data)
            if self._seen > self._edge.limits.max_body:
                self._close()
            return
        if phase is CLOSED:
            return
        self._buffer = self._buffer + data if self._buffer else data
        if phase is BODY:
            self._read_body()
        elif phase is WHOLE_BODY:
            self._read_whole()
        elif phase is HELD_BODY:
            if len(self._buffer) > UPLOAD_BUFFER:
                self.pause_upload()
        elif phase is CALL:
            if self._unread:
                self._buffer = b""
            elif len(self._buffer) > self._edge.limits.max_head:
                self._flooded()
        elif self._resuming:
            if len(self._buffer) > UPLOAD_BUFFER:
                self._pause_reading()
        else:
            self._read_head()

    def _flooded(self) -> None:
        """More pipelined bytes than one head may have, while a call is under way: nobody honest does that."""
        call = self.call
        self.abort(reset=True)
        if call is not None:
            self._edge.serve.on_gone(call)

    def _resume(self) -> None:
        """Reads a pipelined request in a turn of its own: thousands of refused ones may lie in one packet, and nobody
        else shall wait for all of them."""
        self._resuming = False
        if self._phase <= HEAD:
            self._read_head()
        if self._phase is CALL or len(self._buffer) <= UPLOAD_BUFFER:
            self._resume_reading()  # a call is under way: its client's leaving must be seen

    def _read_head(self) -> None:
        """Takes one request head out of the buffer, once it is complete."""
        raw, self._buffer = take_head(self._buffer, self._edge.limits)
        if raw is None:
            if self._buffer and self._phase is IDLE:
                self._phase = HEAD
                self._arm(self._edge.limits.header_timeout)
            return
        parsed = raw if isinstance(raw, Refusal) else self._edge.parsers.request(raw, self.scheme, self._before)
        if isinstance(parsed, Refusal):
            self._refuse(parsed)
        elif len(parsed[0].raw_headers) > self._edge.limits.max_headers:
            self._refuse(refusals.HEAD_TOO_LARGE)
        else:
            self._open(*parsed)

    def _new_call(self, head: RequestHead | None) -> Call:
        edge = self._edge
        call = self.call = Call(
            self, edge.serve, getrandbits(128).to_bytes(16).hex(), head, self.peer, edge.timers.now()
        )
        return call

    def _open(self, head: RequestHead, body: Body | None) -> None:
        self.version = head.version
        self._keep = head.keep_alive
        self._expect = head.expect
        self._body = body
        self._phase = CALL if body is None else HELD_BODY
        call = self._new_call(head)
        try:
            self._edge.serve.open(call)
        except Exception as error:  # a bug in one call is an answer and a record, not a dropped connection
            self._edge.report(error)
            self._edge.serve.refuse(call, refusals.INTERNAL)
        self._before = head.fields if call.hold is None and call.upgrade is None else None

    def _refuse(self, refusal: Refusal) -> None:
        """Ends the connection over a request that is not one."""
        self._phase = CALL
        self._keep = False
        self._unread = True
        self._edge.serve.refuse(self._new_call(None), refusal)

    # -- the request's body --------------------------------------------------------------------------------------

    def start_upload(self) -> None:
        """The head went upstream: the body may follow. Only now is a waiting client told to go on (RFC 9110 10.1.1)."""
        if self._phase is not HELD_BODY or self.transport is None:
            return
        self._take_in(BODY)
        whole, self._whole = self._whole, None
        if whole is not None:
            self._pass_on(whole)
        if self._phase is BODY and self._buffer:
            self._read_body()

    def _pass_on(self, whole: Whole) -> None:
        """What was read of a body that was too long to be looked into."""
        call, ended = self.call, self._body is None
        assert call is not None
        if ended:
            self._phase = CALL
            self._arm(NEVER)
        self._edge.serve.on_upload(call, whole.take(), ended)

    def read_whole(self, limit: int) -> None:
        """The body is needed before the call can be admitted: `serve.on_whole` follows, with it or with None when it is
        longer than `limit` bytes. Then it can still be passed on."""
        if self._phase is not HELD_BODY or self.transport is None:
            return
        self._whole = Whole(limit)
        self._take_in(WHOLE_BODY)
        self._read_whole()

    def _take_in(self, phase: Phase) -> None:
        """Lets the client send its body."""
        assert self.transport is not None
        if self._expect and not self._buffer:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._expect = False
        self._phase = phase
        self._arm(self._edge.limits.body_idle_timeout)
        self.resume_upload()

    def _read_whole(self) -> None:
        whole, call = self._whole, self.call
        assert whole is not None and call is not None
        content = self._feed_body(call)
        if content is None:
            return
        whole.add(content)
        if self._body is not None and whole.size <= whole.limit:
            return
        fits = whole.size <= whole.limit
        if fits:
            self._whole = None
        else:
            self._phase = HELD_BODY
            self._arm(NEVER)
        try:
            self._edge.serve.on_whole(call, whole.take() if fits else None)
        except Exception as error:  # as in `_open`
            self._edge.report(error)
            self._edge.serve.refuse(call, refusals.INTERNAL)

    def _read_body(self) -> None:
        call = self.call
        assert call is not None
        content = self._feed_body(call)
        if content is not None:
            self._edge.serve.on_upload(call, content, self._body is None)

    def _feed_body(self, call: Call) -> bytes | None:
        """What has come of the body, None when it is malformed and the call was told so."""
        body = self._body
        assert body is not None
        data, self._buffer = self._buffer, b""
        try:
            content, taken = body.feed(data)
        except BadBodyError:
            self._edge.serve.on_bad_upload(call, refusals.BAD_BODY)
            return None
        self._arm(self._edge.limits.body_idle_timeout)
        if body.ended:
            self._buffer = data[taken:]
            self._body = None
            self._phase = CALL
            self._arm(NEVER)
        return content

    def pause_upload(self) -> None:
        """The upstream takes no more just now. Only a body is ever held back, never a parked call's hang-up."""
        if (self._body is not None or self._phase is HELD_BODY) and self._pause_reading():
            self._arm(NEVER)

    def resume_upload(self) -> None:
        if self._resume_reading():
            self._arm(self._edge.limits.body_idle_timeout)

    def _pause_reading(self) -> bool:
        if self._reading_paused or self.transport is None or self.transport.is_closing():
            return False
        self._reading_paused = True
        self.transport.pause_reading()
        return True

    def _resume_reading(self) -> bool:
        if not self._reading_paused or self.transport is None or self.transport.is_closing():
            return False
        self._reading_paused = False
        self.transport.resume_reading()
        return True

    # -- the answer ----------------------------------------------------------------------------------------------

    def answer(self, status: int, headers: HeaderList, body: bytes, close: bool, fresh: bytes) -> bool:
        """Sends an answer of our own; `fresh` ends its head. True when all of it left our buffer."""
        self._keep = self._keep and not close and self._body is None and not self._edge.serve.draining
        method = self.call.method if self.call is not None else ""
        return self._send(answer_bytes(status, headers, body, method, self.version, self._keep, fresh))

    def hint(self, head: ResponseHead, drops: Drops) -> None:
        """Passes on what an upstream says before its answer (RFC 9110 15.2), to clients that know such a thing and take
        what they are sent."""
        if self.version == 1 and not self._unsent:
            self._send(response_head(head, drops, b""))

    def begin(self, head: ResponseHead, drops: Drops, extra: bytes, fresh: bytes, data: bytes, ended: bool,
              framed: bytes | None = None) -> bool:  # fmt: skip
        """Sends an upstream's head, and what came with it. `extra` are the route's lines; `fresh`, those of this call
        alone, ends the head. True when all of it left our buffer."""
        call = self.call
        assert call is not None
        self._keep = self._keep and self._body is None and not self._edge.serve.draining
        if not ended:  # nobody knows for how long it will be
            self._before = None
        raw, chunked, self._keep = relay_bytes(head, drops, extra, call.method, self.version, self._keep)
        if chunked:
            self._chunks = OURS if framed is None else THEIRS
            data = self._frame(data, ended) if framed is None else framed
        choked = self._unsent  # by a hint: that was nobody's business then
        sent = self._send(raw + fresh + data)
        if choked and not sent:
            self._edge.serve.on_choked(call)
        return sent

    def switch(
        self, head: ResponseHead, drops: Drops, extra: bytes, fresh: bytes, up: UpstreamConnection, data: bytes
    ) -> Tunnel:
        """The protocol has changed: a tunnel reads here from now on, and what came before the 101 goes through it."""
        call = self.call
        assert call is not None and call.upgrade is not None
        early, self._buffer = self._buffer, b""
        self._phase = CLOSED
        self._arm(NEVER)
        self._resume_reading()
        tunnel = Tunnel(call, self, up, self._edge.timers, framed=call.upgrade.framed)
        tunnel.open(switch_head(head, drops, extra, call.upgrade.protocol) + fresh, early, data)
        return tunnel

    def write(self, data: bytes, framed: bytes | None = None) -> None:
        if self._chunks is not NO_CHUNKS:
            data = self._frame(data, False) if framed is None else framed
        self._send(data)

    def finish(self) -> bool:
        """The answer is complete. True when all of it left our buffer."""
        return self._send(b"0\r\n\r\n") if self._chunks is OURS else not self._unsent

    def _frame(self, data: bytes, ended: bool) -> bytes:
        framed = b"%x\r\n%b\r\n" % (len(data), data) if data else b""
        return framed + b"0\r\n\r\n" if ended else framed

    def _send(self, data: bytes) -> bool:
        if self.transport is not None and data:
            self.transport.write(data)
        return not self._unsent

    def pause_writing(self) -> None:
        self._unsent = True
        if self.transport is not None:
            self._seen = self.transport.get_write_buffer_size()
            self._arm(self._edge.limits.write_idle_timeout)
        if self.call is not None:
            self._edge.serve.on_choked(self.call)

    def resume_writing(self) -> None:
        if not self._unsent:
            return
        self._unsent = False
        self._arm(self._edge.limits.body_idle_timeout if self._phase is BODY and not self._reading_paused else NEVER)
        if self.call is not None:
            self._edge.serve.on_drained(self.call)

    def cut(self) -> None:
        """Ends an answer on its way, visibly; what was written still leaves, unless only a reset shows the cut."""
        self.abort(reset=self._chunks is NO_CHUNKS)

    def abort(self, *, reset: bool) -> None:
        """Breaks the connection off. With `reset` the client sees RST where a plain end could look complete."""
        if not reset:
            self._close()
            return
        transport, self.transport = self.transport, None
        self._phase = CLOSED
        if transport is None:
            return
        raw = transport.get_extra_info("socket")
        if raw is not None and raw.family != getattr(socket, "AF_UNIX", None):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        transport.abort()

    # -- after the answer ----------------------------------------------------------------------------------------

    def settled(self, call: Call) -> None:
        """The call is over: the next request on the connection, or its end."""
        self.call = None
        self._whole = None
        if self._phase is CLOSED or self.transport is None:
            return
        if not self._keep:
            self._linger()
            return
        self._phase = IDLE
        self._chunks = NO_CHUNKS
        self._arm(self._edge.limits.keepalive_timeout)
        if self._buffer:
            self._resuming = True
            asyncio.get_running_loop().call_soon(self._resume)

    def _linger(self) -> None:
        """Closes; but a client that is still sending is let finish for a moment, or the reset that closing then
        causes would destroy the answer on its way (RFC 9112 9.6)."""
        unread = self._unread or self._body is not None or bool(self._buffer)
        self._buffer, self._body, self._seen = b"", None, 0
        assert self.transport is not None
        if not unread:
            self._close()
            return
        self._phase = LINGERING
        if self._reading_paused:
            self._reading_paused = False
            self.transport.resume_reading()
        self._arm(LINGER)
        if self.transport.can_write_eof():  # TLS cannot: its client learns the end from the answer's own framing
            try:
                self.transport.write_eof()
            except OSError:
                pass  # the client left while it was not read from; its end is still to come

    def _close(self) -> None:
        """Closes, within a bounded time: TLS would wait long for a client that does not say goodbye."""
        self._phase = CLOSED
        if self.transport is not None:
            self._arm(LINGER)
            self.transport.close()

    def close_if_idle(self) -> None:
        """Draining: a connection between two requests is closed. Every answer closes the others."""
        if self.call is None and self._phase is IDLE:
            self._close()
