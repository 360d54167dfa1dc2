"""Both ends of a tunnel as bytes: an upstream that answers a handshake by hand, and the frames and heads of RFC 6455.
Neither has an opinion on what passes, so a test can send what no library would.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from typing import Self

from gateway.policies.websocket import accept_of

from .raw import RawClient, get
from .upstreams import reset
from .waiting import soon, until

KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # of RFC 6455 1.3
HANDSHAKE = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {KEY}")
WEBSOCKET = "[policy.ws.websocket]\n"
MASK = b"\x01\x02\x03\x04"


def ask(target: str = "/", *fields: str) -> bytes:
    """A well-formed handshake."""
    return get(target, *HANDSHAKE, *fields)


def switching(*fields: str, key: str = KEY) -> bytes:
    """The 101 that agrees to `HANDSHAKE`."""
    lines = ("HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", "Upgrade: websocket",
             f"Sec-WebSocket-Accept: {accept_of(key)}", *fields)  # fmt: skip
    return "\r\n".join([*lines, "", ""]).encode()


def frame(payload: bytes, masked: bool = False, first: int = 0x82) -> bytes:
    """One frame, final and binary by default."""
    size, bit = len(payload), 128 if masked else 0
    if size < 126:
        head = bytes([first, bit | size])
    elif size < 65536:
        head = bytes([first, bit | 126]) + size.to_bytes(2, "big")
    else:
        head = bytes([first, bit | 127]) + size.to_bytes(8, "big")
    return head + (MASK + bytes(b ^ MASK[i % 4] for i, b in enumerate(payload)) if masked else payload)


def closing(code: int, masked: bool = False) -> bytes:
    return frame(code.to_bytes(2, "big"), masked, 0x88)


def unmasked(data: bytes) -> bytes:
    """The payload of one short masked frame."""
    mask = data[2:6]
    return bytes(b ^ mask[i % 4] for i, b in enumerate(data[6:]))


class Far:
    """One connection as the upstream has it. `got` is all that came behind the head."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.head = b""
        self.got = b""
        self.eof = False
        self.lost = False
        self.reads = asyncio.Event()
        self.reads.set()

    async def read(self) -> None:
        self.head = await self.reader.readuntil(b"\r\n\r\n")

    async def follow(self) -> None:
        try:
            while True:
                await self.reads.wait()
                data = await self.reader.read(65536)
                if not data:
                    self.eof = True
                    return
                self.got += data
        except (ConnectionError, ssl.SSLError):
            self.lost = True

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    def fields(self, name: str) -> list[str]:
        """The values of a field of the head."""
        lines = (line.partition(":") for line in self.head.decode("latin-1").split("\r\n")[1:])
        return [value.strip() for found, _, value in lines if found.lower() == name.lower()]

    def reset(self) -> None:
        reset(self.writer.transport)

    @property
    def over(self) -> bool:
        return self.eof or self.lost


class FarEnd:
    """An upstream that reads one head of each connection, says `answer`, and then nothing by itself."""

    def __init__(self, answer: bytes | Callable[[Far], bytes] = b"", tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self._answer = answer or switching()
        self.all: list[Far] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        far = Far(reader, writer)
        try:
            answer = b""
            while not answer or answer.startswith(b"HTTP/1.1 2"):  # after an ordinary one another request may come
                await far.read()
                self.all.append(far)
                answer = self._answer(far) if callable(self._answer) else self._answer
                writer.write(answer)
                if not answer:
                    break
            await far.follow()
            while not writer.is_closing() and not far.lost:
                await asyncio.sleep(0.01)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            with contextlib.suppress(RuntimeError):
                writer.close()

    async def far(self, number: int = 0) -> Far:
        """That connection, once its handshake is there."""
        return await until(lambda: self.all[number] if len(self.all) > number else None, "a handshake upstream") or Far(
            asyncio.StreamReader(), self.all[number].writer
        )


async def head_of(raw: RawClient) -> bytes:
    """The head of what comes next, taken off."""
    await soon(raw.seen(b"\r\n\r\n"))
    head, _, rest = raw.left.partition(b"\r\n\r\n")
    raw.source.data[:] = rest
    return head


async def opened(raw: RawClient, target: str = "/", *fields: str) -> bytes:
    """Asks for a tunnel and has it; the head of the 101."""
    await raw.send(ask(target, *fields))
    head = await head_of(raw)
    assert head.startswith(b"HTTP/1.1 101 "), head
    return head


async def taken(raw: RawClient, data: bytes) -> None:
    """Waits until exactly these bytes are what comes next, and takes them off."""
    await soon(raw.seen(data))
    assert raw.left.startswith(data), raw.left
    del raw.source.data[: len(data)]
