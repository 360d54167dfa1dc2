"""A client that sends exactly the bytes it is told to and reads answers strictly. It has no opinion on what a
good request is; it can split, reset and half-close where real clients do so only by bad luck.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from .strict import Cut, Message, Source, advance, read_response
from .upstreams import chunked, reset
from .waiting import LIMIT


class RawClient:
    """One connection. `left` are bytes that came after the answers read so far."""

    def __init__(self, sock: socket.socket, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.sock = sock
        self.reader = reader
        self.writer = writer
        self.source = Source()

    @property
    def left(self) -> bytes:
        return bytes(self.source.data)

    async def send(self, *parts: bytes | str) -> None:
        """Sends each part on its own, giving the other side a turn to read it before the next."""
        for part in parts:
            self.writer.write(part.encode("latin-1") if isinstance(part, str) else part)
            await self.writer.drain()
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    async def send_bytewise(self, data: bytes) -> None:
        """Sends every byte in a segment of its own; stops quietly when the other side closed."""
        with contextlib.suppress(ConnectionError):
            await self.send(*(data[at : at + 1] for at in range(len(data))))

    async def read_answer(self, method: str = "GET") -> Message:
        """The next final response. Cut when the connection ends inside or before it, Broken on bad bytes."""
        reading = read_response(self.source, method)
        while (message := advance(reading)) is None:
            await self._fill()
        return message

    async def seen(self, data: bytes) -> None:
        """Waits until these bytes have come of an answer that need not be complete; they are left to be read."""
        while data not in self.source.data:
            assert not self.source.eof, self.left
            await self._fill()

    async def ask(self, data: bytes | str, method: str | None = None) -> Message:
        """Sends one request and reads its answer."""
        await self.send(data)
        text = data if isinstance(data, str) else data.decode("latin-1")
        return await self.read_answer(method or text.split(" ", 1)[0])

    async def read_all(self, method: str = "GET") -> list[Message]:
        """Every answer until the other side closes; Cut when it closes inside one."""
        answers = []
        while True:
            try:
                answers.append(await self.read_answer(method))
            except Cut as cut:
                if cut.message is None and not self.source.data:
                    return answers
                raise

    async def closed(self) -> bool:
        """Waits until the other side has closed; False when bytes come instead."""
        while not self.source.eof and not self.source.data:
            await self._fill()
        return self.source.eof and not self.source.data

    async def _fill(self) -> None:
        try:
            data = await asyncio.wait_for(self.reader.read(65536), LIMIT)
        except (ConnectionError, ssl.SSLError) as error:
            self.reset_by = error
            data = b""
            self.source.data += self.reader._buffer  # type: ignore[attr-defined]  # what came before the reset
        self.source.data += data
        self.source.eof = not data

    reset_by: Exception | None = None  # set when the connection ended by RST instead of FIN

    def half_close(self) -> None:
        """FIN: this side sends no more, but still reads."""
        self.writer.write_eof()

    def reset(self) -> None:
        """RST."""
        reset(self.writer.transport, self.sock)

    async def close(self) -> None:
        """FIN in both directions (with TLS: close_notify)."""
        self.writer.close()
        with contextlib.suppress(ConnectionError, ssl.SSLError, TimeoutError):
            await asyncio.wait_for(self.writer.wait_closed(), LIMIT)


async def connect(
    address: int | Path, tls: ssl.SSLContext | None = None, *, receive: int | None = None, first: Sequence[bytes] = (),
    name: str = "localhost",
) -> RawClient:  # fmt: skip
    """Connects to a port of 127.0.0.1 or to a unix socket; `receive` is SO_RCVBUF in bytes, `first` goes out part by
    part before TLS begins, in which the host `name` is asked for."""
    family = socket.AF_INET if isinstance(address, int) else socket.AF_UNIX
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setblocking(False)
    if receive is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
    where = ("127.0.0.1", address) if isinstance(address, int) else str(address)
    await asyncio.get_running_loop().sock_connect(sock, where)
    if isinstance(address, int):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for part in first:
        await asyncio.get_running_loop().sock_sendall(sock, part)
        await asyncio.sleep(0)
    limit = receive or 2**16
    reader, writer = await asyncio.open_connection(
        sock=sock, ssl=tls, server_hostname=name if tls else None, limit=limit
    )
    return RawClient(sock, reader, writer)


@contextlib.asynccontextmanager
async def client(
    address: int | Path, tls: ssl.SSLContext | None = None, *, receive: int | None = None, first: Sequence[bytes] = (),
    name: str = "localhost",
) -> AsyncIterator[RawClient]:  # fmt: skip
    """`connect`, closed at the end of the block."""
    raw = await connect(address, tls, receive=receive, first=first, name=name)
    try:
        yield raw
    finally:
        await raw.close()


def get(
    target: str = "/", *fields: str, method: str = "GET", host: str | None = "localhost", version: str = "1.1"
) -> bytes:
    """A request without a body."""
    hosts = [f"Host: {host}"] if host is not None else []
    return "\r\n".join([f"{method} {target} HTTP/{version}", *hosts, *fields, "", ""]).encode("latin-1")


def post(body: bytes, target: str = "/", *fields: str) -> bytes:
    """A POST with a Content-Length."""
    return get(target, *fields, f"Content-Length: {len(body)}", method="POST") + body


def post_chunked(*parts: bytes, target: str = "/", fields: Sequence[str] = (), end: bool = True) -> bytes:
    """A POST in chunked framing; without its last chunk when `end` is false."""
    return get(target, *fields, "Transfer-Encoding: chunked", method="POST") + chunked(*parts, end=end)
