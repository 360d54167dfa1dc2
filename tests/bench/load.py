"""The clients, and two ways to load: a Crowd that holds polls and a ClosedLoop of short requests.
Raw asyncio on purpose: the load shares its core with the upstream.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import struct
import time
from collections.abc import Iterator
from typing import Protocol, cast

from .wire import answer_end, body

PER_SOURCE = 500  # connections from one 127.0.1.x address: below any per-address limit, far from any port limit
DIAL_AT_ONCE = 50  # below the backlog of an ordinary listener


class Handler(Protocol):
    """Who is told what a client got."""

    def on_answer(self, client: Client, answer: bytes) -> None: ...
    def on_lost(self, client: Client) -> None: ...


class Client(asyncio.Protocol):
    """One connection with at most one request under way."""

    __slots__ = ("_buffer", "asked", "handler", "sock", "transport")
    transport: asyncio.Transport

    def __init__(self, handler: Handler, sock: socket.socket) -> None:
        self.handler = handler
        self.sock = sock
        self.asked = 0.0  # perf_counter seconds; 0 when no request is under way
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass of it

    def ask(self, wire: bytes) -> None:
        self.asked = time.perf_counter()
        self.transport.write(wire)

    def data_received(self, data: bytes) -> None:
        if self._buffer:
            data = self._buffer + data
        if answer_end(data):
            self._buffer = b""
            self.handler.on_answer(self, data)
        else:
            self._buffer = data

    def connection_lost(self, error: Exception | None) -> None:
        self.handler.on_lost(self)

    def leave(self, reset: bool = False) -> None:
        """Hangs up: with FIN, or with RST (SO_LINGER 0)."""
        if reset:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()


async def _dial(handler: Handler, port: int, index: int, tls: ssl.SSLContext | None) -> Client:
    loop = asyncio.get_running_loop()
    sock = socket.socket()
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.bind((f"127.0.{1 + index // PER_SOURCE // 250}.{1 + index // PER_SOURCE % 250}", 0))
    await loop.sock_connect(sock, ("127.0.0.1", port))
    name = None if tls is None else "127.0.0.1"
    return (await loop.create_connection(lambda: Client(handler, sock), sock=sock, ssl=tls, server_hostname=name))[1]


async def dial(handler: Handler, port: int, count: int, tls: ssl.SSLContext | None = None) -> list[Client]:
    """Connects `count` clients, a few at a time."""
    clients: list[Client] = []
    for first in range(0, count, DIAL_AT_ONCE):
        some = range(first, min(first + DIAL_AT_ONCE, count))
        clients += await asyncio.gather(*(_dial(handler, port, index, tls) for index in some))
    return clients


class Crowd:
    """Clients that each hold one poll. `answers` are what came, `times` when (perf_counter seconds), `took` how long
    after each had asked, `lost` counts connections that ended without an answer."""

    def __init__(self) -> None:
        self.clients: list[Client] = []
        self.answers: list[bytes] = []
        self.times: list[float] = []
        self.took: list[float] = []
        self.lost = 0
        self._all: asyncio.Future[None] | None = None

    async def dial(self, port: int, count: int, tls: ssl.SSLContext | None = None) -> None:
        self.clients = await dial(self, port, count, tls)

    def forget(self) -> None:
        """A new round: what came before does not count."""
        self.answers, self.times, self.took = [], [], []
        self._all = asyncio.get_running_loop().create_future()

    def ask(self, wires: list[bytes], some: slice) -> None:
        """Some of the clients send each its own request."""
        for client, wire in zip(self.clients[some], wires[some], strict=True):
            client.ask(wire)

    async def answered(self, within: float) -> bool:
        """Waits until every client has its answer or lost its connection; False when that took too long."""
        assert self._all is not None
        return bool((await asyncio.wait([self._all], timeout=within))[0])

    def leave(self, reset: bool = False) -> None:
        for client in self.clients:
            client.leave(reset)

    def on_answer(self, client: Client, answer: bytes) -> None:
        self.times.append(time.perf_counter())
        self.took.append(self.times[-1] - client.asked)
        self.answers.append(answer)
        client.asked = 0.0
        self._count()

    def on_lost(self, client: Client) -> None:
        if client.asked:
            self.lost += 1
            self._count()

    def _count(self) -> None:
        over = len(self.answers) + self.lost >= len(self.clients)
        if over and self._all is not None and not self._all.done():
            self._all.set_result(None)


class ClosedLoop:
    """Connections that ask again as soon as they were answered, until the seconds, which count from the first request,
    or the requests run out."""

    def __init__(self, wires: Iterator[bytes], seconds: float) -> None:
        self.latencies: list[float] = []
        self.bad: bytes | None = None  # the first answer that was not 200
        self._wires = wires
        self._seconds = seconds
        self._until = 0.0
        self._working = 0
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self, port: int, connections: int, tls: ssl.SSLContext | None = None) -> float:
        """Seconds from the first request to the last answer."""
        clients = await dial(self, port, connections, tls)
        began = time.perf_counter()
        self._until = began + self._seconds
        self._working = len(clients)
        for client in clients:
            self._next(client, began)
        await self._done
        took = time.perf_counter() - began
        for client in clients:
            client.leave()
        return took

    def _next(self, client: Client, now: float) -> None:
        wire = self._wire(client) if now < self._until and self.bad is None else None
        if wire is not None:
            client.ask(wire)
            return
        self._working -= 1
        if not self._working and not self._done.done():
            self._done.set_result(None)

    def _wire(self, client: Client) -> bytes | None:
        return next(self._wires, None)

    def on_answer(self, client: Client, answer: bytes) -> None:
        now = time.perf_counter()
        self.latencies.append(now - client.asked)
        if answer[9:12] != b"200":
            self.bad = answer
        self._next(client, now)

    def on_lost(self, client: Client) -> None:
        if not self._done.done():
            self.bad = self.bad or b"(the connection was closed)"
            self._done.set_result(None)


class Loyal(ClosedLoop):
    """Each connection is of one client, who repeats his own request."""

    def __init__(self, wires: list[bytes], seconds: float) -> None:
        super().__init__(iter(wires), seconds)
        self._own: dict[Client, bytes] = {}

    def _wire(self, client: Client) -> bytes | None:
        if client not in self._own:
            self._own[client] = next(self._wires)
        return self._own[client]


class Control:
    """A connection to the upstream itself, for its counters, or to the gateway's admin listener."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.port: int = writer.get_extra_info("peername")[1]
        self._reader = reader
        self._writer = writer

    @classmethod
    async def connect(cls, port: int) -> Control:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def ask(self, line: str) -> bytes:
        """A whole answer."""
        self._writer.write(f"{line} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        data = b""
        while not answer_end(data):
            data += await self._reader.read(1 << 20)
        return data

    async def publish(self) -> int:
        """Answers every held poll; how many there were."""
        return int(body(await self.ask("POST /publish")))

    async def stats(self) -> dict[str, float]:
        stats: dict[str, float] = json.loads(body(await self.ask("GET /stats")))
        return stats
