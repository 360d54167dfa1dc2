"""What a crowd took it gives back: the memory of the process after thousands of polls have left, beside that before."""

from __future__ import annotations

from pathlib import Path

from tests.bench.load import Crowd
from tests.bench.measure import park, settle
from tests.bench.proxies import wires
from tests.bench.wire import request

from .probes import ask
from .sheet import Sheet
from .stage import Chaos, stage, statuses
from .waiting import reached

MOST = 1.5  # times what it was before
PATIENCE = 10.0  # seconds until it must have been given back


async def memory_returns(sheet: Sheet, folder: Path, polls: int = 8000, turns: int = 2) -> None:
    """The same consumers' polls are held and leave, unanswered, or woken before; several times over, for what does not
    come back adds up."""
    async with stage(folder) as on:
        for _ in range(10):
            await ask(on.port, request("/now", next(on.tokens)))
        await settle()
        wire = wires("/poll", polls, on.tokens)
        base = on.proxy.rss()
        sheet.note("before", f"{base / 1024:.1f} MiB")
        for turn in range(1, turns + 1):
            for woken in (False, True):
                sheet.step(f"turn {turn}: {polls:,} polls {'are woken and leave' if woken else 'leave'}")
                await _come_and_go(sheet, on, wire, woken)
                await _given_back(sheet, on, base)


async def _come_and_go(sheet: Sheet, on: Chaos, wire: list[bytes], woken: bool) -> None:
    crowd, polls = Crowd(), len(wire)
    await crowd.dial(on.port, polls)
    await park(on, crowd, wire)
    sheet.note("with all of them held", f"{on.proxy.rss() / 1024:.1f} MiB")
    if woken:
        await on.control.publish()
        await crowd.answered(30)
        sheet.check("answers", seen := statuses(crowd), seen == {"200": polls}, f"{polls} x 200")
    crowd.leave()
    sheet.within("until none is held", await on.reaches(0), 5)


async def _given_back(sheet: Sheet, on: Chaos, base: int) -> None:
    took = await reached(lambda: on.proxy.rss() <= MOST * base, PATIENCE)
    now = on.proxy.rss()
    sheet.check("memory", f"{now / 1024:.1f} MiB, {now / base:.2f}x", took is not None, f"at most {MOST:g}x of before")
