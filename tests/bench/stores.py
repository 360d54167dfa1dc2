"""What it costs that state is shared: the same limits in this process, in the memory of the machine and in Redis; and
what two workers cost beside one. They take turns, and each turn is compared with its neighbour.
"""

from __future__ import annotations

import asyncio
import random
import re
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import cycle, islice
from pathlib import Path

from .load import Client, ClosedLoop, Control, Crowd, Loyal
from .measure import Figures, Scale, park, percentile, settle, warm
from .process import MeasureError, Process, tree
from .proxies import Stage, wires

STORES = ("gateway", "limited", "two", "shared", "redis")
# What is compared: the limits of this one, over the same without any; with those of one in memory, likewise. A store of
# workers has two of them, and what these cost by themselves is not the store's.
ADDS = {"shared": ("two", "shared"), "redis": ("gateway", "redis")}
IN_MEMORY = ("gateway", "limited")
CREWS = ("gateway", "two")
CONNECTIONS = 500
PACE = 1500  # requests a second, which all of them carry at their ease: for what one waits
DECIDED = re.compile(r'longpoll_state_decisions_total\{by="(\w+)"\} ([0-9.e+]+)')
WORKER = b"gateway.machine.worker"


class Paced(ClosedLoop):
    """Connections that ask again some time after they were answered: `rest` seconds, more or less."""

    def __init__(self, wires: Iterator[bytes], seconds: float, rest: float) -> None:
        super().__init__(wires, seconds)
        self._rest = rest

    def _next(self, client: Client, now: float) -> None:
        asyncio.get_running_loop().call_later(self._rest * random.uniform(0, 2), self._later, client)

    def _later(self, client: Client) -> None:
        super()._next(client, time.perf_counter())


async def _load(stage: Stage, loop: ClosedLoop) -> ClosedLoop:
    await loop.run(stage.port, CONNECTIONS)
    if loop.bad is not None:
        raise MeasureError(f"{stage.proxy.name} answered a short request with {loop.bad[:300]!r}")
    await settle()
    return loop


async def _cost(stage: Stage, known: list[bytes], seconds: float) -> float:
    """Microseconds of CPU per request, as many at once as there are connections."""
    cpu = stage.proxy.cpu()
    loop = await _load(stage, Loyal(known, seconds))
    return (stage.proxy.cpu() - cpu) / len(loop.latencies) * 1e6


async def state(stage: Stage, scale: Scale) -> list[Figures]:
    """CPU of short requests, how long one takes at a pace, and memory of held polls."""
    known = wires("/now", CONNECTIONS, stage.tokens)
    await _load(stage, ClosedLoop(islice(cycle(known), 4 * CONNECTIONS), 60))
    figures: Figures = {"state_us": await _cost(stage, known, scale.short)}
    paced = Paced(cycle(known), scale.short * 2, CONNECTIONS / PACE)
    figures["state_p99"] = percentile(sorted((await _load(stage, paced)).latencies), 0.99) * 1e3
    figures["state_alone"] = await _alone(stage)
    return [figures, {"state_kib": (await _held(stage, scale.polls))[0]}]


async def _alone(stage: Stage) -> float:
    """How many of a hundred decisions were made without the store that was to be measured."""
    text = (await (await Control.connect(stage.admin)).ask("GET /metrics")).decode()
    made = {by: float(number) for by, number in DECIDED.findall(text)}
    every = sum(made.values())
    return 100 - made["asked"] / every * 100 if every else 0.0


async def _held(stage: Stage, polls: int) -> tuple[float, float]:
    """KiB per held poll, and the share of them, in percent, that the busiest process holds."""
    before, open_before = stage.proxy.pss()["Pss"], _open(stage.proxy)
    crowd = Crowd()
    await crowd.dial(stage.port, polls)
    await park(stage, crowd, wires("/poll", polls, stage.tokens))
    await settle(1.0)
    each = [now - open_before[pid] for pid, now in _open(stage.proxy).items()]
    grown = stage.proxy.pss()["Pss"] - before
    crowd.leave()
    return grown / polls, max(each) / sum(each) * 100


def _open(proxy: Process) -> dict[int, int]:
    """Open files of each process that serves."""
    found = {}
    for pid in tree(proxy.pid):
        with suppress(OSError):
            if pid == proxy.pid or WORKER in Path(f"/proc/{pid}/cmdline").read_bytes():
                found[pid] = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return found


async def workers(stage: Stage, scale: Scale) -> list[Figures]:
    """CPU of short requests, and who holds how many polls."""
    await warm(stage)
    known = wires("/now", CONNECTIONS, stage.tokens)
    await _load(stage, ClosedLoop(islice(cycle(known), 4 * CONNECTIONS), 60))
    figures: Figures = {"crew_us": await _cost(stage, known, scale.short)}
    return [figures, {"crew_most": (await _held(stage, scale.storm))[1]}]


def compared(samples: Mapping[str, Sequence[Figures]]) -> Figures:
    """The median of what each turn differs by from its neighbour."""
    figures: Figures = {}
    for kind, pair in ADDS.items():
        for key in ("state_us", "state_p99", "state_kib"):
            turns = zip(_pairs(samples, *pair, key), _pairs(samples, *IN_MEMORY, key), strict=False)
            if more := [(limits - none) - (here - nothing) for (none, limits), (nothing, here) in turns]:
                figures[f"{kind}_{key}"] = statistics.median(more)
        if alone := [one for _, one in _pairs(samples, *pair, "state_alone")]:
            figures[f"{kind}_alone"] = max(alone)
    one, other = CREWS
    if pairs := _pairs(samples, one, other, "crew_us"):
        figures["crew_ratio"] = statistics.median(more / less for less, more in pairs)
        shares = [share for _, share in _pairs(samples, one, other, "crew_most")]
        figures["crew_most"] = statistics.median(shares)
    return figures


def _pairs(samples: Mapping[str, Sequence[Figures]], one: str, other: str, key: str) -> list[tuple[float, float]]:
    values = [
        [value for figures in samples.get(kind, ()) if (value := figures.get(key)) is not None] for kind in (one, other)
    ]
    return list(zip(*values, strict=False))
