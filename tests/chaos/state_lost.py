"""Redis in trouble under held polls: killed and back with nothing in it, stopped, slow, out of memory, read only. What
is held stays held, decisions stay quick, and each limit is exact again when Redis is.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from itertools import cycle, islice
from pathlib import Path

from tests.bench.load import Crowd
from tests.bench.measure import percentile
from tests.bench.process import free_ports
from tests.bench.wire import request

from .nodes import Nodes, in_redis, nodes, over, plan, told
from .probes import Probe, Probes, probing
from .redises import Redis, redis, relay
from .sheet import Sheet
from .stage import NOW, POLL, route
from .waiting import reached

CAP = 4
BRIEF = 0.2  # seconds for which newcomers are held
BACK = 2.0  # seconds after which limits are exact again
DECIDED = 0.25  # seconds for a call, whatever the store does
LAG = 0.05  # seconds that a call waits which asks no store
CLOSED = b"state_unavailable"
FREE = route("free").replace('["signed-in","plan"]', '["signed-in"]')  # asks no store
Wires = Callable[[], bytes]


async def back_empty(sheet: Sheet, folder: Path, polls: int = 1000, away: float = 10.0) -> None:
    """Consumers hold all they may, over two gateways; Redis is killed, and is back empty; newcomers come too."""
    async with redis(folder) as server, nodes(folder, [in_redis(server.url)] * 2, plan=plan(CAP)) as on:
        full = list(islice(on.tokens, polls // CAP))
        crowds = await _full(sheet, on, full)
        old, new = _turns(full, f"/poll?for={BRIEF}"), lambda: request(f"/poll?for={BRIEF}", next(on.tokens))
        async with _coming(on, new, 0.04) as fresh, _coming(on, old, 0.1) as again:
            await asyncio.sleep(1)
            sheet.step(f"Redis is killed, and is back empty {away:g} s later")
            server.kill()
            await asyncio.sleep(away)
            await server.start()
            back = time.monotonic()
            await asyncio.sleep(BACK + 2)
        _newcomers(sheet, fresh)
        _kept_out(sheet, again, back)
        await _burst(sheet, on)
        await _nothing_lost(sheet, on, crowds, polls)
        for crowd in await _full(sheet, on, full):
            crowd.leave()


async def _full(sheet: Sheet, on: Nodes, tokens: list[str]) -> list[Crowd]:
    """Every consumer holds all it may, half of it at each gateway."""
    wires = [request("/poll", token) for token in tokens for _ in range(CAP // 2)]
    crowds = [await on.parked(node, wires) for node in on.all]
    held, wanted = await on.held(), len(wires) * 2
    sheet.check("held at the service", held, held == wanted, f"{wanted}: all places of {len(tokens)} consumers")
    return crowds


def _turns(tokens: list[str], path: str) -> Wires:
    turns: Iterator[str] = cycle(tokens)
    return lambda: request(path, next(turns))


@asynccontextmanager
async def _coming(on: Nodes, wire: Wires, every: float) -> AsyncIterator[list[Probes]]:
    """The same at both gateways."""
    first, second = on.all
    async with probing(first.port, wire, every) as one, probing(second.port, wire, every) as other:
        yield [one, other]


def _done(rows: list[Probes]) -> list[Probe]:
    return [probe for row in rows for probe in row.done]


def _newcomers(sheet: Sheet, rows: list[Probes]) -> None:
    said = {ending for row in rows for ending in row.said()}
    sheet.check("newcomers, 50 a second", f"{len(_done(rows))} x {said}", said == {"200"}, "200 each: within the share")
    slowest = max(probe.took for probe in _done(rows)) - BRIEF
    sheet.within("the slowest of them, beside its hold", slowest, DECIDED)


def _kept_out(sheet: Sheet, rows: list[Probes], back: float) -> None:
    """Who holds all it may gets no more; for a moment after Redis is back it does not know that."""
    let_in = [probe for probe in _done(rows) if probe.said == "200"]
    wrong = [probe for probe in let_in if not back <= probe.at < back + BACK]
    said = {ending for row in rows for ending in row.said()}
    sheet.check("consumers that hold all they may", said, said <= {"429", "200"}, "429")
    sheet.check(f"of them let in, but within {BACK:g} s after it is back", len(wrong), not wrong, "none")
    sheet.note("let in within these", len(let_in) - len(wrong))


async def _burst(sheet: Sheet, on: Nodes, consumers: int = 10) -> None:
    tokens, before = list(islice(on.tokens, consumers)), await on.held()
    crowds = [await on.crowd(node, [request("/poll?for=1", token) for token in tokens] * 3) for node in on.all]
    await on.reaches(before + CAP * consumers, 0.9)
    held = await on.held() - before
    sheet.check(f"{consumers} consumers, 6 polls each over both", held, held == CAP * consumers, f"{CAP} of each held")
    await over(*crowds, held=0)
    seen = told(*crowds)
    wanted = {"200": CAP * consumers, "429": (6 - CAP) * consumers}
    sheet.check("told", seen, seen == wanted, f"{wanted}")


async def _nothing_lost(sheet: Sheet, on: Nodes, crowds: list[Crowd], polls: int) -> None:
    sheet.check("the held ones", seen := told(*crowds), seen == {"unanswered": polls}, f"{polls} still held")
    await on.control.publish()
    await asyncio.gather(*(crowd.answered(20) for crowd in crowds))
    sheet.check("and told", seen := told(*crowds), seen == {"200": polls}, f"{polls} x 200")
    await on.reaches(0)


async def closed(sheet: Sheet, folder: Path, polls: int = 200, away: float = 3.0) -> None:
    """on_failure = "closed": nobody new gets in while Redis is away, and is told so at once."""
    async with redis(folder) as server, nodes(folder, [in_redis(server.url, "closed")], plan=plan(1)) as on:
        (node,) = on.all
        crowd = await on.parked(node, [request("/poll", token) for token in islice(on.tokens, polls)])
        async with probing(node.port, lambda: request("/now", next(on.tokens)), 0.02) as probes:
            await asyncio.sleep(0.5)
            sheet.step(f"Redis is away for {away:g} s")
            server.kill()
            died = time.monotonic()
            await asyncio.sleep(away)
            await server.start()
            back = time.monotonic()
            await asyncio.sleep(BACK + 1)
        meanwhile = [probe for probe in probes.done if died + DECIDED <= probe.at < back - DECIDED]
        good = sum(probe.said == "503" and CLOSED in probe.answer for probe in meanwhile)
        sheet.check("calls meanwhile", probes.said(died, back), 0 < good == len(meanwhile), "503, with the reason")
        sheet.within("the slowest", max(probe.took for probe in meanwhile), DECIDED)
        after = probes.said(since=back + BACK)
        sheet.check(f"calls from {BACK:g} s after it is back", after, set(after) == {"200"}, "only 200")
        await _nothing_lost(sheet, on, [crowd], polls)


async def sick(sheet: Sheet, folder: Path, polls: int = 1000, stopped: float = 10.0, each: float = 4.0) -> None:
    """Redis is stopped, slow, out of memory and read only, one after the other; calls that ask it and calls that do not
    come all the time."""
    async with (
        redis(folder) as server,
        relay(server.port) as between,
        nodes(folder, [in_redis(between.url)], plan=plan(1), routes=NOW + POLL + FREE) as on,
    ):
        (node,) = on.all
        crowd = await on.parked(node, [request("/poll", token) for token in islice(on.tokens, polls)])

        async def stops() -> None:
            with server.stopped():
                await asyncio.sleep(stopped)

        async def is_slow() -> None:
            between.delay = 5.0
            await asyncio.sleep(each)
            between.delay = 0.0
            await asyncio.sleep(5)  # what was sent late is still on the way

        (nobody,) = free_ports(1)
        for what, trouble in (
                ("stopped", stops), ("late by 5 s", is_slow),
                ("out of memory", lambda: _told(server, each, "CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0")),
                ("read only", lambda: _told(server, each, f"REPLICAOF 127.0.0.1 {nobody}", "REPLICAOF NO ONE")),
            ):  # fmt: skip
            await _through(sheet, on, what, trouble)
        await _nothing_lost(sheet, on, [crowd], polls)


async def _told(server: Redis, seconds: float, before: str, after: str) -> None:
    await server.do(*before.split())
    await asyncio.sleep(seconds)
    await server.do(*after.split())


async def _through(sheet: Sheet, on: Nodes, what: str, trouble: Callable[[], Awaitable[None]]) -> None:
    """Everybody is served meanwhile, and soon after it the cap is exact again."""
    sheet.step(f"Redis is {what}")
    (node,) = on.all
    async with (
        probing(node.port, lambda: request("/now", next(on.tokens))) as asking,
        probing(node.port, lambda: request("/free", next(on.tokens)), 0.02) as free,
    ):
        await trouble()
    said = asking.said()
    sheet.check(f"{what}: calls, 100 a second", said, set(said) == {"200"}, "only 200")
    sheet.within("the slowest of them", max(probe.took for probe in asking.done), DECIDED)
    late = percentile(sorted(probe.took for probe in free.done), 0.99)
    sheet.within("p99 of calls that ask no store", late, LAG)
    token = next(on.tokens)

    async def exact() -> bool:
        crowd = await on.crowd(node, [request("/poll?for=0.3", token)] * 2)
        await over(crowd, held=0)
        return told(crowd) == {"200": 1, "429": 1}

    sheet.within("the cap is exact after", await reached(exact, 10), BACK + 0.3)
