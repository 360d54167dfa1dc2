"""The upstream of the abuse cases, a process of its own: `GET /deep/SIZE` is answered with so many bytes at once,
`GET /deep/bomb` with a bomb of gzip, a body is taken in for ever or never read, and `/stats` counts what is open.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import sys
from typing import ClassVar, cast

import uvloop

from tests.bench.upstream import answer
from tests.bench.wire import raise_descriptors

MIB = 1024 * 1024
BOMB = gzip.compress(bytes(64 * MIB), 9)


class Deep(asyncio.Protocol):
    """`open` counts connections, `took` bytes of bodies."""

    open = took = 0
    big: ClassVar[dict[int, bytes]] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        Deep.open += 1
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass of it

    def connection_lost(self, error: Exception | None) -> None:
        Deep.open -= 1

    def data_received(self, data: bytes) -> None:
        what = data[: data.index(b" ", 5)] if data.startswith((b"GET /", b"POST /")) else b""
        if what == b"GET /stats":
            self._transport.write(answer(json.dumps({"open": Deep.open - 1, "took": Deep.took}).encode()))
        elif what == b"GET /deep/bomb":
            head, _, _ = answer(BOMB).partition(b"\r\n\r\n")
            self._transport.write(head + b"\r\nContent-Encoding: gzip\r\n\r\n" + BOMB)
        elif what.startswith(b"GET /deep/"):
            size = int(what[10:])
            self._transport.write(self.big.setdefault(size, answer(bytes(size))))
        elif what == b"POST /deep/unread":
            self._transport.pause_reading()
        elif what:
            self._take(data.partition(b"\r\n\r\n")[2])
        else:
            self._take(data)

    def _take(self, data: bytes) -> None:
        Deep.took += len(data)
        if data.endswith(b"END"):
            self._transport.write(answer(b"taken"))


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Deep, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    raise_descriptors()
    uvloop.run(serve(int(sys.argv[1])))
