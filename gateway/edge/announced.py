"""Taking the PROXY header off a connection that was just accepted. It is peeked at, so that not a byte behind it is
taken: what follows may be a TLS handshake, which the loop reads itself.
"""

from __future__ import annotations

import asyncio
import socket

from gateway.edge.proxy_header import MOST, BadHeaderError, read_header


class NobodyError(OSError):
    """The connection was closed before its first byte: somebody looked whether the port is open."""


async def announced(loop: asyncio.AbstractEventLoop, sock: socket.socket, timeout: float) -> str | None:
    """Whose connection it is, by its header; None: of the proxy itself. Raises BadHeaderError when there is none within
    `timeout` seconds, and OSError."""
    try:
        async with asyncio.timeout(timeout):
            return await _read(loop, sock)
    except TimeoutError:
        raise BadHeaderError(f"it sent no whole PROXY header within {timeout:g}s") from None


async def _read(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> str | None:
    taken = b""
    while True:
        seen = await _peek(loop, sock, MOST - len(taken))
        if not seen:
            raise BadHeaderError("it closed inside its PROXY header") if taken else NobodyError()
        header = read_header(taken + seen)
        if header is not None:
            sock.recv(header.size - len(taken))
            return header.client
        taken += sock.recv(len(seen))


async def _peek(loop: asyncio.AbstractEventLoop, sock: socket.socket, most: int) -> bytes:
    while True:
        try:
            return sock.recv(most, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            await _readable(loop, sock)


async def _readable(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
    there = asyncio.Event()
    loop.add_reader(sock, there.set)
    try:
        await there.wait()
    finally:
        loop.remove_reader(sock)
