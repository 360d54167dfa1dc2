"""What an operator does to a machine of two workers while 1,000 polls are held: SIGTERM, SIGHUP, and a new process that
takes the old one's place. The first two are as those of one process; nobody may notice the third.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from pathlib import Path

from tests.bench import built
from tests.bench.load import Crowd
from tests.bench.measure import park
from tests.bench.process import spawn
from tests.bench.proxies import wires
from tests.bench.wire import request

from .drains import roomy
from .machine_lost import workers
from .nodes import SEVERAL, SHARED, WORKERS
from .probes import ask, probing
from .reloads import reload
from .sheet import Sheet
from .stage import stage, statuses
from .waiting import reached


async def drain(sheet: Sheet, folder: Path, polls: int = 1000) -> None:
    await roomy(sheet, folder, polls, server=SEVERAL, state=SHARED)


async def reloaded(sheet: Sheet, folder: Path, polls: int = 1000) -> None:
    await reload(sheet, folder, polls, more={"server": SEVERAL, "state": SHARED})


async def replaced(sheet: Sheet, folder: Path, polls: int = 1000, hold: float = 6.0) -> None:
    """`gateway run --replace` beside a machine under load: the new one takes over, the old one drains and ends."""
    async with stage(folder, server=SEVERAL, state=SHARED) as on:
        crowd = Crowd()
        await crowd.dial(on.port, polls)
        wire = wires(f"/poll?for={hold:g}", polls, on.tokens)
        async with probing(on.port, lambda: request("/now", next(on.tokens))) as probes:
            await park(on, crowd, wire)
            sheet.step(f"{polls:,} polls held for {hold:g} s, 100 probes a second; gateway run --replace")
            began, old = time.monotonic(), workers(on)
            argv = built.gateway("run", "--replace", "-c", str(folder / "gateway.toml"))
            with spawn("new", argv, None, folder) as new:
                ended = await on.proxy.ended(hold + 20)
                sheet.within("the old process has ended after", ended, hold + 5)
                sheet.check("its exit code", code := on.proxy.exit_code(), code == 0, "0")
                seen = statuses(crowd)
                sheet.check("the held ones", seen, seen == {"200": polls}, f"{polls} x 200")
                on.proxy = new
                full = await reached(lambda: len(workers(on)) == WORKERS and not set(workers(on)) & set(old), 5)
                sheet.within("workers of the new one", full, 1)
                await _answers(sheet, on.ports.admin)
                sheet.note("all of it", f"{time.monotonic() - began:.1f} s")
                await asyncio.sleep(1)
                said = probes.said()
                sheet.check("probes all the while", said, set(said) == {"200"}, "only 200")
                sheet.note("slowest answer to a probe", probes.slowest())
                wrote = Counter(str(one["outcome"]) for one in on.records() if one["route"] == "poll")
                sheet.check("records of them", dict(wrote), wrote.total() == polls, f"{polls}")
                again = await _held_again(on.port, crowd, wires("/poll", polls, on.tokens))
                await on.reaches(polls)
                await on.control.publish()
                await again.answered(10)
                sheet.check("polls at the new one", seen := statuses(again), seen == {"200": polls}, f"{polls} x 200")
                new.terminate()
                await new.ended(10)


async def _answers(sheet: Sheet, port: int) -> None:
    wire = b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

    async def ready() -> bool:
        return (await ask(port, wire)).said == "200"

    sheet.within("the new one answers for the machine", await reached(ready, 5), 1)


async def _held_again(port: int, before: Crowd, wire: list[bytes]) -> Crowd:
    """Clients of the old process had their connections closed with their answers, and dial anew."""
    before.leave()
    crowd = Crowd()
    await crowd.dial(port, len(wire))
    crowd.forget()
    crowd.ask(wire, slice(None))
    return crowd
