"""Short requests that go on while something happens: each on a new connection, at a steady pace, with what it was told
and when. The same watches `/readyz`.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

from tests.bench.wire import answer_end, status

PATIENCE = 10.0  # seconds until a probe counts as unanswered


class Probe(NamedTuple):
    """One request. `said` is a status, or "refused", "reset", "closed" (no answer), "silent"."""

    at: float  # monotonic, when it began
    said: str
    answer: bytes
    took: float = 0.0  # seconds


async def ask(port: int, wire: bytes, within: float = PATIENCE) -> Probe:
    """One request on a connection of its own, and how it ended; never raises."""
    at, data = time.monotonic(), b""
    try:
        async with asyncio.timeout(within):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(wire)
                while not answer_end(data) and (more := await reader.read(65536)):
                    data += more
            finally:
                writer.close()
    except TimeoutError:
        return Probe(at, "silent", data)
    except ConnectionRefusedError:
        return Probe(at, "refused", data)
    except OSError:
        return Probe(at, "reset", data)
    return Probe(at, str(status(data)) if answer_end(data) else "closed", data, time.monotonic() - at)


class Probes:
    """A row of probes; `done` is in the order in which they began."""

    def __init__(self) -> None:
        self.running: list[asyncio.Task[Probe]] = []

    @property
    def done(self) -> list[Probe]:
        return [task.result() for task in self.running if task.done() and not task.cancelled()]

    def said(self, since: float = 0.0, until: float = float("inf")) -> dict[str, int]:
        """How often each ending came, of probes that began in that time."""
        return dict(Counter(probe.said for probe in self.done if since <= probe.at < until))

    def slowest(self) -> str:
        """The longest that one took to be answered."""
        return f"{max((probe.took for probe in self.done), default=0.0) * 1e3:.0f} ms"

    def first(self, *endings: str) -> Probe | None:
        """The first that ended so."""
        return next((probe for probe in self.done if probe.said in endings), None)


@contextlib.asynccontextmanager
async def probing(port: int, wire: Callable[[], bytes], every: float = 0.01) -> AsyncIterator[Probes]:
    """Probes while the block runs; those under way then are waited for."""
    probes = Probes()

    async def go_on() -> None:
        due = time.monotonic()
        while True:
            probes.running.append(asyncio.create_task(ask(port, wire())))
            due = max(due + every, time.monotonic() - 1)  # a pause of this process is caught up, to a degree
            await asyncio.sleep(due - time.monotonic())

    pace = asyncio.create_task(go_on())
    try:
        yield probes
    finally:
        pace.cancel()
        await asyncio.gather(pace, return_exceptions=True)
        await asyncio.gather(*probes.running)
