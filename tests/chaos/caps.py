"""A cap under everybody at once: exactly as many get through as it says, also when places come free."""

from __future__ import annotations

from pathlib import Path

from tests.bench.load import Crowd
from tests.bench.proxies import wires
from tests.bench.wire import status

from .sheet import Sheet
from .stage import NOW, PLAN, Chaos, route, stage, statuses
from .waiting import reached

MAX = 3
CAP = f"""
[[policy.three.hold_cap]]
max = {MAX}
per = "route"
"""


async def cap_of_three(sheet: Sheet, folder: Path, polls: int = 1000, rounds: int = 3) -> None:
    """Everybody polls at the same instant, several times over; the upstream counts who gets there."""
    async with stage(folder, plan=PLAN + CAP, routes=NOW + route("poll", "template", "places", "three")) as on:
        for turn in range(1, rounds + 1):
            sheet.step(f"round {turn}: {polls:,} polls at one instant")
            await _round(sheet, on, polls)
        stats = await on.control.stats()
        sheet.check("most at the upstream at one time", int(stats["most"]), stats["most"] == MAX, f"{MAX}")
        sheet.check("polls the upstream saw", int(stats["polls"]), stats["polls"] == MAX * rounds, f"{MAX * rounds}")


async def _round(sheet: Sheet, on: Chaos, polls: int) -> None:
    crowd = Crowd()
    await crowd.dial(on.port, polls)
    wire = wires("/poll", polls, on.tokens)
    crowd.forget()
    crowd.ask(wire, slice(None))
    await reached(lambda: len(crowd.answers) + crowd.lost >= polls - MAX, 30)
    seen, wanted = statuses(crowd), {"429": polls - MAX, "unanswered": MAX}
    sheet.check("refused", seen, seen == wanted, f"{wanted}")
    await on.reaches(MAX)
    held = await on.held()
    sheet.check("held at the upstream", held, held == MAX, f"{MAX}")
    await on.control.publish()
    await crowd.answered(10)
    got = sum(status(answer) == 200 for answer in crowd.answers)
    sheet.check("the held ones were answered", got, got == MAX, f"{MAX} x 200")
    crowd.leave()
