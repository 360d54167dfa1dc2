"""One HTTP/1.1 connection to an endpoint, as events: while a poll is parked on it there is no parser, no buffer and no
task, only this object and its socket. It reads one answer at a time and tells `serve`; it decides nothing about calls.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, cast

from gateway.bodies import BadBodyError, Body, ChunkedBody, CloseBody
from gateway.call import Call
from gateway.clock import Timers
from gateway.head import ResponseHead
from gateway.parse import Parsers
from gateway.pipeline import Refusal
from gateway.sockets import left_in
from gateway.transport import Transport
from gateway.upstream import failure

if TYPE_CHECKING:
    from gateway.upstream.endpoint import Endpoint

MAX_HEAD: Final = 64 * 1024  # bytes of an answer's head
MAX_INFORMATIONAL: Final = 16  # 1xx answers before the real one


class UpstreamConnection(asyncio.BufferedProtocol):
    __slots__ = (
        "_body", "_buffer", "_informational", "_keep", "_parsers", "_timers", "call", "endpoint", "idle_since",
        "keepalive", "reading_paused", "transport", "upload_done", "uploading",
    )  # fmt: skip

    def __init__(self, endpoint: Endpoint, parsers: Parsers, timers: Timers) -> None:
        self.endpoint = endpoint
        self.transport: asyncio.Transport | None = None
        self.call: Call | None = None
        self.idle_since = 0.0
        self.keepalive = endpoint.upstream.keepalive
        self.reading_paused = False
        self.uploading = False  # the request's body is chunked by us
        self.upload_done = True
        self._parsers = parsers
        self._timers = timers
        self._buffer = b""
        self._body: Body | None = None  # of the answer being read
        self._keep = False
        self._informational = 0

    # -- the request ---------------------------------------------------------------------------------------------

    def start(self, call: Call, head: bytes) -> None:
        """Sends a request head and belongs to that call until `_done` or `cancel`."""
        assert self.transport is not None
        self.call = call
        self.uploading = call.framing == "chunked"
        self.upload_done = call.framing is None
        self._informational = 0
        self.transport.write(head)

    def upload(self, data: bytes, ended: bool) -> None:
        """Sends a piece of the request body."""
        if self.transport is None:
            return
        if self.uploading:
            data = b"%x\r\n%b\r\n" % (len(data), data) if data else b""
            if ended:
                data += b"0\r\n\r\n"
        self.upload_done = ended
        if data:
            self.transport.write(data)

    def pause_writing(self) -> None:
        if self.call is not None and self.call.conn is not None:
            self.call.conn.pause_upload()

    def resume_writing(self) -> None:
        if self.call is not None and self.call.conn is not None:
            self.call.conn.resume_upload()

    # -- the answer ----------------------------------------------------------------------------------------------

    @property
    def get_buffer(self) -> Callable[[int], memoryview]:  # a method would cost 64 bytes each
        return self._parsers.inbox.room

    def buffer_updated(self, nbytes: int) -> None:
        self.data_received(self._parsers.inbox.view[:nbytes].tobytes())

    def data_received(self, data: bytes) -> None:
        call = self.call
        if call is None:
            self.close()  # bytes nobody asked for: whatever follows them cannot be trusted
            return
        if call.hold is not None and self._body is None and not self._buffer and self._parsers.rush.keeps(self, call):
            self._buffer = data
        else:
            self._read(call, data)

    def hear(self) -> None:
        """Reads what has come by now: who is in a crowd may be told of it later."""
        if isinstance(self.transport, Transport):
            self.transport.look()
        self.catch_up()

    def catch_up(self) -> None:
        """Reads what came before its turn (`rush`)."""
        call, data = self.call, self._buffer
        if call is not None and data and self._body is None:
            self._buffer = b""
            self._read(call, data)

    def _read(self, call: Call, data: bytes) -> None:
        try:
            self._read_body(call, data) if self._body is not None else self._read_heads(call, data)
        except BadBodyError as error:
            self._fail(failure.BAD, str(error))

    def _read_heads(self, call: Call, data: bytes) -> None:
        if self._buffer:
            data, self._buffer = self._buffer + data, b""
        while True:
            end = data.find(b"\r\n\r\n") + 4
            if end < 4:
                if len(data) > MAX_HEAD or data.count(b"\n") != data.count(b"\r\n"):
                    self._fail(failure.BAD, "head")
                    return
                self._buffer = data
                return
            raw, data = data[:end], data[end:]
            head = self._parsers.response(raw) if end <= MAX_HEAD else "head too large"
            if isinstance(head, str):
                self._fail(failure.BAD, head)
                return
            if head.status >= 200:
                self._answer(call, head, raw, data)
                return
            if head.status == 101 and call.upgrade is not None:
                self.call = call.up = None  # from now on a tunnel reads here
                call.serve.on_switch(call, head, self, data)
                return
            self._informational += 1
            if head.status == 101 or self._informational > MAX_INFORMATIONAL:
                self._fail(failure.BAD, "unasked 101" if head.status == 101 else "too many 1xx")
                return
            if head.status != 100:  # that one is about the request's body, which goes on without it
                call.serve.on_interim(call, head)
                if self.call is not call:
                    return

    def _answer(self, call: Call, head: ResponseHead, raw: bytes, rest: bytes) -> None:
        self._keep = head.keep_alive
        if head.idle is not None:
            self.keepalive = head.idle
        if len(rest) == head.length and not head.bodiless and call.method != "HEAD":  # all of it came at once
            self._done(False)
            call.serve.on_head(call, head, rest, True)
            return
        body, content = self._parsers.body(head, raw, call.method), b""
        if isinstance(body, CloseBody):
            self._keep = False
        if body is not None and rest:
            content, taken = body.feed(rest)
            rest = rest[taken:]
        ended = body is None or body.ended
        if ended:
            self._done(bool(rest))
        else:
            self._body = body
        call.serve.on_head(call, head, content, ended, body.framed if body is not None else None)

    def _read_body(self, call: Call, data: bytes) -> None:
        body = self._body
        assert body is not None
        content, taken = body.feed(data)
        if body.ended:
            self._done(taken < len(data))
            call.serve.on_body(call, content, body.framed)
            call.serve.on_end(call)
        elif content or body.framed:
            call.serve.on_body(call, content, body.framed)

    @property
    def within_chunk(self) -> bool:
        """Whether what was told of the answer ends within one of its chunks."""
        return isinstance(self._body, ChunkedBody) and not self._body.between

    def _done(self, garbage: bool) -> None:
        """The answer is complete: the connection rests with its endpoint, or closes when it cannot be used again."""
        call, self.call, self._body = self.call, None, None
        if call is not None:
            call.up = None
        endpoint = self.endpoint
        if garbage or not self._keep or not self.upload_done or self.keepalive <= 0 or not endpoint.keeps(self):
            self.close()
            return
        if self.reading_paused:
            self.resume()
        self.idle_since = self._timers.now()
        endpoint.idle.append(self)
        endpoint.idle.until(self.idle_since + self.keepalive, self._timers)

    # -- flow, end and loss --------------------------------------------------------------------------------------

    def pause(self) -> None:
        """Back-pressure: the client takes nothing, so nothing more is read."""
        if self.transport is not None and not self.reading_paused:
            self.reading_paused = True
            self.transport.pause_reading()

    def resume(self) -> None:
        if self.reading_paused:
            self.reading_paused = False
            if self.transport is not None and not self.transport.is_closing():
                self.transport.resume_reading()

    def cancel(self) -> None:
        """The call is over here: the upstream must know at once, so the connection is reset, not drained."""
        self.call = None
        self._body = None
        if self.transport is not None:
            self.transport.abort()

    def close(self) -> None:
        self.call = None
        if self.transport is None:
            return
        if self.upload_done:
            self.transport.close()
        else:  # closing would first send the rest of a body that nobody may ever read
            self.transport.abort()

    def alive(self) -> bool:
        return self.transport is not None and not self.transport.is_closing()

    def _fail(self, refusal: Refusal, note: str) -> None:
        call = self.call
        self.cancel()
        if call is not None:
            call.up = None
            call.serve.on_failure(call, refusal, note)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        self.transport = transport
        self.endpoint.open += 1
        transport.set_write_buffer_limits(high=64 * 1024)

    def connection_lost(self, exc: Exception | None) -> None:
        self.catch_up()
        call = self.call
        if exc is not None and call is not None and (call.framing or call.bytes_in) and self.endpoint.tls is None:
            for data in left_in(cast("asyncio.Transport", self.transport)):  # the answer that says why (RFC 9112 9.5)
                if self.call is None:
                    break
                self.data_received(data)
        self.transport = None
        call, body = self.call, self._body
        self.call = self._body = None
        self.endpoint.lost(self, idle=call is None)
        if call is None:
            return
        call.up = None
        if isinstance(body, CloseBody) and exc is None:
            call.serve.on_end(call)
        else:
            refusal, note = failure.of_loss(exc)
            if self.idle_since and not (self._buffer or self._informational or body):
                refusal = failure.STALE
            call.serve.on_failure(call, refusal, note)
