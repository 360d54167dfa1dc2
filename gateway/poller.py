"""One epoll for the sockets of thousands of connections, of which the loop sees a single reader. A loop's own watch of
a socket takes 450 bytes; here it is a place in a list.
"""

from __future__ import annotations

import asyncio
import select
from typing import Protocol

from gateway.sockets import PIECE

MOST = 512  # events in one turn of the loop; what requests of one turn ask of a store is one question
CROWD = 64  # so many of them are a crowd
IN, OUT = 1, 4  # EPOLLIN and EPOLLOUT, as globals


class Watched(Protocol):
    """Whose socket is watched."""

    def happened(self, events: int) -> None:
        """Something of what it waits for, or that its peer has left (EPOLLHUP, EPOLLERR)."""

    def abort(self) -> None:
        """Nobody watches any more."""


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

    __slots__ = ("_epoll", "_most", "_watched", "crowded", "loop", "vector", "view")

    def __init__(self, loop: asyncio.AbstractEventLoop, most: int = MOST) -> None:
        self.loop = loop
        self._most = most
        self.view = memoryview(bytearray(PIECE))  # what is read into; the bytes are taken out before another reads
        self.vector = (self.view,)
        self.crowded = False  # when it was last told of anything, it was told of a crowd
        self._epoll = select.epoll()
        self._watched: list[Watched | None] = []  # by descriptor
        loop.add_reader(self._epoll.fileno(), self._ready)

    def watch(self, one: Watched, descriptor: int, before: int, wanted: int) -> None:
        """From now on it is told of `wanted` instead of `before`: any of IN and OUT, 0 is nothing at all."""
        if not before:
            self._epoll.register(descriptor, wanted)
            self._set(descriptor, one)
        elif wanted:
            self._epoll.modify(descriptor, wanted)
        else:
            self._epoll.unregister(descriptor)
            self._set(descriptor, None)

    def _set(self, descriptor: int, one: Watched | None) -> None:
        missing = descriptor + 1 - len(self._watched)
        if missing > 0:
            self._watched.extend([None] * missing)
        self._watched[descriptor] = one

    def _ready(self) -> None:
        """What is not told now, or was to come after somebody failed, is still so in the next turn."""
        happened = self._epoll.poll(0, self._most)
        self.crowded = len(happened) >= CROWD
        for descriptor, events in happened:
            one = self._watched[descriptor]
            if one is not None:
                one.happened(events)

    def close(self) -> None:
        """Ends all whose sockets are watched."""
        for one in self._watched:
            if one is not None:
                one.abort()
        self.loop.remove_reader(self._epoll.fileno())
        self._epoll.close()


def open_poller(loop: asyncio.AbstractEventLoop, most: int = MOST) -> Poller | None:
    """None where there is no epoll: then connections are the loop's own."""
    return Poller(loop, most) if hasattr(select, "epoll") else None
