"""The upstream of the bench, a process of its own: `/now` answers at once, `/poll` is held until somebody
says `POST /publish`, either with `?for=5` for five seconds; `/ticks` is a stream without an end, `/big` an answer of
1 MiB, `/large` one of 100 KiB, `/upload` takes as much, `/held` and `/stats` count. It may listen on several addresses,
as many endpoints would. Raw asyncio so that it costs little beside what is measured.
"""

from __future__ import annotations

import asyncio
import gc
import json
import random
import re
import sys
import time
from collections.abc import Callable
from typing import cast

import uvloop

from .wire import ASKED, ECHOED, LARGE_BODY, SWITCHING, raise_descriptors


def answer(body: bytes) -> bytes:
    """A whole 200 answer around a JSON body."""
    head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nCache-Control: no-store\r\nContent-Length: "
    return f"{head}{len(body)}\r\n\r\n".encode() + body


TICK = 0.02  # seconds from one chunk to the next
TICKS = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
BIG = answer(bytes(1024 * 1024))
LARGE = answer(bytes(LARGE_BODY))
NOW = answer(b'{"events":[],"cursor":1}')
TIMED = re.compile(rb"GET \S*[?&]for=([0-9.]+)")


class Board:
    """Who is held, and what has happened so far. Instants are CLOCK_MONOTONIC: good in every process."""

    def __init__(self) -> None:
        self.held: dict[Connection, asyncio.TimerHandle | None] = {}
        self.polls = self.answered = self.gone = self.published = 0
        self.most = 0  # held at one time
        self.connections = 0  # that were ever made
        self.last_gone = 0.0

    def hold(self, connection: Connection, head: bytes) -> None:
        self.polls += 1
        timed = TIMED.match(head)
        loop = asyncio.get_running_loop()
        self.held[connection] = loop.call_later(float(timed[1]), self._end, connection) if timed else None
        self.most = max(self.most, len(self.held))

    def leave(self, connection: Connection) -> None:
        if connection in self.held:
            self._free(connection)
            self.gone += 1
            self.last_gone = time.monotonic()

    def publish(self) -> int:
        """Answers everyone held; how many that were."""
        self.published += 1
        reply, held = self._news(), list(self.held)
        for connection in held:
            self._free(connection)
            connection.write(reply)
        self.answered += len(held)
        return len(held)

    def _end(self, connection: Connection) -> None:
        self._free(connection)
        connection.write(self._news())
        self.answered += 1

    def _free(self, connection: Connection) -> None:
        timer = self.held.pop(connection)
        if timer is not None:
            timer.cancel()

    def _news(self) -> bytes:
        event = {"id": self.published, "message": "hello from upstream, this is one event"}
        return answer(json.dumps({"events": [event], "cursor": self.published}).encode())

    def stats(self) -> bytes:
        names = ("polls", "answered", "gone", "last_gone", "most", "connections")
        return json.dumps({name: getattr(self, name) for name in names} | {"held": len(self.held)}).encode()


class Connection(asyncio.Protocol):
    """Reads heads; the one request that has a body has one of a known length."""

    __slots__ = ("_board", "_body", "_buffer", "ticking", "transport", "write")

    def __init__(self, board: Board) -> None:
        self._board = board
        self._buffer = b""
        self._body = 0  # bytes of a body that are still to come
        self.ticking: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass of it
        self.write = self.transport.write
        self._board.connections += 1

    def data_received(self, data: bytes) -> None:
        if self._body:
            self._take(data)
            return
        *heads, self._buffer = (self._buffer + data).split(b"\r\n\r\n")
        for head in heads:
            self._request(head)
        if self._body:
            data, self._buffer = self._buffer, b""
            self._take(data)

    def _take(self, data: bytes) -> None:
        """Some of a body, after which there is nothing but the answer."""
        self._body -= len(data)
        if not self._body:
            self.write(NOW)

    def _request(self, head: bytes) -> None:
        if head.startswith(b"GET /now"):
            if b"?for=" in head:
                self._board.hold(self, head)
            else:
                self.write(NOW)
        elif head.startswith(b"GET /poll"):
            self._board.hold(self, head)
        elif head.startswith(b"GET /ticks"):
            self.write(TICKS)  # streams that begin together must not tick together: the last would wait for all
            self.ticking = asyncio.get_running_loop().call_later(TICK * random.random(), self._tick)
        elif head.startswith(b"GET /big"):
            self.write(BIG)
        elif head.startswith(b"GET /large"):
            self.write(LARGE)
        elif head.startswith(b"POST /upload"):
            self._body = LARGE_BODY
        elif head.startswith(b"GET /echo"):
            self.transport.set_protocol(Echo(self.write))
            self.write(SWITCHING)
        elif head.startswith(b"POST /publish"):
            self.write(answer(b"%d" % self._board.publish()))
        elif head.startswith(b"GET /held"):
            self.write(answer(b"%d" % len(self._board.held)))
        elif head.startswith(b"GET /stats"):
            self.write(answer(self._board.stats()))
        else:
            self.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

    def _tick(self) -> None:
        line = b"sent %.6f\n" % time.monotonic()
        self.write(b"%x\r\n%b\r\n" % (len(line), line))
        self.ticking = asyncio.get_running_loop().call_later(TICK, self._tick)

    def eof_received(self) -> None:
        """Counted at once: what others sent later is not read before that."""
        self._board.leave(self)

    def connection_lost(self, error: Exception | None) -> None:
        if self.ticking is not None:
            self.ticking.cancel()
        self._board.leave(self)


class Echo(asyncio.Protocol):
    """A WebSocket server that knows one message: it sends as many as have come."""

    __slots__ = ("_begun", "_write")

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._begun = 0  # bytes of a message that has not come to its end

    def data_received(self, data: bytes) -> None:
        whole, self._begun = divmod(self._begun + len(data), len(ASKED))
        if whole:
            self._write(ECHOED * whole)


def addresses(number: int) -> list[str]:
    """That many of this machine's own."""
    return ["127.0.0.1", *(f"127.0.4.{each}" for each in range(1, number))]


async def serve(port: int, number: int = 1) -> None:
    board = Board()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(board), addresses(number), port, backlog=65535)
    await server.serve_forever()


def main() -> None:
    gc.disable()
    raise_descriptors()
    uvloop.run(serve(*map(int, sys.argv[1:])))


if __name__ == "__main__":
    main()
