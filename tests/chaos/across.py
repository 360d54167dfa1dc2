"""Places that change hands between processes: the newer poll ends the older one wherever that is parked, and whoever
waits for a place is next wherever it is given back. Over two gateways with a Redis, and over two workers of one.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from pathlib import Path

import orjson

from tests.bench.load import Crowd
from tests.bench.measure import is_blank
from tests.bench.wire import body, request

from .lost import seen
from .nodes import SEVERAL, SHARED, Nodes, in_redis, nodes, plan, told
from .redises import redis
from .sheet import Sheet
from .stage import Chaos, admin
from .waiting import reached

SOON = 0.25  # seconds
EVICT = 'on_excess = "evict-oldest"\nevict_grace = "1s"\n'
WAIT = 'on_excess = "wait"\nmax_waiting = 10\n'
LINE = 3  # polls of a consumer: one is held, two wait


@asynccontextmanager
async def over_nodes(folder: Path, plan: str) -> AsyncIterator[Nodes]:
    async with redis(folder) as server, nodes(folder, [in_redis(server.url)] * 2, plan=plan) as on:
        yield on


@asynccontextmanager
async def over_workers(folder: Path, plan: str) -> AsyncIterator[Nodes]:
    """The same gateway twice: which worker takes a connection is chance."""
    async with nodes(folder, [SHARED], server=SEVERAL, plan=plan) as on:
        on.all *= 2
        yield on


async def evict_nodes(sheet: Sheet, folder: Path, consumers: int = 100) -> None:
    async with over_nodes(folder, plan(1, EVICT)) as on:
        await _evict(sheet, on, consumers)


async def evict_workers(sheet: Sheet, folder: Path, consumers: int = 100) -> None:
    async with over_workers(folder, plan(1, EVICT)) as on:
        await _evict(sheet, on, consumers)


async def wait_nodes(sheet: Sheet, folder: Path, consumers: int = 20) -> None:
    async with over_nodes(folder, plan(1, WAIT)) as on:
        await _wait(sheet, on, consumers)


async def wait_workers(sheet: Sheet, folder: Path, consumers: int = 20) -> None:
    async with over_workers(folder, plan(1, WAIT)) as on:
        await _wait(sheet, on, consumers)


async def _evict(sheet: Sheet, on: Nodes, consumers: int) -> None:
    """Each consumer's second poll comes to the other gateway."""
    first, second = on.all
    wires = [request("/poll", token) for token in islice(on.tokens, consumers)]
    sheet.step(f"{consumers} consumers hold one poll each, and come again elsewhere, one after the other")
    older = await on.parked(first, wires)
    newer = Crowd()
    await newer.dial(second.port, consumers)
    newer.forget()
    took = [await _moved(on, older, newer, number, wire) for number, wire in enumerate(wires)]
    _quick(sheet, "the older poll is ended and the newer held after", took)
    blanks = sum(map(is_blank, older.answers))
    sheet.check("older polls", told(older), blanks == consumers, f"{consumers} no-news answers")
    sheet.check("newer polls", seen := told(newer), seen == {"unanswered": consumers}, f"{consumers} held")
    most = await on.most()
    sheet.check("most at the service at one time", most, most == consumers, f"{consumers}: never two of a consumer")
    await on.control.publish()
    await newer.answered(10)
    sheet.check("they get their news", seen := told(newer), seen == {"200": consumers}, f"{consumers} x 200")


async def _moved(on: Nodes, older: Crowd, newer: Crowd, number: int, wire: bytes) -> float | None:
    """Seconds until the older poll was answered, and the newer one was at the service."""
    began, before = time.monotonic(), (await on.control.stats())["polls"]
    newer.clients[number].ask(wire)

    async def moved() -> bool:
        return len(older.answers) > number and (await on.control.stats())["polls"] > before

    return await reached(moved, 1) and time.monotonic() - began


def _quick(sheet: Sheet, what: str, took: Sequence[float | None]) -> None:
    """All of them; the slowest counts."""
    good = sorted(one for one in took if one is not None)
    sheet.check(what, f"{len(good)} of {len(took)}", len(good) == len(took), "all of them")
    if good:
        sheet.note("median", f"{good[len(good) // 2] * 1e3:.0f} ms")
        sheet.within("the slowest", good[-1], SOON)


async def _wait(sheet: Sheet, on: Nodes, consumers: int) -> None:
    """Of each consumer's three polls one is held; the second waits at the other gateway, the third at the first."""
    tokens = list(islice(on.tokens, consumers))
    sheet.step(f"{consumers} consumers send {LINE} polls each, and may hold one; the held one hangs up, and so on")
    crowds = []
    for turn in range(LINE):
        node = on.all[turn % 2]
        wires = [request(f"/poll?id={consumer}-{turn}", token) for consumer, token in enumerate(tokens)]
        crowds.append(await on.crowd(node, wires))
        there = await reached(lambda turn=turn: _waiting(on, turn * consumers), 10)  # type: ignore[misc]
        sheet.check("calls that wait", turn * consumers, there is not None, f"{turn * consumers}")
        await on.reaches(consumers)
    took = [await _next(on, crowd, consumer) for crowd in crowds[:-1] for consumer in range(consumers)]
    _quick(sheet, "the next is held after its forerunner has left", took)
    order = [str(one["target"]).partition("=")[2] for one in seen(on.folder)]
    wanted = [[f"{consumer}-{turn}" for turn in range(LINE)] for consumer in range(consumers)]
    got = [[one for one in order if one.startswith(f"{consumer}-")] for consumer in range(consumers)]
    sheet.check(
        "consumers whose polls got there as they came", sum(map(list.__eq__, got, wanted)), got == wanted, "all"
    )
    most = await on.most()
    sheet.check("most at the service at one time", most, most == consumers, f"{consumers}: never two of a consumer")
    await on.control.publish()
    await crowds[-1].answered(10)
    sheet.check("the last ones", said := told(crowds[-1]), said == {"200": consumers}, f"{consumers} x 200")


async def _next(on: Nodes, crowd: Crowd, consumer: int) -> float | None:
    began, before = time.monotonic(), (await on.control.stats())["polls"]
    crowd.clients[consumer].leave()

    async def there() -> bool:
        return (await on.control.stats())["polls"] > before

    return await reached(there, 1) and time.monotonic() - began


async def _waiting(on: Nodes, number: int) -> bool:
    """Whether so many calls wait, in all."""
    gateways: list[Chaos] = list({id(node): node for node in on.all}.values())
    calls = [orjson.loads(body((await admin(node, "GET /api/held")).answer))["calls"] for node in gateways]
    return bool(sum(call["state"] == "waiting" for some in calls for call in some) == number)
