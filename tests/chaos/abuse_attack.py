"""Slow connections, a thousand of them: they say what they are told to at once, then a byte a second, and come back
when they are cut off.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple, cast

from .waiting import reached

NUMBER = 1000
PATIENCE = 10.0  # seconds until a slow one is no longer waited for


class Ending(NamedTuple):
    took: float  # seconds from the connection to its end
    status: str  # "" without an answer


class Slow(asyncio.Protocol):
    """Sends `wire` at once and then a byte of `rest` every second, or reads nothing."""

    def __init__(self, attack: Attack) -> None:
        self._attack = attack
        self._answer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._began = time.monotonic()
        self._attack.open.add(self)
        self.transport.write(self._attack.wire())
        if not self._attack.reads:
            self.transport.pause_reading()
        self._drip(self._attack.rest)

    def _drip(self, rest: bytes) -> None:
        if rest and not self.transport.is_closing():
            asyncio.get_running_loop().call_later(1.0, self._drip, rest[1:])
            self.transport.write(rest[:1])

    def data_received(self, data: bytes) -> None:
        self._answer += data

    def connection_lost(self, error: Exception | None) -> None:
        self._attack.open.discard(self)
        self._attack.ended.append(Ending(time.monotonic() - self._began, self._answer[9:12].decode()))


class Attack:
    """A number of slow connections; those that are cut off come back, as long as it runs."""

    def __init__(
        self, port: int, wire: Callable[[], bytes], rest: bytes = b"a" * 60, number: int = NUMBER, reads: bool = True
    ) -> None:
        self.wire = wire
        self.rest = rest
        self.reads = reads
        self.number = number
        self.open: set[Slow] = set()
        self.ended: list[Ending] = []
        self._port = port

    async def dial(self, most: int = 50) -> None:
        """A few of those that are missing."""
        loop = asyncio.get_running_loop()
        some = range(min(most, self.number - len(self.open)))
        await asyncio.gather(*(loop.create_connection(lambda: Slow(self), "127.0.0.1", self._port) for _ in some))

    async def run(self) -> None:
        while True:
            await self.dial(50 if self.reads else 10)  # one that takes nothing costs a large answer first
            await asyncio.sleep(0.05)


@asynccontextmanager
async def attacking(attack: Attack) -> AsyncIterator[None]:
    """Attacks while the block runs, then waits until the last slow one was cut off."""
    while len(attack.open) < attack.number and len(attack.ended) < attack.number:
        await attack.dial()
    running = asyncio.create_task(attack.run())
    try:
        yield
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await reached(lambda: not attack.open, PATIENCE)
