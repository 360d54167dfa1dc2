"""Clients that close their sending side and wait: they are gone and their upstream is free at once, or they are
answered, as the configuration says (row 30).
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tests.bench.load import Crowd
from tests.bench.measure import park
from tests.bench.proxies import wires
from tests.bench.wire import status

from .sheet import Sheet
from .stage import Chaos, stage
from .waiting import reached

POLLS = 500


async def half_close(sheet: Sheet, folder: Path, polls: int = POLLS) -> None:
    """Everybody at once, first where that means they left, then where it does not."""
    for answer in ("gone", "answer"):
        (folder / answer).mkdir()
        async with stage(folder / answer, server=f'half_close = "{answer}"') as on:
            sheet.step(f'half_close = "{answer}": {polls} held polls close their sending side')
            crowd = Crowd()
            await crowd.dial(on.port, polls)
            await park(on, crowd, wires("/poll", polls, on.tokens))
            for client in crowd.clients:
                client.transport.write_eof()
            await (_gone if answer == "gone" else _answered)(sheet, on, crowd)


async def _gone(sheet: Sheet, on: Chaos, crowd: Crowd) -> None:
    async def free() -> bool:
        return await on.held() == 0

    sheet.within("the upstream was freed after", await reached(free, 5), 0.5)
    await _outcomes(sheet, on, "client_gone", len(crowd.clients))


async def _answered(sheet: Sheet, on: Chaos, crowd: Crowd) -> None:
    await on.control.publish()
    await crowd.answered(10)
    good = sum(status(one) == 200 for one in crowd.answers)
    sheet.check("answered", good, good == len(crowd.clients), f"{len(crowd.clients)} x 200")
    await _outcomes(sheet, on, "news", len(crowd.clients))


async def _outcomes(sheet: Sheet, on: Chaos, outcome: str, number: int) -> None:
    await reached(lambda: len(on.records()) >= number, 5)
    seen = dict(Counter(record["outcome"] for record in on.records()))
    sheet.check("recorded", seen, seen == {outcome: number}, f"{number} x {outcome}")
