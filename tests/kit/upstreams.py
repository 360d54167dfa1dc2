"""Upstreams that keep every byte they receive and answer by script. They read requests strictly: a byte that
RFC 9112 does not allow, or a second request before the first was answered, is a `fault`, and leaving the
`async with` block fails on faults.
"""

from __future__ import annotations

import asyncio
import enum
import socket
import ssl
import struct
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Self, TypeAlias

from .strict import Broken, Cut, Message, Source, read_request


class End(enum.Enum):
    """How a script may end its connection."""

    CLOSE = "close"
    RESET = "reset"
    HALF_CLOSE = "half close"


Step: TypeAlias = "bytes | asyncio.Event | asyncio.Future[bytes] | End"  # an Event pauses, a Future pauses and is sent
Script: TypeAlias = "Sequence[Step] | Callable[[Message], Iterable[Step]]"


def answer(body: bytes = b"ok", status: str = "200 OK", *fields: str, length: bool = True) -> bytes:
    """A whole response; `fields` are further header lines. `length=False` leaves Content-Length out."""
    lines = [f"HTTP/1.1 {status}", *fields]
    if length:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def chunked(*parts: bytes, end: bool = True) -> bytes:
    """The body `parts` in chunked framing (RFC 9112 7.1)."""
    text = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)
    return text + b"0\r\n\r\n" if end else text


def reset(transport: asyncio.WriteTransport, sock: socket.socket | None = None) -> None:
    """Ends a connection by RST: nothing more is sent, nothing waiting is delivered."""
    sock = sock or transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


class Peer:
    """One connection from the gateway, as the upstream saw it."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self.received = bytearray()
        self.requests: list[Message] = []  # begun; `complete` says whether the body has ended
        self.fault: str | None = None
        self.live = True
        self.playing = False
        self.source = Source()
        self.reading: Generator[None, None, Message] = read_request(self.source, self.requests.append)

    def feed(self, data: bytes) -> None:
        self.received += data
        self.source.data += data
        while self.fault is None:
            try:
                next(self.reading)
                return
            except StopIteration:
                self.reading = read_request(self.source, self.requests.append)
                if not self.source.data:
                    return
                self.fault = f"bytes after a request, before its answer: {bytes(self.source.data[:200])!r}"
            except Broken as error:
                self.fault = str(error)

    def ended(self) -> None:
        self.live = False
        self.source.eof = True
        try:
            next(self.reading, None)
        except (Broken, Cut):
            pass  # a request that was cut is not complete; the tests look at that


class ScriptedUpstream:
    """Answers request number n of all connections with script number n, and the rest with `then`.

    `at="head"` begins a script when the head is there, `"end"` when the body is. While `gate` is clear
    nothing is read. One that shall come back after it was closed gets a `port` from `free_port` before it is entered:
    the system gives one of its own away again.
    """

    port: int = 0

    def __init__(
        self,
        *scripts: Script,
        then: Script | None = None,
        at: str = "end",
        tls: ssl.SSLContext | None = None,
        faults: bool = False,
    ) -> None:
        self.scripts = list(scripts)
        self.then: Script = (answer(),) if then is None else then
        self.at = at
        self.tls = tls
        self.allow_faults = faults
        self.peers: list[Peer] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.begun = 0
        self.tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self.tls, backlog=2048)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, kind: object, *_: object) -> None:
        await self.close()
        if kind is None and not self.allow_faults:
            assert not self.faults, self.faults

    async def close(self) -> None:
        """Stops listening and cuts every connection."""
        self.server.close()
        self.gate.set()
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    @property
    def url(self) -> str:
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}"

    @property
    def faults(self) -> list[str]:
        return [peer.fault for peer in self.peers if peer.fault]

    @property
    def requests(self) -> list[Message]:
        """Every request whose head arrived, in the order of arrival within each connection."""
        return [request for peer in self.peers for request in peer.requests]

    @property
    def live(self) -> int:
        """Connections that the gateway holds open."""
        return sum(peer.live for peer in self.peers)

    @property
    def held(self) -> int:
        """Requests that are being answered, on live connections."""
        return sum(peer.live and peer.playing for peer in self.peers)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(writer)
        self.peers.append(peer)
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        arrived = asyncio.Event()
        player = asyncio.create_task(self._play(peer, arrived))
        try:
            while data := await self._read(reader):
                peer.feed(data)
                arrived.set()
        except (ConnectionError, ssl.SSLError, asyncio.CancelledError):
            pass
        finally:
            peer.ended()
            player.cancel()
            self.tasks.discard(task)
            writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> bytes:
        await self.gate.wait()
        return await reader.read(65536)

    async def _play(self, peer: Peer, arrived: asyncio.Event) -> None:
        answered = 0
        try:
            while True:
                await arrived.wait()
                arrived.clear()
                while answered < len(peer.requests) and (self.at == "head" or peer.requests[answered].complete):
                    await self._play_one(peer, peer.requests[answered])
                    answered += 1
        except (ConnectionError, ssl.SSLError):
            pass

    async def _play_one(self, peer: Peer, request: Message) -> None:
        script = self.scripts[self.begun] if self.begun < len(self.scripts) else self.then
        self.begun += 1
        peer.playing = True
        try:
            for step in script(request) if callable(script) else script:
                await self._step(peer.writer, step)
        finally:
            peer.playing = False

    async def _step(self, writer: asyncio.StreamWriter, step: Step) -> None:
        if isinstance(step, asyncio.Event):
            await step.wait()
        elif isinstance(step, bytes):
            writer.write(step)
            await writer.drain()
        elif isinstance(step, asyncio.Future):
            writer.write(await step)
            await writer.drain()
        elif step is End.RESET:
            reset(writer.transport)
        elif step is End.HALF_CLOSE:
            writer.write_eof()
        else:
            writer.close()


class HoldingUpstream(ScriptedUpstream):
    """Holds every request until `publish`; `held` says how many are waiting now, `taken` how many it has held: one that
    has only just arrived is not among them, and would miss the news."""

    def __init__(self, *, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(then=self._hold, tls=tls)
        self._waiting: list[asyncio.Future[bytes]] = []
        self.taken = 0

    def _hold(self, request: Message) -> Sequence[Step]:
        news: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting.append(news)
        self.taken += 1
        return (news,)

    def publish(self, body: bytes = b'["news"]', status: str = "200 OK", *fields: str) -> int:
        """Answers all that are held; returns how many were."""
        waiting = [news for news in self._waiting if not news.done()]
        self._waiting.clear()
        for news in waiting:
            news.set_result(answer(body, status, *(fields or ("Content-Type: application/json",))))
        return len(waiting)
