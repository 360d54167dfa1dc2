"""A tap in the wire between gateway and server: bytes pass both ways untouched, and what the server was asked, what it
still holds and who hung up before an answer can be read off. Requests are read strictly, as by every upstream here.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from tests.kit.strict import Message
from tests.kit.upstreams import Peer

Which = Callable[[Message], bool]


class Tap:
    """`requests` are those of all connections in the order they came; `held` and `left` are some of them."""

    def __init__(self, port: int) -> None:
        self.server_port = port
        self.port = 0
        self.requests: list[Message] = []
        self.held: list[Message] = []  # begun, and no byte of an answer yet
        self.left: list[Message] = []  # the gateway closed before an answer
        self.most_held = 0
        self.watched: Which = lambda request: True  # which requests `most_held` counts
        self.peers: list[Peer] = []
        self.tasks: set[asyncio.Task[None]] = set()

    def count(self, which: Which) -> int:
        return sum(which(request) for request in self.requests)

    def holds(self, which: Which) -> int:
        return sum(which(request) for request in self.held)

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        peer = Peer(writer)
        self.peers.append(peer)
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.server_port)
            back = asyncio.create_task(self._back(peer, up_reader, writer))
            await self._forth(peer, reader, up_writer)
            await asyncio.wait([back])
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self.tasks.discard(task)
            writer.close()

    async def _forth(self, peer: Peer, reader: asyncio.StreamReader, server: asyncio.StreamWriter) -> None:
        """From the gateway to the server, until the gateway has hung up."""
        try:
            with contextlib.suppress(ConnectionError):
                while data := await reader.read(65536):
                    self._asked(peer, data)
                    server.write(data)
        finally:
            gone = [request for request in peer.requests if any(request is one for one in self.held)]
            self.left += gone
            self._ended(peer)
            server.close()

    async def _back(self, peer: Peer, server: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await server.read(65536):
                self._ended(peer)
                writer.write(data)
        writer.close()

    def _asked(self, peer: Peer, data: bytes) -> None:
        before = len(peer.requests)
        peer.feed(data)
        self.requests += peer.requests[before:]
        self.held += peer.requests[before:]
        self.most_held = max(self.most_held, self.holds(self.watched))

    def _ended(self, peer: Peer) -> None:
        self.held = [one for one in self.held if not any(one is request for request in peer.requests)]


@contextlib.asynccontextmanager
async def tapped(port: int) -> AsyncIterator[Tap]:
    """A tap before the server at that port. Leaving the block fails if the gateway sent what is no HTTP."""
    tap = Tap(port)
    server = await asyncio.start_server(tap.connect, "127.0.0.1", 0)
    tap.port = server.sockets[0].getsockname()[1]
    try:
        yield tap
    finally:
        server.close()
        for task in list(tap.tasks):
            task.cancel()
        await asyncio.gather(*tap.tasks, return_exceptions=True)
    faults = [peer.fault for peer in tap.peers if peer.fault]
    assert not faults, faults
