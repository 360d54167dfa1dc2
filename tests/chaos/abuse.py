"""What the abuse cases share: a stage with an upstream of large answers and of bodies nobody reads, and honest polls
that go on meanwhile, whose wakes are timed.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.load import Control, Crowd
from tests.bench.measure import park, percentile
from tests.bench.process import free_ports, spawn
from tests.bench.proxies import wires
from tests.bench.wire import status

from .sheet import Sheet
from .stage import NOW, POLL, Chaos, stage
from .waiting import reached

HONEST = 100
NOISE = 0.05  # seconds: a wake that is quicker is never called late, whatever it took in peace

DEEP = """\
[upstream.deep]
endpoints = ["http://127.0.0.1:{port}"]
response_timeout = "60s"

[[route]]
name = "deep"
match = {{ path = "/deep/**", methods = ["GET", "POST"] }}
upstream = "deep"
policies = ["signed-in", "plan"]
"""


@dataclass
class Deep:
    """The stage of the abuse cases: `chaos` with a second upstream behind `/deep/`, which `control` asks."""

    chaos: Chaos
    control: Control

    async def freed(self) -> float | None:
        """Seconds until the gateway has no connection to the second upstream."""

        async def none_open() -> bool:
            return (await self.control.stats())["open"] == 0

        return await reached(none_open, 10)


@asynccontextmanager
async def deep_stage(folder: Path, server: str = "", **parts: str) -> AsyncIterator[tuple[Chaos, Deep]]:
    """A stage, and what is behind `/deep/`."""
    (port,) = free_ports(1)
    argv = [sys.executable, "-m", "tests.chaos.abuse_upstream", str(port)]
    routes = NOW + POLL + DEEP.format(port=port)
    with spawn("deep", argv, None, folder) as behind:
        await behind.listening(port)
        async with stage(folder, server=server, routes=routes, **parts) as on:
            yield on, Deep(on, await Control.connect(port))


class Honest:
    """A hundred polls that are woken again and again."""

    def __init__(self, on: Chaos) -> None:
        self._on = on
        self._crowd = Crowd()
        self._polls = wires("/poll", HONEST, on.tokens)
        self.asked = self.answered = 0

    async def dial(self) -> None:
        await self._crowd.dial(self._on.port, HONEST)

    async def wakes(self, rounds: int, pause: float = 0.3) -> list[float]:
        """Parks and wakes everybody so often; the seconds each answer took, in order of length."""
        took: list[float] = []
        for _ in range(rounds):
            await park(self._on, self._crowd, self._polls)
            await asyncio.sleep(pause)
            began = time.perf_counter()
            await self._on.control.publish()
            await self._crowd.answered(20)
            took += [at - began for at in self._crowd.times]
            self.asked += HONEST
            self.answered += sum(status(one) == 200 for one in self._crowd.answers)
        return sorted(took)

    def leave(self) -> None:
        self._crowd.leave()


def compare(sheet: Sheet, honest: Honest, idle: list[float], attacked: list[float]) -> None:
    """The promises to honest clients: every poll answered, and not much later than in peace."""
    sheet.check("honest polls answered", honest.answered, honest.answered == honest.asked, f"{honest.asked}")
    for name, share in (("median", 0.5), ("p99", 0.99)):
        calm, seen = percentile(idle, share), percentile(attacked, share)
        sheet.note(f"{name} of a wake", f"{seen * 1e3:.1f} ms, {calm * 1e3:.1f} ms in peace")
        sheet.within(f"{name} of a wake", seen, max(2 * calm, NOISE))
