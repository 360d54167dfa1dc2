"""The sending side of a connection of ours: what is written leaves at once, with what others write in the same turn, or
when the kernel takes it; and who writes is told to pause where that is too much.
"""

from __future__ import annotations

import asyncio
import os
import socket
from typing import Any, Final

from gateway.poller import OUT, Poller, Reader
from gateway.sockets import borrowed

OPEN: Final = 0
CLOSING: Final = 1  # what is unsent still leaves
LOST: Final = 2
HIGH: Final = 64 * 1024  # bytes unsent, where nobody says another limit
SMALL: Final = 16 * 1024  # bytes that may wait for what others write in the same turn


class Sending(asyncio.Transport):
    """What `Transport` inherits. It watches, ends and knows its protocol."""

    __slots__ = (
        "_choked", "_descriptor", "_ends", "_high", "_mask", "_poller", "_posted", "_protocol", "_state", "_unsent",
    )  # fmt: skip

    def __init__(self, poller: Poller, descriptor: int, protocol: Reader) -> None:
        self._poller = poller
        self._descriptor = descriptor
        self._protocol = protocol
        self._state = OPEN
        self._mask = 0
        self._high = HIGH
        self._unsent: bytes | bytearray | None = None
        self._posted = False  # it leaves with what others write in this turn: the kernel was not asked yet
        self._choked = False  # the protocol was told to pause
        self._ends = False  # nothing more is to be sent, once all that is unsent has left

    def _watch(self, mask: int) -> None:
        raise NotImplementedError

    def _end(self, error: Exception | None) -> None:
        raise NotImplementedError

    def _fault(self, error: Exception) -> None:
        raise NotImplementedError

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """What the kernel does not take is kept, and the protocol told to pause where that is too much."""
        if self._ends:
            raise RuntimeError("nothing can be written after write_eof()")
        if self._state != OPEN or not data:
            return
        if self._unsent is not None:
            self._unsent += data
            if self._posted and len(self._unsent) > SMALL:
                self.leaves()
        elif self._poller.outbox.gathers and len(data) <= SMALL:
            self._unsent = data if isinstance(data, bytes) else bytes(data)
            self._posted = True
            self._poller.outbox.post(self)
            return
        else:
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
        self._weigh()

    def leaves(self) -> None:
        """What was written leaves now, if it still waits for others."""
        if self._posted:
            self._flush()

    def _flush(self) -> None:
        self._posted, unsent, sent = False, self._unsent, 0
        if unsent is None:
            return
        try:
            sent = os.write(self._descriptor, unsent)
        except BlockingIOError:
            pass
        except OSError as error:
            self._end(error)
            return
        if sent == len(unsent):
            self._unsent = None
            self._watch(self._mask & ~OUT)
        else:
            self._unsent = unsent = bytearray(unsent) if isinstance(unsent, bytes) else unsent
            del unsent[:sent]
            self._watch(self._mask | OUT)
        self._weigh()
        if self._unsent is None and self._state == CLOSING:
            self._end(None)
        elif self._unsent is None and self._ends and self._state == OPEN:
            self._shut()

    def _weigh(self) -> None:
        """Tells the protocol when too much is unsent, and when little enough is."""
        if self._posted:
            return
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
        self.leaves()
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
