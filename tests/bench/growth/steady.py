"""Clients who stay, and are asked anew in each slice of a measure."""

from __future__ import annotations

import asyncio
import random
import time
from typing import NamedTuple

from tests.bench.load import Client, ClosedLoop, dial
from tests.bench.process import MeasureError
from tests.bench.proxies import Stage

CLIENTS = 1000  # more than are answered at once: each request finds its connections cold, as those of many clients do


class Asked(NamedTuple):
    """Requests: one of each client, who repeats it, or (`drawn`) any of them over any connection."""

    wires: list[bytes]
    drawn: bool = False


class Steady(ClosedLoop):
    """They ask as soon as they were answered."""

    def __init__(self, asked: Asked) -> None:
        super().__init__(iter(()), 0.0)
        self._asked = asked.wires
        self._own: dict[Client, bytes] = {}
        self._clients: list[Client] = []

    @classmethod
    async def begin(cls, on: Stage, asked: Asked) -> Steady:
        load = cls(asked)
        load._clients = await dial(load, on.port, CLIENTS)
        if not asked.drawn:
            load._own = dict(zip(load._clients, asked.wires, strict=True))
        return load

    async def go(self, seconds: float) -> int:
        """Asks for that long, and waits for the last answers; how many there were. Raises MeasureError."""
        self.latencies.clear()
        self._done = asyncio.get_running_loop().create_future()
        self._working = len(self._clients)
        now = time.perf_counter()
        self._until = now + seconds
        for client in self._clients:
            self._next(client, now)
        await self._done
        if self.bad is not None:
            raise MeasureError(f"the gateway answered with {self.bad[:300]!r}")
        return len(self.latencies)

    def leave(self) -> None:
        for client in self._clients:
            client.leave()

    def _wire(self, client: Client) -> bytes:
        return self._own.get(client) or random.choice(self._asked)
