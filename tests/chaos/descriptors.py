"""Far more connections than the process may have files: who was there first is unharmed, who comes is told or waits."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

from tests.bench.load import Crowd
from tests.bench.measure import park, settle
from tests.bench.proxies import wires
from tests.bench.wire import answer_end, request, status

from .drains import READYZ
from .probes import ask, probing
from .sheet import Sheet
from .stage import Chaos, stage, statuses
from .waiting import reached

FILES = 256
PAUSE = 0.5  # seconds until one that was refused tries again
HIDDEN = 'raise ImportError("hidden, so that the loop of the standard library is used")\n'


async def uvloop(sheet: Sheet, folder: Path) -> None:
    """On the loop that is used where it is installed."""
    await exhausted(sheet, folder)


async def asyncio_loop(sheet: Sheet, folder: Path) -> None:
    """On the loop of the standard library, which writes a traceback for every connection it cannot accept."""
    hidden = folder / "hidden"
    hidden.mkdir()
    (hidden / "uvloop.py").write_text(HIDDEN)
    await exhausted(sheet, folder, env={"PYTHONPATH": str(hidden)})


async def exhausted(
    sheet: Sheet,
    folder: Path,
    early: int = 40,
    crowd: int = 400,
    seconds: float = 10,
    env: dict[str, str] | None = None,
) -> None:
    """`early` polls are held; then `crowd` clients want in all at once and go on trying."""
    before = ["sh", "-c", f'ulimit -n {FILES} && exec "$0" "$@"']
    async with stage(folder, env=env, before=before) as on:
        first = Crowd()
        await first.dial(on.port, early)
        await park(on, first, wires("/poll", early, on.tokens))
        lines_before = len(on.proxy.printed())
        sheet.step(f"{crowd} connections for {seconds:g} s with {FILES} files and {early} polls held")
        excess, began, pace = Excess(on), time.monotonic(), 0.05
        async with probing(on.ports.admin, lambda: READYZ, pace) as admin, Regular.asking(on, pace) as regular:
            await excess.run(crowd, seconds)
        took = time.monotonic() - began
        sheet.check("open files at most", excess.most, excess.most < FILES, f"fewer than {FILES}")
        sheet.check("the new ones", dict(excess.seen), set(excess.seen) <= {"503", "waited"}, "503, or waited")
        seen = statuses(first)
        sheet.check("the held ones meanwhile", seen, seen == {"unanswered": early}, f"{early} still held")
        sheet.check(
            "short requests on a connection that was open", said := dict(regular.said), set(said) == {"200"}, "only 200"
        )
        sheet.check("/readyz meanwhile", told := admin.said(), set(told) == {"200"}, "only 200")
        lines = on.proxy.printed()[lines_before:]
        sheet.check("lines on standard error", len(lines), len(lines) <= took + 1, f"at most {took + 1:.0f}")
        await _recovers(sheet, on)
        await on.control.publish()
        await first.answered(5)
        sheet.check("the held ones at the end", seen := statuses(first), seen == {"200": early}, f"{early} x 200")


async def _recovers(sheet: Sheet, on: Chaos) -> None:
    """After the crowd has left, a new poll is held and a short request answered."""

    async def served() -> bool:
        return (await ask(on.port, request("/now", next(on.tokens)), 1)).said == "200"

    sheet.within("short requests are answered again", await reached(served, 10), 1)
    held, late = await on.held(), Crowd()
    await late.dial(on.port, 1)
    late.forget()
    late.ask(wires("/poll", 1, on.tokens), slice(None))
    sheet.within("a new poll is held again", await on.reaches(held + 1, 10), 1)
    late.leave()
    await settle(0.1)


class Regular:
    """A client that was connected before, and goes on asking short questions on its connection."""

    def __init__(self) -> None:
        self.said: Counter[str] = Counter()

    @classmethod
    @contextlib.asynccontextmanager
    async def asking(cls, on: Chaos, every: float) -> AsyncIterator[Regular]:
        self = cls()
        reader, writer = await asyncio.open_connection("127.0.0.1", on.port)
        task = asyncio.create_task(self._go_on(on, reader, writer, every))
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            writer.close()

    async def _go_on(self, on: Chaos, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, every: float) -> None:
        while True:
            writer.write(request("/now", next(on.tokens)))
            data = b""
            while not answer_end(data) and (more := await reader.read(65536)):
                data += more
            self.said[str(status(data)) if answer_end(data) else "closed"] += 1
            if not data:
                return
            await asyncio.sleep(every)


class Excess:
    """Clients that each want one poll held: who is refused tries again, who gets in or must wait stays to the end.
    `seen` counts what each try came to: a status, "waited", "refused", "reset", "closed".
    """

    def __init__(self, on: Chaos) -> None:
        self.seen: Counter[str] = Counter()
        self.most = 0
        self._on = on

    async def run(self, crowd: int, seconds: float) -> None:
        until = time.monotonic() + seconds
        watch = asyncio.create_task(self._watch())
        await asyncio.gather(*(self._client(until) for _ in range(crowd)))
        watch.cancel()

    async def _watch(self) -> None:
        while True:
            self.most = max(self.most, self._on.proxy.descriptors())
            await asyncio.sleep(0.1)

    async def _client(self, until: float) -> None:
        while (left := until - time.monotonic()) > 0:
            probe = await ask(self._on.port, request("/poll", next(self._on.tokens)), left)
            self.seen["waited" if probe.said == "silent" else probe.said] += 1
            await asyncio.sleep(min(PAUSE, max(0, until - time.monotonic())))
