"""Caps under everybody at once: exactly as many get through as they say, and nobody waits where no line was meant."""

from __future__ import annotations

from pathlib import Path

from tests.bench.load import Crowd
from tests.bench.proxies import wires
from tests.bench.wire import status

from .probes import ask
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


async def full(sheet: Sheet, folder: Path, room: int = 5000, more: int = 50) -> None:
    """As many polls at one service as it may carry are all held there; who comes then is told so at once."""
    async with stage(folder, upstream=f"max_held = {room}") as on:
        crowd = Crowd()
        await crowd.dial(on.port, room)
        crowd.forget()
        wire = wires("/poll", room + more, on.tokens)
        sheet.step(f"{room:,} polls to one service")
        crowd.ask(wire[:room], slice(None))
        there = await on.reaches(room, 30)
        sheet.within("until all of them are held there", there, 30)
        sheet.step(f"{more} more, one after the other")
        probes = [await ask(on.port, each) for each in wire[room : room + more]]
        said = {probe.said for probe in probes}
        sheet.check("told", said, said == {"503"} and all(b"overloaded" in each.answer for each in probes), "503 each")
        sheet.within("the slowest of them", max(probe.took for probe in probes), 0.05)
        await on.control.publish()
        await crowd.answered(30)
        got = statuses(crowd)
        sheet.check("those that were held", got, got == {"200": room}, f"{room} x 200")
        crowd.leave()
