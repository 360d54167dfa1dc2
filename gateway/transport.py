"""A plain TCP or unix connection as an asyncio transport of 130 bytes, where uvloop's takes 1,050: most of what a
parked poll cost. It does what asyncio's own does, in the same order; TLS stays with the loop.
"""

from __future__ import annotations

import asyncio
import os
import socket
from typing import Any, cast

from gateway.poller import IN, OUT, Poller, Reader
from gateway.sockets import Lent, borrowed

OPEN, CLOSING, LOST = range(3)  # CLOSING: what is unsent still leaves
HIGH = 64 * 1024  # bytes unsent, where nobody says another limit


_NOBODY = asyncio.Protocol()


class Transport(asyncio.Transport):
    """Made by `attach`."""

    __slots__ = (
        "_choked", "_descriptor", "_ended", "_ends", "_high", "_mask", "_poller", "_protocol", "_state", "_unsent",
    )  # fmt: skip

    def __init__(self, poller: Poller, descriptor: int, protocol: Reader) -> None:
        self._poller = poller
        self._descriptor = descriptor
        self._protocol = protocol
        self._state = OPEN
        self._mask = 0
        self._high = HIGH
        self._unsent: bytearray | None = None
        self._choked = False  # the protocol was told to pause
        self._ended = False  # nothing more comes
        self._ends = False  # nothing more is to be sent, once all that is unsent has left

    @classmethod
    def attach(cls, poller: Poller, sock: socket.socket, protocol: Reader) -> None:
        """Takes a connected socket, which must not block, over from its object, tells the protocol, and reads."""
        transport = cls(poller, sock.detach(), protocol)
        protocol.connection_made(transport)
        try:
            transport.resume_reading()
        except (OSError, ValueError):  # the system watches no more sockets, or the poller is closed
            transport.abort()

    def __del__(self) -> None:
        if self._descriptor >= 0:  # the loop ended before its turn came
            os.close(self._descriptor)

    # -- what the poller tells -----------------------------------------------------------------------------------

    def happened(self, events: int) -> None:
        if events != OUT and self._mask & IN:
            self._read()
        if self._mask & OUT and events != IN:
            self._flush()

    def look(self) -> None:
        """Reads what has come by now, before the poller tells of it."""
        if self._mask & IN:
            self._read()

    def _read(self) -> None:
        poller = self._poller
        try:
            size = os.readv(self._descriptor, poller.vector)
        except BlockingIOError:
            return
        except OSError as error:
            self._end(error)
            return
        try:
            if size:
                self._protocol.data_received(poller.view[:size].tobytes())
            else:
                self._at_end()
        except Exception as error:
            self._fault(error)

    def _at_end(self) -> None:
        self._ended = True
        if self._protocol.eof_received():
            self._watch(self._mask & ~IN)
        else:
            self.close()

    def _fault(self, error: Exception) -> None:
        """A bug in the protocol costs this connection, and is told as a loop tells of it."""
        context = {"message": "a protocol failed", "exception": error, "transport": self, "protocol": self._protocol}
        self._poller.loop.call_exception_handler(context)
        self._end(error)

    # -- writing -------------------------------------------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """What the kernel does not take is kept, and the protocol told to pause where that is too much."""
        if self._ends:
            raise RuntimeError("nothing can be written after write_eof()")
        if self._state != OPEN or not data:
            return
        if self._unsent is None:
            try:
                sent = os.write(self._descriptor, data)
            except BlockingIOError:
                sent = 0
            except OSError as error:
                self._end(error)
                return
            if sent == len(data):
                return
            self._unsent = bytearray(memoryview(data)[sent:])
            self._watch(self._mask | OUT)
        else:
            self._unsent += data
        self._weigh()

    def _flush(self) -> None:
        unsent = self._unsent
        if unsent is None:
            return
        try:
            del unsent[: os.write(self._descriptor, unsent)]
        except BlockingIOError:
            return
        except OSError as error:
            self._end(error)
            return
        if not unsent:
            self._unsent = None
            self._watch(self._mask & ~OUT)
        self._weigh()
        if self._unsent is None and self._state == CLOSING:
            self._end(None)
        elif self._unsent is None and self._ends and self._state == OPEN:
            self._shut()

    def _weigh(self) -> None:
        """Tells the protocol when too much is unsent, and when little enough is."""
        size = self.get_write_buffer_size()
        try:
            if size > self._high and not self._choked:
                self._choked = True
                self._protocol.pause_writing()
            elif self._choked and size <= self._high // 4:
                self._choked = False
                self._protocol.resume_writing()
        except Exception as error:
            self._fault(error)

    def write_eof(self) -> None:
        """Raises OSError where the peer has left."""
        if self._state != OPEN or self._ends:
            return
        self._ends = True
        if self._unsent is None:
            self._shut()

    def _shut(self) -> None:
        with borrowed(self._descriptor) as sock:
            sock.shutdown(socket.SHUT_WR)

    def can_write_eof(self) -> bool:
        return True

    def get_write_buffer_size(self) -> int:
        return len(self._unsent) if self._unsent is not None else 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """`low` is always a quarter of `high`."""
        self._high = HIGH if high is None else high
        self._weigh()

    # -- reading, and the end ------------------------------------------------------------------------------------

    def pause_reading(self) -> None:
        self._watch(self._mask & ~IN)

    def resume_reading(self) -> None:
        if self._state == OPEN and not self._ended:
            self._watch(self._mask | IN)

    def is_reading(self) -> bool:
        return bool(self._mask & IN)

    def is_closing(self) -> bool:
        return self._state != OPEN

    def close(self) -> None:
        if self._state != OPEN:
            return
        if self._unsent is None:
            self._end(None)
        else:
            self._state = CLOSING
            self._watch(OUT)

    def abort(self) -> None:
        self._end(None)

    def _watch(self, mask: int) -> None:
        if mask != self._mask:
            self._poller.watch(self, self._descriptor, self._mask, mask)
            self._mask = mask

    def _end(self, error: Exception | None) -> None:
        if self._state == LOST:
            return
        self._state = LOST
        self._watch(0)
        self._unsent = None
        if error is None:
            self._release()  # the peer is told now: whoever takes its place may be sent in this very turn
        self._poller.loop.call_soon(self._lost, error)

    def _lost(self, error: Exception | None) -> None:
        try:
            self._protocol.connection_lost(error)
        finally:
            self._protocol = _NOBODY
            self._release()

    def _release(self) -> None:
        """After an error only in `_lost`: there is still something to be read, perhaps (`left_in`)."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    # -- what else a transport is asked --------------------------------------------------------------------------

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = cast(Reader, protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        return cast(asyncio.BaseProtocol, self._protocol)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Only the "socket" is known."""
        return Lent(self._descriptor) if name == "socket" and self._descriptor >= 0 else default
