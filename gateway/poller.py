"""One epoll for the sockets of thousands of connections, of which the loop sees a single reader. A loop's own watch of
a socket takes 450 bytes; here it is a place in a list.
"""

from __future__ import annotations

import asyncio
import select
from typing import TYPE_CHECKING, Final, Protocol

from gateway.sockets import PIECE

if TYPE_CHECKING:
    from gateway.sending import Sending
    from gateway.transport import Transport

MOST: Final = 512  # events in one turn of the loop; what requests of one turn ask of a store is one question
CROWD: Final = 64  # so many of them are a crowd
TOGETHER: Final = 64  # writes that leave in a row
IN: Final = 1  # EPOLLIN
OUT: Final = 4  # EPOLLOUT


class Outbox:
    """What is written while several events are told leaves together: a peer that sleeps is woken once and finds work
    for a while, where it would be woken for each write. That is 4 us of the 11 a write costs on loopback. `gathers`:
    it is such a time. One for all pollers of a loop: what comes from one side is written to the other."""

    __slots__ = ("_senders", "gathers")

    def __init__(self) -> None:
        self.gathers = False
        self._senders: list[Sending] = []

    def post(self, sender: Sending) -> None:
        """It has something, and nothing before."""
        self._senders.append(sender)
        if len(self._senders) >= TOGETHER:
            self._send()

    def gather(self) -> None:
        """Until `send`."""
        self.gathers = True

    def send(self) -> None:
        self.gathers = False
        self._send()

    def _send(self) -> None:
        senders, self._senders = self._senders, []
        for sender in senders:
            sender.leaves()


class Reader(Protocol):
    """The protocol of such a connection, whether it is an asyncio.Protocol or a BufferedProtocol to a loop."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None: ...
    def data_received(self, data: bytes) -> None: ...
    def eof_received(self) -> bool | None: ...
    def connection_lost(self, exc: Exception | None) -> None: ...
    def pause_writing(self) -> None: ...
    def resume_writing(self) -> None: ...


class Poller:
    """Of a batch, an event may be of a descriptor that was closed since and stands for a newer connection by now: so
    whoever is told of something goes and looks, and may find nothing."""

    __slots__ = ("_epoll", "_most", "_watched", "crowded", "loop", "outbox", "vector", "view")

    def __init__(self, loop: asyncio.AbstractEventLoop, most: int = MOST, outbox: Outbox | None = None) -> None:
        self.loop = loop
        self.outbox = outbox or Outbox()
        self._most = most
        # What is read into; the bytes are taken out before another reads. `os.read` takes 900 instructions less, but a
        # parked poll 0.4 KiB more: it asks for all of PIECE each time, and the heap has no holes of that size.
        self.view = memoryview(bytearray(PIECE))
        self.vector = (self.view,)
        self.crowded = False  # when it was last told of anything, it was told of a crowd
        self._epoll = select.epoll()
        self._watched: list[Transport | None] = []  # by descriptor
        loop.add_reader(self._epoll.fileno(), self._ready)

    def watch(self, one: Transport, descriptor: int, before: int, wanted: int) -> None:
        """From now on it is told of `wanted` instead of `before`: any of IN and OUT, 0 is nothing at all."""
        if not before:
            self._epoll.register(descriptor, wanted)
            self._set(descriptor, one)
        elif wanted:
            self._epoll.modify(descriptor, wanted)
        else:
            self._epoll.unregister(descriptor)
            self._set(descriptor, None)

    def _set(self, descriptor: int, one: Transport | None) -> None:
        missing = descriptor + 1 - len(self._watched)
        if missing > 0:
            self._watched.extend([None] * missing)
        self._watched[descriptor] = one

    def _ready(self) -> None:
        """What is not told now, or was to come after somebody failed, is still so in the next turn."""
        happened = self._epoll.poll(0, self._most)
        self.crowded = len(happened) >= CROWD
        if len(happened) > 1:
            self.outbox.gather()
        try:
            for descriptor, events in happened:
                one = self._watched[descriptor]
                if one is not None:
                    one.happened(events)
        finally:
            self.outbox.send()

    def close(self) -> None:
        """Ends all whose sockets are watched."""
        for one in self._watched:
            if one is not None:
                one.abort()
        self.loop.remove_reader(self._epoll.fileno())
        self._epoll.close()


def open_pollers(loop: asyncio.AbstractEventLoop, *most: int) -> tuple[Poller | None, ...]:
    """Each tells of so many events in a turn. None where there is no epoll: then connections are the loop's own."""
    outbox = Outbox()
    return tuple([Poller(loop, each, outbox) if hasattr(select, "epoll") else None for each in most])
