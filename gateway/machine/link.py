"""The line between a worker and its supervisor: JSON, one message a line, over a pair of sockets. Either side tells or
asks the other; neither ever waits for the other to read.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping
from itertools import count
from typing import Any, cast

import orjson

logger = logging.getLogger("gateway")

MOST_UNREAD = 8 * 1024 * 1024  # bytes for a side that does not read: then it is gone, as far as this one is concerned

Handler = Callable[..., Awaitable[object] | object]


class LinkLostError(ConnectionError):
    """The other side is gone."""


class RemoteError(Exception):
    """The other side could not do what it was asked; the text says why."""


class Link(asyncio.Protocol):
    """One end. `handlers` are what the other side may ask for, by name: each is called with what was sent along, and
    what it returns (or what its coroutine does) is the answer. `lost` is done when the other side is gone."""

    def __init__(self, handlers: Mapping[str, Handler]) -> None:
        self.handlers = handlers
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._numbers = count(1)
        self._unread = bytearray()
        self._tasks: set[asyncio.Task[None]] = set()
        self._transport: asyncio.Transport | None = None

    @classmethod
    async def over(cls, sock: socket.socket, handlers: Mapping[str, Handler]) -> Link:
        """The end that this socket is."""
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        _, link = await loop.connect_accepted_socket(lambda: cls(handlers), sock)
        return link

    def tell(self, name: str, /, **data: object) -> None:
        """Sends word; a side that is gone gets none."""
        self._send({"name": name, "data": data})

    async def ask(self, name: str, /, **data: object) -> Any:
        """What the other side answers. Raises LinkLostError, RemoteError."""
        if self.lost.done():
            raise LinkLostError("the other process is gone")
        number = next(self._numbers)
        answer = self._asked[number] = asyncio.get_running_loop().create_future()
        self._send({"name": name, "data": data, "ask": number})
        try:
            return await answer
        finally:
            del self._asked[number]

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    # -- the protocol --------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._unread += data
        *lines, rest = self._unread.split(b"\n")
        self._unread = bytearray(rest)
        for line in lines:
            self._take(orjson.loads(line))

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.lost.done():
            self.lost.set_result(None)
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(LinkLostError("the other process is gone"))

    def _send(self, message: dict[str, object]) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if transport.get_write_buffer_size() > MOST_UNREAD:
            transport.abort()
            return
        transport.write(orjson.dumps(message, default=str, option=orjson.OPT_APPEND_NEWLINE))

    def _take(self, message: dict[str, Any]) -> None:
        if "answer" in message:
            self._answered(message)
            return
        task = asyncio.get_running_loop().create_task(self._do(message))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _answered(self, message: dict[str, Any]) -> None:
        answer = self._asked.get(message["answer"])
        if answer is None or answer.done():
            return
        if "error" in message:
            answer.set_exception(RemoteError(message["error"]))
        else:
            answer.set_result(message["value"])

    async def _do(self, message: dict[str, Any]) -> None:
        name, number = message["name"], message.get("ask")
        try:
            value = self.handlers[name](**message["data"])
            if isinstance(value, Awaitable):
                value = await value
        except Exception as error:
            logger.exception("what another process of this gateway asked for (%s) failed", name)
            if number is not None:
                self._send({"answer": number, "error": f"{type(error).__name__}: {error}"})
            return
        if number is not None:
            self._send({"answer": number, "value": value})
