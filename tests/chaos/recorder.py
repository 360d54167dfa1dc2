"""The upstream of the cases that lose it, a process of its own: as the bench's, on several ports, and every request is
a line of a file that outlives it. `/poll/drip` is answered at a byte a second. Told to wait, it listens once it gets
USR1.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys

import orjson
import uvloop

from tests.bench.upstream import NOW, Board, Connection
from tests.bench.wire import raise_descriptors

READY = "ready"  # to be told to listen
_LINE = re.compile(rb"GET (\S*)")
_HOLD = re.compile(rb"\r\ngateway-hold: ([0-9.]+)", re.IGNORECASE)


class Recording(Connection):
    __slots__ = ("_drips", "_file", "_port")

    def __init__(self, board: Board, file: int, port: int) -> None:
        super().__init__(board)
        self._file = file
        self._port = port
        self._drips: asyncio.TimerHandle | None = None

    def _request(self, head: bytes) -> None:
        found = _LINE.match(head)
        target = found[1].decode() if found is not None else ""
        if target.startswith("/poll"):
            hold = _HOLD.search(head)
            seen = {"target": target, "hold": float(hold[1]) if hold else None, "port": self._port}
            os.write(self._file, orjson.dumps(seen) + b"\n")  # one write: whole, whatever happens next
        super()._request(head)
        if target.startswith("/poll/drip"):
            self._drip(0)

    def _drip(self, sent: int) -> None:
        self.write(NOW[sent : sent + 1])
        self._drips = asyncio.get_running_loop().call_later(1.0, self._drip, sent + 1)

    def connection_lost(self, error: Exception | None) -> None:
        if self._drips is not None:
            self._drips.cancel()
        super().connection_lost(error)


async def serve(path: str, waits: bool, ports: list[int]) -> None:
    loop, board, go = asyncio.get_running_loop(), Board(), asyncio.Event()
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    if waits:
        loop.add_signal_handler(signal.SIGUSR1, go.set)
        print(READY, flush=True)
        await go.wait()
    for port in ports:
        await loop.create_server(lambda port=port: Recording(board, file, port), "127.0.0.1", port, backlog=65535)  # type: ignore[misc]
    await loop.create_future()


if __name__ == "__main__":
    raise_descriptors()
    uvloop.run(serve(sys.argv[1], sys.argv[2] == "wait", [int(port) for port in sys.argv[3:]]))
