"""The measures of streams: how much later a chunk arrives than without the gateway, and what a client costs that takes
nothing of a long answer.
"""

from __future__ import annotations

import asyncio
import time
from typing import cast

from .load import DIAL_AT_ONCE
from .measure import Figures, Scale, percentile, settle, warm
from .process import MeasureError
from .proxies import Stage, wires

MIB = 1024 * 1024
TICKING = 20  # streams at a time, a chunk every TICK seconds each
SLOW = 1000  # clients that take nothing
FIRST = 0.5  # seconds whose chunks do not count


class Reader(asyncio.Protocol):
    """Reads a stream whose every chunk says when it was sent (CLOCK_MONOTONIC); `late` are seconds."""

    def __init__(self, wire: bytes, since: float) -> None:
        self.late: list[float] = []
        self.paused = False
        self._wire = wire
        self._since = since
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(self._wire)

    def data_received(self, data: bytes) -> None:
        now = time.monotonic()
        *lines, self._rest = (self._rest + data).split(b"\n")
        if now >= self._since:
            self.late += [now - float(line[5:]) for line in lines if line.startswith(b"sent ")]


async def chunks(stage: Stage, scale: Scale) -> list[Figures]:
    """Chunks through the proxy and, in the same seconds, straight from the upstream."""
    await warm(stage)
    since = time.monotonic() + FIRST
    through, straight = [
        [Reader(wire, since) for wire in wires("/ticks", TICKING, stage.tokens)] for _ in range(2)
    ]  # fmt: skip
    loop = asyncio.get_running_loop()
    for ours, theirs in zip(through, straight, strict=True):
        await loop.create_connection(lambda reader=ours: reader, "127.0.0.1", stage.port)  # type: ignore[misc]
        await loop.create_connection(lambda reader=theirs: reader, "127.0.0.1", stage.control.port)  # type: ignore[misc]
    await asyncio.sleep(FIRST + scale.short)
    late, base = (sorted(value for each in side for value in each.late) for side in (through, straight))
    for each in (*through, *straight):
        each.transport.abort()
    if len(late) < 0.9 * len(base) or not base:
        raise MeasureError(f"{len(base)} chunks came straight and {len(late)} through {stage.proxy.name}")
    p50, p99 = (percentile(late, share) - percentile(base, share) for share in (0.5, 0.99))
    return [{"chunk_p50": p50 * 1e3, "chunk_p99": p99 * 1e3}]


class Starer(asyncio.Protocol):
    """Asks and reads nothing."""

    def __init__(self, wire: bytes) -> None:
        self._wire = wire

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.pause_reading()
        self.transport.write(self._wire)


async def slow(stage: Stage, scale: Scale) -> list[Figures]:
    """Memory of clients that read nothing of an answer of 1 MiB, at its highest; how often one of them is refused or
    cut is not told apart: none may be."""
    await warm(stage)
    before = stage.proxy.pss()["Pss"]
    loop, starers = asyncio.get_running_loop(), [Starer(wire) for wire in wires("/big", SLOW, stage.tokens)]
    for first in range(0, SLOW, DIAL_AT_ONCE):
        some = starers[first : first + DIAL_AT_ONCE]
        await asyncio.gather(
            *(loop.create_connection(lambda one=one: one, "127.0.0.1", stage.port) for one in some)  # type: ignore[misc]
        )
    most = 0
    for _ in range(20):
        await settle(0.1)
        most = max(most, stage.proxy.pss()["Pss"])
    lost = sum(one.transport.is_closing() for one in starers)
    for one in starers:
        one.transport.abort()
    if lost:
        raise MeasureError(f"{stage.proxy.name} cut {lost} of {SLOW} slow readers")
    return [{"slow_kib": (most - before) / SLOW, "slow_mib": (most - before) / 1024}]
