"""A restart under a thousand clients that poll as they should: how they leave, and how fast they come back."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

from gateway.polling.rules import Answer, Place, Rules, decide, read_retry_after
from tests.bench.load import PER_SOURCE
from tests.bench.wire import answer_end, request, status

from .drains import field
from .sheet import Sheet
from .stage import NOW, Chaos, gateway, route, stage

RULES = Rules()  # those of `gateway poll`


async def herd(sheet: Sheet, folder: Path, polls: int = 1000, drain: float = 2) -> None:
    """Only the service may answer these polls, so that each ends in a 503 and a Retry-After."""
    server, routes = f'drain = "{drain:g}s"', NOW + route("poll", "origin", "places")
    async with stage(folder, server=server, routes=routes) as on, polling(on, polls) as flock:
        sheet.step(f"{polls:,} clients poll; then SIGTERM, and a new process when the old one has ended")
        sheet.within("all held", await on.reaches(polls, 30), 30)
        flock.begin()
        on.proxy.terminate()
        sheet.within("exit after SIGTERM", await on.proxy.ended(drain + 10), drain + 1)
        with gateway(folder / "gateway.toml", "gateway-2") as on.proxy:
            await on.proxy.listening(on.port)
            sheet.within("all held again, from when the new process listens", await on.reaches(polls, 30), 10)
            sheet.check("how the polls ended", dict(flock.ends), flock.ends == {"503": polls}, f"{polls} x 503")
            peak = flock.peak()
            sheet.check("new connections in the busiest second", peak, peak <= polls / 3, f"at most {polls // 3}")
            sheet.note("new connections, second by second", flock.by_second())
            sheet.note("connections refused while nothing listened", flock.refused)


class Flock:
    """Clients that each hold one poll and do after it what `gateway poll` does. Counted from `begin` on: how polls that
    were sent ended, when connections were accepted, and how many were refused."""

    def __init__(self, on: Chaos) -> None:
        self._on = on
        self.begin()

    def begin(self) -> None:
        self.ends: Counter[str] = Counter()
        self.accepted: list[float] = []
        self.refused = 0

    def peak(self) -> int:
        """The most connections within any one second."""
        return max((bisect_left(self.accepted, at + 1) - index for index, at in enumerate(self.accepted)), default=0)

    def by_second(self) -> list[int]:
        counts = Counter(int(at - self.accepted[0]) for at in self.accepted)
        return [counts[second] for second in range(max(counts, default=-1) + 1)]

    async def follow(self, source: str, token: str) -> None:
        """One client, without end."""
        place, wire = Place(), request("/poll", token)
        while True:
            answer = await self._poll(source, wire)
            step = decide(place, answer, RULES, random.uniform)
            place = step.place
            await asyncio.sleep(step.delay)

    async def _poll(self, source: str, wire: bytes) -> Answer:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._on.port, local_addr=(source, 0))
        except OSError:
            self.refused += 1
            return Answer(None)
        self.accepted.append(time.monotonic())
        data = b""
        try:
            writer.write(wire)
            while not answer_end(data) and (more := await reader.read(65536)):
                data += more
        except OSError:
            self.ends["reset"] += 1
            return Answer(None)
        finally:
            writer.close()
        self.ends[str(status(data)) if answer_end(data) else "closed"] += 1
        after = field(data, b"Retry-After")
        return Answer(
            status(data) if data else None,
            retry_after=read_retry_after(after.decode(), time.time()) if after is not None else None,
        )


@contextlib.asynccontextmanager
async def polling(on: Chaos, number: int) -> AsyncIterator[Flock]:
    """A flock that polls while the block runs; it arrives over half a second."""
    flock, tasks = Flock(on), []
    for index in range(number):
        tasks.append(asyncio.create_task(flock.follow(f"127.0.1.{1 + index // PER_SOURCE}", next(on.tokens))))
        if index % 20 == 19:
            await asyncio.sleep(0.01)
    try:
        yield flock
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
