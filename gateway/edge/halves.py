"""The two sides of a tunnel as protocols: each reads from its own connection and writes to the other's. The path of
every byte: nothing is made, kept or looked up for a message but where a WebSocket frame ends.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from gateway.clock import Timers
from gateway.edge.frames import CLOSE, close_frame, frame_end, walk

if TYPE_CHECKING:
    from gateway.edge.tunnel import Tunnel

_HEADER: Final = -1  # in `left`: the header of a frame has not come to its end


class Half(asyncio.Protocol):
    """One side of a tunnel: reads from its own transport and writes to the other's. Its bytes mean nothing to it."""

    __slots__ = ("count", "ended", "gone", "last", "now", "other", "said", "transport", "tunnel", "write")
    other: Half

    def __init__(self, tunnel: Tunnel, transport: asyncio.Transport, onward: asyncio.Transport, timers: Timers) -> None:
        self.tunnel = tunnel
        self.transport = transport
        self.write = onward.write
        self.now = timers.now
        self.last = timers.now()  # when something came from here
        self.count = 0  # bytes that came from here
        self.ended = False  # nothing more comes from here
        self.gone = False  # the connection is lost
        self.said = False  # the other side was told the end, in a frame of ours

    def data_received(self, data: bytes) -> None:
        self.last = self.now()
        self.count += len(data)
        self.write(data)

    def pause_writing(self) -> None:
        """This side takes no more just now: nothing more is read from the other."""
        other = self.other
        if not other.ended and not other.transport.is_closing():
            other.transport.pause_reading()

    def resume_writing(self) -> None:
        other = self.other
        if not other.ended and not other.transport.is_closing():
            other.transport.resume_reading()

    def eof_received(self) -> bool:
        """Whether the connection stays open for what the other side still sends."""
        self.ended = True
        return self.tunnel.passes_end(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone = True
        self.tunnel.lost(self, exc)

    def finish(self, code: int) -> bool:
        """Ends what goes to the other side, or begins to; False where there is no word for that."""
        return False

    def leave(self) -> None:
        """Closes, where all is said."""

    @property
    def over(self) -> bool:
        """Whether this side has said that it is at an end."""
        return self.ended


class Frames(Half):
    """One side of a WebSocket: it also knows where frames end. Most reads are one short whole frame, told by its length
    alone."""

    __slots__ = ("_bias", "_code", "_left", "_part", "_short", "closed")

    def __init__(self, tunnel: Tunnel, transport: asyncio.Transport, onward: asyncio.Transport, timers: Timers, *,
                 masked: bool) -> None:  # fmt: skip
        super().__init__(tunnel, transport, onward, timers)
        self._bias = (
            122 if masked else -2
        )  # from the size of a short frame to its second byte: the mask bit, the header
        self._short = 132 if masked else 128  # bytes; below that a frame says its length in one byte
        self._left = 0  # bytes to the end of the frame that is passing
        self._part = b""  # of a header that came in pieces
        self._code = 0  # with what the other side is told that this is the end, once frames allow it
        self.closed = False  # a Close frame came from here

    def data_received(self, data: bytes) -> None:
        self.last = self.now()
        size = len(data)
        self.count += size
        if not self._left and 1 < size < self._short and data[1] == size + self._bias and data[0] != CLOSE:
            self.write(data)
        else:
            self._walk(data, size)

    def _walk(self, data: bytes, size: int) -> None:
        if self._code and not self.said:
            self._to_boundary(data)
            return
        if not self.said:
            self.write(data)
        if self._left > size:
            self._left -= size
        else:
            self._look(data)

    def _look(self, data: bytes) -> None:
        """Finds out where in a frame the stream stands behind these bytes."""
        if self._left == _HEADER:
            data, self._left = self._part + data, 0
        end, closed = walk(data, self._left)
        self._left = end - len(data) if end >= len(data) else _HEADER
        self._part = data[end:] if end < len(data) else b""
        self.closed = self.closed or closed
        self.leave()

    def finish(self, code: int) -> bool:
        """Says to the other side that this is the end, as soon as no frame is in the midst of passing."""
        self._code = code
        self._short = 0  # from now on every read is looked at
        if not self._left or self.ended:
            self._say()
        return True

    def _to_boundary(self, data: bytes) -> None:
        """Lets the rest of a frame pass, and then says the end; what comes behind it stays here."""
        if self._left == _HEADER:
            whole = self._part + data
            end = frame_end(whole, 0)
            if not end:
                self._part = whole
                self.write(data)
                return
            self._left, self._part, self.closed = end - len(self._part), b"", whole[0] == CLOSE
        passing, behind = data[: self._left], data[self._left :]
        self.write(passing)
        self._left -= len(passing)
        if not self._left:
            self._say()
            self._look(behind)
            self.leave()

    def _say(self) -> None:
        """The other side is told, unless it has heard it from this one, in a Close or as the end of the connection."""
        self.said = True
        if not self.over:
            self.write(close_frame(self._code, masked=self is self.tunnel.client))

    def leave(self) -> None:
        """Closes, where this side has said to the last byte that it is at an end, and was told so: the gateway ends the
        connection."""
        if self.other.said and (self.ended or (self.closed and self._left <= 0)):
            self.transport.close()

    @property
    def over(self) -> bool:
        return self.ended or self.closed
