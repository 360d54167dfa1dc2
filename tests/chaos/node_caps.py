"""One cap over two gateways that share a Redis: everybody polls at once, one gateway is killed, or one of them loses
Redis. The service counts who got through, whatever the gateways believe.
"""

from __future__ import annotations

import asyncio
import gc
import time
from pathlib import Path

from tests.bench.load import Crowd
from tests.bench.measure import percentile
from tests.bench.process import core_speed
from tests.bench.wire import request

from .nodes import Nodes, in_redis, nodes, over, plan, refusals, told
from .probes import Probes, probing
from .redises import Relay, redis, relay
from .sheet import Sheet
from .stage import Chaos
from .waiting import reached

MAX = 10
GONE = 15.0  # seconds in which the places of a dead node are free
PATIENT = 0.05  # seconds for a refusal
SETTLED = 0.5  # seconds in which both gateways have let in whoever has connected
TURNS = 5  # the median: the machine has slow moments of its own
HEARD = 3.0  # seconds in which every node has heard of every other
PRESSED = 18.0  # seconds of a partition: longer than a node without a heartbeat counts as alive


async def two_nodes(
    sheet: Sheet, folder: Path, polls: int = 1000, hold: float = 30.0, killed_after: float = 8.0
) -> None:
    """A thousand polls of one consumer at one instant; then the gateway that holds more of them is killed."""
    async with redis(folder) as server, nodes(folder, [in_redis(server.url)] * 2, plan=plan(MAX)) as on:
        token = next(on.tokens)
        sheet.step(f"{polls:,} polls of one consumer over two gateways, at one instant")
        wires = [request(f"/poll?for={hold:g}", token)] * (polls // 2)
        crowds = [await _dialled(node, len(wires)) for node in on.all]
        sheet.note("a fixed piece of Python takes", f"{core_speed(0):.0f} ms here, of which 100 is a quick machine")
        most = [await _at_once(sheet, crowds, wires, MAX)]
        sheet.check("held at the service", held := await on.held(), held == MAX, f"{MAX}")
        for _ in range(TURNS - 1):  # all places are taken: everybody is refused
            others = [await _dialled(node, len(wires)) for node in on.all]
            most.append(await _at_once(sheet, others, wires, 0))
            for crowd in others:
                crowd.leave()
        sheet.within(f"p99 of a refusal, median of {TURNS} such instants", percentile(sorted(most), 0.5), PATIENT)
        dead, alive = sorted((0, 1), key=lambda one: refusals(crowds[one]))
        await _refused(sheet, on, request("/poll", token), killed_after)
        await _dies(sheet, on, on.all[dead], on.all[alive], token)
        await on.control.publish()
        await crowds[alive].answered(5)
        got = told(crowds[alive])
        sheet.check("those at the other gateway", got, got.get("200", 0) + got["429"] == len(wires), "200, and the 429")
        await on.again(on.all[dead])
        await _exact(sheet, on, token)
        most = await on.most()
        sheet.check("most at the service at one time", most, most == MAX, f"{MAX}")


async def _at_once(sheet: Sheet, crowds: list[Crowd], wires: list[bytes], held: int) -> float:
    """Everybody asks; seconds until nearly all who are refused were told so."""
    await asyncio.sleep(SETTLED)
    gc.collect()  # of ours, or it falls into what is timed
    for crowd in crowds:
        crowd.ask(wires, slice(None))
    await over(*crowds, held=held)
    seen, wanted = told(*crowds), {"429": len(crowds) * len(wires) - held} | ({"unanswered": held} if held else {})
    sheet.check("told", seen, seen == wanted, f"{wanted}")
    took = sorted(seconds for crowd in crowds for seconds in crowd.took)
    half, most = percentile(took, 0.5), percentile(took, 0.99)
    sheet.note("refusals after", f"half {half * 1e3:.0f} ms, p99 {most * 1e3:.0f} ms, the last {took[-1] * 1e3:.0f} ms")
    return most


async def _dialled(node: Chaos, number: int) -> Crowd:
    crowd = Crowd()
    await crowd.dial(node.port, number)
    crowd.forget()
    return crowd


async def _refused(sheet: Sheet, on: Nodes, wire: bytes, seconds: float) -> None:
    """While all places are taken nobody gets in, and is told so at once."""
    first, second = on.all
    async with probing(first.port, lambda: wire, 0.02) as one, probing(second.port, lambda: wire, 0.02) as other:
        await asyncio.sleep(seconds)
    _all_refused(sheet, "polls meanwhile, 50 a second at each", one, other)


def _all_refused(sheet: Sheet, what: str, *rows: Probes) -> None:
    done = [probe for row in rows for probe in row.done]
    said = {ending for row in rows for ending in row.said()}
    sheet.check(what, f"{len(done)} x {said}", said == {"429"}, "429 each")
    sheet.within("p99 of a refusal", percentile(sorted(probe.took for probe in done), 0.99), PATIENT)


async def _dies(sheet: Sheet, on: Nodes, dead: Chaos, alive: Chaos, token: str) -> None:
    sheet.step("one gateway is killed; polls come to the other, ten a second")
    before = await on.held()
    dead.proxy.kill()
    began = time.monotonic()
    await reached(lambda: _fewer(on, before), 5)
    sheet.note("polls it held", before - await on.held())
    held = await _press(on, alive, request("/poll?for=60", token), GONE + 10)
    sheet.within("its places are taken by others", held and held - began, GONE)


async def _fewer(on: Nodes, before: int) -> bool:
    return await on.held() < before


async def _press(on: Nodes, node: Chaos, wire: bytes, within: float) -> float | None:
    """One more poll ten times a second, until all places are taken; when that was."""
    until = time.monotonic() + within
    while time.monotonic() < until:
        if await on.held() == MAX:
            return time.monotonic()
        await on.crowd(node, [wire])
        await asyncio.sleep(0.1)
    return None


async def _exact(sheet: Sheet, on: Nodes, token: str) -> None:
    """Nothing is held: ten places are free, over both gateways."""
    await on.reaches(0)
    crowds = [await on.crowd(node, [request("/poll", token)] * MAX) for node in on.all]
    await over(*crowds, held=MAX)
    seen, wanted = told(*crowds), {"429": MAX, "unanswered": MAX}
    sheet.check(f"afterwards, {2 * MAX} polls over both", seen, seen == wanted, f"{wanted}")
    await on.control.publish()
    await on.reaches(0)


async def partition(sheet: Sheet, folder: Path) -> None:
    """The first gateway loses Redis, the second does not: one admits its share, the other what it did before."""
    async with (
        redis(folder) as server,
        relay(server.port) as cable,
        nodes(folder, [in_redis(cable.url), in_redis(server.url)], plan=plan(MAX)) as on,
    ):
        token, share = next(on.tokens), MAX // 2
        wire = request("/poll", token)
        lost, kept = on.all
        first = [await on.parked(node, [wire] * share) for node in on.all]
        sheet.check("held at the service", held := await on.held(), held == MAX, f"{MAX}: {share} at each gateway")
        await asyncio.sleep(HEARD)
        sheet.step(f"the first gateway loses Redis for {PRESSED:g} s; both are pressed, twenty polls a second at each")
        pressed = await _pressed(on, cable, wire)
        most = await on.most()
        sheet.check("most at the service", most, most <= MAX + share, f"at most {MAX + share}: the cap and a share")
        got = [_inside(first[at], *pressed[at]) for at in (0, 1)]
        sheet.check("held by the one that lost it", got[0], got[0] <= share, f"at most {share}")
        sheet.check("held by the other", got[1], share <= got[1] <= MAX, f"{share} to {MAX}")
        seen = told(*pressed[0], *pressed[1])
        sheet.check("told, beside those that are held", seen, set(seen) <= {"429", "unanswered"}, "429 each")
        await asyncio.sleep(2)
        crowds = [await on.crowd(node, [wire] * 5) for node in (lost, kept)]
        await over(*crowds, held=0)
        sheet.check(
            "2 s after it is back", seen := told(*crowds), seen == {"429": 10}, "429 each: who is held is known"
        )
        await on.control.publish()
        await asyncio.gather(*(crowd.answered(5) for crowd in first))
        sheet.check("those that were held", seen := told(*first), seen == {"200": MAX}, f"{MAX} x 200")
        await _exact(sheet, on, token)


def _inside(*crowds: Crowd) -> int:
    return told(*crowds).get("unanswered", 0)


async def _pressed(on: Nodes, cable: Relay, wire: bytes) -> tuple[list[Crowd], list[Crowd]]:
    """Polls at both gateways while the first is cut off; who was let in stays."""
    pressed = list[Crowd](), list[Crowd]()
    cable.cut()
    until = time.monotonic() + PRESSED
    while time.monotonic() < until:
        for node, some in zip(on.all, pressed, strict=True):
            some.append(await on.crowd(node, [wire] * 10))
        await asyncio.sleep(0.5)
    cable.mend()
    return pressed
