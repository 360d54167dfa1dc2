"""SIGHUP under a thousand held polls: what changed is live at once, what did not is not touched, and a file that cannot
be used changes nothing but what the operator is told.
"""

from __future__ import annotations

import asyncio
import re
import signal
import time
from pathlib import Path

from tests.bench.load import Crowd
from tests.bench.measure import held, is_blank, park
from tests.bench.proxies import wires
from tests.bench.wire import request

from .drains import field
from .probes import Probe, Probes, ask, probing
from .sheet import Sheet
from .stage import NOW, PLAN, POLL, Chaos, Parts, admin, route, stage, statuses
from .waiting import reached

DRAIN = 2  # seconds
BURST = 5
OFTEN = 10
SLOW, FASTER = "2/min", "4/min"  # so slow that no token comes back while the case runs
FAILED = re.compile(rb'longpoll_reloads_total\{result="failed"\} 1(?:\.0)?\s')


def parts(more: Parts, rate: str, *routes: str) -> Parts:
    """What is in the file: one rate per consumer, and routes; and what that machine has."""
    plan = PLAN.replace('rate = "600/min"\nburst = 20', f'rate = "{rate}"\nburst = {BURST}')
    server = more.get("server", "") + f'drain = "{DRAIN}s"'
    return {**more, "server": server, "plan": plan, "routes": "".join((NOW, POLL, *routes))}


async def reload(sheet: Sheet, folder: Path, polls: int = 1000, removed: int = 50, more: Parts | None = None) -> None:
    """A route is added, one is removed with polls on it, a rate changes; then the file is broken, and put right."""
    old, new = route("poll/old", "template", name="old"), route("now/new", name="new")
    before, after = (parts(more or {}, rate, one) for rate, one in ((SLOW, old), (FASTER, new)))
    async with stage(folder, **before) as on:
        sheet.step(f"{polls:,} polls held, {removed} on a route that goes, 100 probes a second")
        crowd, leaving = Crowd(), Crowd()
        await crowd.dial(on.port, polls)
        await leaving.dial(on.port, removed)
        await park(on, crowd, wires("/poll", polls, on.tokens))
        leaving.forget()
        leaving.ask(wires("/poll/old", removed, on.tokens), slice(None))
        await held(on, leaving, polls + removed)
        async with probing(on.port, lambda: request("/now", next(on.tokens))) as probes:
            poor = await _spend(on)
            sheet.check("a consumer that spent its burst", poor[1], poor[1] == "429", "429")
            on.configure(**after)
            await _changed(sheet, on, poor[0])
            await _left(sheet, on, leaving)
            await _broken(sheet, on)
            await _mended(sheet, on, after)
            seen = statuses(crowd)
            sheet.check("the held ones meanwhile", seen, seen == {"unanswered": polls}, f"{polls} still held")
            await on.control.publish()
            await crowd.answered(10)
        sheet.check("the held ones at the end", seen := statuses(crowd), seen == {"200": polls}, f"{polls} x 200")
        _probes(sheet, probes)


async def _spend(on: Chaos) -> tuple[bytes, str]:
    """A consumer's whole burst and one call more; its request, and what it was told at last."""
    wire = request("/now", next(on.tokens))
    said = [(await ask(on.port, wire)).said for _ in range(BURST + 1)]
    return wire, said[-1]


async def _changed(sheet: Sheet, on: Chaos, poor: bytes) -> None:
    sheet.step("SIGHUP")
    began = time.monotonic()
    on.proxy.tell(signal.SIGHUP)
    last: list[Probe] = []

    async def live() -> bool:
        last[:] = [await ask(on.port, request("/now/new", next(on.tokens)))]
        return last[0].said == "200" and b";q=4;" in (field(last[0].answer, b"RateLimit-Policy") or b"")

    took = await reached(live, 10)
    if took is None:
        sheet.note("the new route answered", last[0].answer[:300])
    sheet.within("the new route and rate are live", took and time.monotonic() - began, 1)
    again = (await ask(on.port, poor)).said
    sheet.check("who had spent its burst is told again", again, again == "429", "429: limits are not reset")


async def _left(sheet: Sheet, on: Chaos, leaving: Crowd) -> None:
    """The drain table: a template may be said, spread over the window."""
    number = len(leaving.clients)
    await leaving.answered(DRAIN + 5)
    blanks = sum(map(is_blank, leaving.answers))
    sheet.check("polls of the removed route", statuses(leaving), blanks == number, f"{number} no-news answers")
    gone = (await ask(on.port, request("/poll/old", next(on.tokens)))).said
    sheet.check("a new poll there", gone, gone == "404", "404")


async def _broken(sheet: Sheet, on: Chaos) -> None:
    sheet.step("SIGHUP with a file that cannot be used")
    path, lines = on.folder / "gateway.toml", len(on.proxy.printed())
    path.write_text(path.read_text() + '\n[upstream.chaos.tls]\nca = "file:nowhere.pem"\nunknown = 1\n')
    on.proxy.tell(signal.SIGHUP)

    async def counted() -> bool:
        return bool(FAILED.search((await admin(on, "GET /metrics")).answer))

    sheet.within("/metrics counts one failed reload", await reached(counted, 5), 1)
    said = on.proxy.printed()[lines:]
    sheet.check("standard error", said[:3], any("unknown" in line for line in said), "the key that is wrong")
    ready = await admin(on, "GET /readyz")
    body = ready.answer.partition(b"\r\n\r\n")[2]
    sheet.check("/readyz", f"{ready.said} {body!r}", ready.said == "200" and b"reload" in body, "200, and what failed")
    told = await admin(on, "POST /api/reload")
    sheet.check("POST /api/reload", told.said, told.said == "422", "422")
    still = (await ask(on.port, request("/now/new", next(on.tokens)))).said
    sheet.check("the routes there were", still, still == "200", "still 200")


async def _mended(sheet: Sheet, on: Chaos, good: Parts) -> None:
    on.configure(**good)
    told = await admin(on, "POST /api/reload")
    sheet.check("POST /api/reload of a good file", told.said, told.said == "200", "200")
    sheet.step(f"SIGHUP {OFTEN} times in a second")
    for _ in range(OFTEN):
        on.proxy.tell(signal.SIGHUP)
        await asyncio.sleep(1 / OFTEN)


def _probes(sheet: Sheet, probes: Probes) -> None:
    said = probes.said()
    sheet.check("probes all the while", said, set(said) == {"200"}, "only 200")
    sheet.note("slowest answer to a probe", probes.slowest())
