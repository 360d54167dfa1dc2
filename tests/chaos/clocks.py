"""Clocks that jump by an hour and by ten seconds, there and back: that of a machine, and that of Redis (libfaketime, of
Debian's package faketime). What is held stays held, and only what a token says goes by the wall.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count, islice
from pathlib import Path

import jwt

from tests.bench.load import Crowd
from tests.bench.measure import is_blank
from tests.bench.proxies import AUDIENCE, ISSUER, SECRET
from tests.bench.wire import request
from tests.kit.schema import wrongs

from .nodes import SEVERAL, SHARED, Nodes, in_redis, nodes, told
from .probes import Probe, ask, probing
from .redises import redis
from .sheet import Sheet
from .stage import DIALECTS, NOW, PLAN, POLL, Chaos, route, stage, statuses

LIBRARY = "usr/lib/*/faketime/libfaketimeMT.so.1"
HOUR = 3600
JUMPS = (HOUR, 0, -HOUR, 0, 10, -10, 0)  # seconds beside the true time, one after the other
REST = 2.0  # seconds from one to the next
HOLD, MARGIN = 2, 1  # seconds of a brief poll, and until it is told that there is no news
LATE = 0.5
BURST = 10
POOR = PLAN.replace('rate = "600/min"\nburst = 20', f'rate = "1/hour"\nburst = {BURST}')
QUICK = 2.5  # seconds in which a bucket of 600/min and 20 is full again
BRIEF = DIALECTS.replace("policy.template.", "policy.brief.").partition("[policy.origin.")[0]
BRIEF = BRIEF.replace('"110s"', f'"{HOLD}s"').replace('"5s"', f'"{MARGIN}s"')


class NoFaketimeError(Exception):
    """It is not installed."""


class Clock:
    """`env` gives a process this clock; its monotonic one stays as it is."""

    def __init__(self, folder: Path) -> None:
        found = next(Path("/").glob(LIBRARY), None)
        if found is None:
            raise NoFaketimeError("libfaketime is not installed; it is the Debian package faketime")
        self._path = folder / "clock"
        self.jump(0)
        self.env = {
            "LD_PRELOAD": str(found), "FAKETIME_TIMESTAMP_FILE": str(self._path), "FAKETIME_NO_CACHE": "1",
            "DONT_FAKE_MONOTONIC": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }  # fmt: skip

    def jump(self, seconds: int) -> None:
        """From now on it says so much more than is true."""
        fresh = self._path.with_suffix(".new")
        fresh.write_text(f"{seconds:+d}s\n")
        fresh.replace(self._path)


def lasting(expires: float = 24 * HOUR) -> str:
    """A token of a consumer of its own, good for all these clocks unless it expires."""
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": f"lasting-{next(_numbers)}", "exp": int(now + expires)}
    return jwt.encode(claims, SECRET, "HS256")


_numbers = count()


async def machine(sheet: Sheet, folder: Path, polls: int = 200) -> None:
    """The clock of a machine of two workers."""
    try:
        clock = Clock(folder)
    except NoFaketimeError as error:
        sheet.note("skipped", str(error))
        return
    routes = NOW + POLL + route("poll/brief", "brief", name="brief")
    async with stage(
        folder, env=clock.env, server=SEVERAL, state=SHARED, plan=POOR, dialects=DIALECTS + BRIEF, routes=routes
    ) as on:
        wires = [request("/poll", lasting()) for _ in range(polls)]
        crowd = await _parked(on, wires)
        poor, soon = request("/now", lasting()), request("/now", lasting(HOUR / 2))
        spent = [(await ask(on.port, poor)).said for _ in range(BURST + 1)]
        sheet.check("a consumer that spent its burst", spent, spent[-1] == "429", "429 at last")
        for seconds in JUMPS:
            sheet.step(f"the clock is {seconds:+d} s from the truth")
            await _jumped(sheet, on, clock, seconds, wires[0], poor, soon)
        sheet.check("the held ones", seen := statuses(crowd), seen == {"unanswered": polls}, f"{polls} still held")
        await on.control.publish()
        await crowd.answered(10)
        sheet.check("and told", seen := statuses(crowd), seen == {"200": polls}, f"{polls} x 200")
        await asyncio.sleep(0.5)  # records are written
        records = on.records()
        odd = [wrong for record in records for wrong in wrongs(record)]
        sheet.check("records that are none, such as below zero", odd[:3], not odd, f"none of {len(records)}")


async def _parked(on: Chaos, wires: list[bytes]) -> Crowd:
    crowd = Crowd()
    await crowd.dial(on.port, len(wires))
    crowd.forget()
    crowd.ask(wires, slice(None))
    await on.reaches(len(wires), 30)
    return crowd


async def _jumped(sheet: Sheet, on: Chaos, clock: Clock, seconds: int, full: bytes, poor: bytes, soon: bytes) -> None:
    """Limits and places are as before, a hold lasts as long as it was meant to, and a token as long as it says."""
    brief = asyncio.create_task(ask(on.port, request("/poll/brief", lasting())))
    await asyncio.sleep(0.5)
    clock.jump(seconds)
    await asyncio.sleep(0.2)
    said = [(await ask(on.port, wire)).said for wire in (full, poor, soon, request("/now", lasting()))]
    wanted = ["429", "429", "401" if seconds == HOUR else "200", "200"]
    sheet.check("has its place; has spent its burst; its token ends in half an hour; is new", said, said == wanted,
                ", ".join(wanted))  # fmt: skip
    probe: Probe = await brief
    # Its service never answers it, and one that is silent three times in a row (in one worker) is told of: 504.
    good = (is_blank(probe.answer) or probe.said == "504") and abs(probe.took - HOLD - MARGIN) <= LATE
    told = f"{probe.said} after {probe.took:.2f} s"
    sheet.check("a hold that began before", told, good, f"its end after {HOLD + MARGIN} s, give or take {LATE:g}")


async def in_redis_too(sheet: Sheet, folder: Path, polls: int = 200) -> None:
    """The clock of Redis, under two gateways whose own is right. Consumers that hold all they may keep asking."""
    try:
        clock = Clock(folder)
    except NoFaketimeError as error:
        sheet.note("skipped", str(error))
        return
    async with redis(folder, clock.env) as server, nodes(folder, [in_redis(server.url)] * 2) as on:
        tokens = list(islice(on.tokens, polls))
        wires, again = [[request(path, token) for token in tokens] for path in ("/poll", "/poll?for=1")]
        crowds = [await on.parked(node, wires[at::2]) for at, node in enumerate(on.all)]
        for seconds in JUMPS:
            sheet.step(f"the clock of Redis is {seconds:+d} s from the truth")
            busy = request("/now", next(on.tokens))
            await _all(on, [busy] * 30)
            clock.jump(seconds)
            async with _asking(on, again) as rows:
                await asyncio.sleep(REST)
            said = {ending for row in rows for ending in row}
            sheet.check("consumers that hold what they may", said, said == {"429"}, "429 each")
            newcomers = [request("/now", next(on.tokens)) for _ in range(20)]
            sheet.note(
                "newcomers at first, where a bucket that owes too much counts as empty", await _all(on, newcomers)
            )
            await _all(on, [busy])
            await asyncio.sleep(QUICK)
            fresh, later = await _all(on, newcomers), await _all(on, [busy] * 10)
            sheet.check("newcomers", fresh, fresh == {"200"}, "200 each")
            sheet.check("who had spent its burst before", later, later == {"200"}, "200: its bucket is full again")
        sheet.check("the held ones", seen := told(*crowds), seen == {"unanswered": polls}, f"{polls} still held")
        await on.control.publish()
        await asyncio.gather(*(crowd.answered(10) for crowd in crowds))
        sheet.check("and told", seen := told(*crowds), seen == {"200": polls}, f"{polls} x 200")
        await on.reaches(0)
        crowds = [await on.parked(node, wires[at::2]) for at, node in enumerate(reversed(on.all))]
        held = await on.held()
        sheet.check("their places are free, over both gateways", held, held == polls, f"{polls} held again")


async def _all(on: Nodes, wires: list[bytes]) -> set[str]:
    """What these are told, in turn at both."""
    return {(await ask(on.all[at % 2].port, wire)).said for at, wire in enumerate(wires)}


@asynccontextmanager
async def _asking(on: Nodes, wires: list[bytes]) -> AsyncIterator[list[dict[str, int]]]:
    """Each of these again and again, each time at the other gateway; how they were told when the block is left."""
    turns = [iter(wires[at::2] * 100) for at in (1, 0)]
    rows: list[dict[str, int]] = []
    async with (
        probing(on.all[0].port, lambda: next(turns[0]), 0.02) as one,
        probing(on.all[1].port, lambda: next(turns[1]), 0.02) as other,
    ):
        yield rows
    rows += [one.said(), other.said()]
