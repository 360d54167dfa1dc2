"""A plain TCP or unix connection as an asyncio transport of 130 bytes, where uvloop's takes 1,050: most of what a
parked poll cost. It does what asyncio's own does, in the same order; TLS stays with the loop.
"""

from __future__ import annotations

import asyncio
import os
import socket
from typing import Any, Final, cast

from gateway.poller import IN, OUT, Poller, Reader
from gateway.sending import CLOSING, LOST, OPEN, Sending
from gateway.sockets import Lent

_NOBODY: Final = asyncio.Protocol()


class Transport(Sending):
    """Made by `attach`."""

    __slots__ = ("_ended",)

    def __init__(self, poller: Poller, descriptor: int, protocol: Reader) -> None:
        super().__init__(poller, descriptor, protocol)
        self._ended = False  # nothing more comes

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
        self.leaves()
        self._end(error)

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
        self.leaves()
        if self._state != OPEN:
            return
        if self._unsent is None:
            self._end(None)
        else:
            self._state = CLOSING
            self._watch(OUT)

    def abort(self) -> None:
        self.leaves()
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
