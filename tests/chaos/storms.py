"""Everybody hangs up at once: the upstream, the places under a cap and the descriptors must be free as quickly."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

from tests.bench.load import Crowd
from tests.bench.measure import park, settle
from tests.bench.proxies import tokens, wires
from tests.bench.wire import request

from .probes import ask
from .sheet import Sheet
from .stage import Chaos, stage, statuses
from .waiting import reached

SPARE = 5  # descriptors by which a process may differ from before


async def storm(sheet: Sheet, folder: Path, polls: int = 1000) -> None:
    """With FIN, and then with RST; each time the same consumers, who have one place each, come straight back."""
    async with stage(folder) as on:
        await ask(on.port, request("/now", next(on.tokens)))
        await settle()  # its record is written
        base = on.proxy.descriptors()
        done = len(on.records())
        for turn, reset in enumerate((False, True)):
            sheet.step(f"{polls:,} held polls all {'reset' if reset else 'close'} at once")
            await _gone(sheet, on, polls, reset)
            back = await _back(sheet, on, polls)
            back.leave()
            await on.reaches(0)
            await _descriptors(sheet, on, base)
            wanted = 2 * polls * (turn + 1)
            await reached(lambda wanted=wanted: len(on.records()) - done >= wanted, 5)  # type: ignore[misc]
            wrote = Counter(str(one["outcome"]) for one in on.records()[done:])
            sheet.check("records", dict(wrote), wrote == {"client_gone": wanted}, f"{wanted} x client_gone")


async def _gone(sheet: Sheet, on: Chaos, polls: int, reset: bool) -> None:
    crowd = Crowd()
    await crowd.dial(on.port, polls)
    await park(on, crowd, wires("/poll", polls, tokens()))
    began = time.monotonic()
    crowd.leave(reset)
    freed = await on.reaches(0, 5)
    stats = await on.control.stats()
    sheet.within("the upstream holds none", None if freed is None else stats["last_gone"] - began, 0.5)


async def _back(sheet: Sheet, on: Chaos, polls: int) -> Crowd:
    """New polls of the same consumers, as fast as they can be dialled."""
    crowd = Crowd()
    began = time.monotonic()
    await crowd.dial(on.port, polls)
    crowd.forget()
    crowd.ask(wires("/poll", polls, tokens()), slice(None))
    asked = time.monotonic() - began
    there = await on.reaches(polls, 10)
    seen = statuses(crowd)
    sheet.check("the same consumers poll again", seen, seen == {"unanswered": polls}, "all held, none refused")
    sheet.within("and are held", there, 1)
    sheet.note("dialled and asked", f"{asked:.2f} s after the storm")
    return crowd


async def _descriptors(sheet: Sheet, on: Chaos, base: int) -> None:
    """Pooled connections to the upstream may have come and gone; nothing else may stay."""
    await reached(lambda: abs(on.proxy.descriptors() - base) <= SPARE, 1)
    await settle(0.1)
    now = on.proxy.descriptors()
    sheet.check("open files", now, abs(now - base) <= SPARE, f"{base}, give or take {SPARE}")
