"""Services that are gone for a while, over and over, and services that take a request and never answer: who is told
what, and when.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import ExitStack
from itertools import count
from pathlib import Path

from tests.bench.load import Crowd
from tests.bench.process import free_ports
from tests.bench.wire import request

from .lost import CURSOR, TAKE, outcomes, polls, recorder, standing, times, upstream
from .probes import Probe, probing
from .sheet import Sheet
from .stage import DIALECTS, Chaos, statuses

BEFORE = 0.5  # seconds before its end from which a service may leave polls unanswered
AFTER = 1.0  # and after it is back, until all is well again
HOLD, MARGIN, TIMEOUT = 2, 1, 3  # seconds
SHORT = DIALECTS.replace('"110s"', f'"{HOLD}s"').replace('"5s"', f'"{MARGIN}s"')
LATE = 0.25  # seconds by which a deadline may be missed
OPENED, CLOSED = "no endpoint can be reached", "it can be reached again"

Gap = tuple[float, float]  # when it died, and when it was there again


async def restarts(sheet: Sheet, folder: Path, outages: int = 5, up: float = 3.0, down: float = 1.0) -> None:
    """The only endpoint dies and comes back under 200 polls a second that take what they are told."""
    ports, ids, gaps = free_ports(1), count(), list[Gap]()
    with ExitStack() as stack:
        running = stack.enter_context(recorder(folder, ports))
        await running.listening(ports[0])
        async with standing(folder, ports, ports) as on:
            sheet.step(f"{outages} outages of {down:g} s, 200 polls a second, each held for 0.2 s")

            def wire() -> bytes:
                return request(f"{TAKE}?id={next(ids)}&for=0.2", next(on.tokens))

            async with probing(on.port, wire, every=0.005) as probes:
                for number in range(1, outages + 1):
                    await asyncio.sleep(up)
                    running.kill()
                    died = time.monotonic()
                    await asyncio.sleep(down)
                    running = stack.enter_context(recorder(folder, ports, f"upstream-{number}"))
                    await running.listening(ports[0])
                    gaps.append((died, time.monotonic()))
                await asyncio.sleep(up)
            _recovered(sheet, probes.done, gaps)
            await _said_once(sheet, on, outages)


def _recovered(sheet: Sheet, done: list[Probe], gaps: list[Gap]) -> None:
    good = [one for one in done if one.said == "200"]
    for number, (_, back) in enumerate(gaps, 1):
        first = min((one.at + one.took for one in good if one.at > back - BEFORE), default=None)
        sheet.within(f"answered again after outage {number}", first - back if first is not None else None, AFTER)
    said = dict(Counter(one.said for one in done))
    sheet.check("polls", said, set(said) <= {"200", "502", "503"}, "200, 502 and 503")
    peace = [one for one in done if not any(died - BEFORE <= one.at <= back + AFTER for died, back in gaps)]
    ended = dict(Counter(one.said for one in peace))
    sheet.check("polls between outages", ended, set(ended) == {"200"}, "200")
    told = [one.took for one in done if one.said == "503"]
    sheet.within("the slowest that was told 503", max(told, default=None), 0.25)


async def _said_once(sheet: Sheet, on: Chaos, outages: int) -> None:
    seen = times(on.folder, TAKE)
    sheet.check("polls as recorded", dict(seen), set(seen) == {1}, "each once")
    circuit = (await upstream(on))["circuit"]
    assert isinstance(circuit, dict)
    ok = circuit["state"] == "closed" and circuit["opened"] == outages
    sheet.check("the circuit", circuit, ok, f"opened and closed {outages} times")
    printed = on.proxy.printed()
    lines = {text: sum(text in line for line in printed) for text in (OPENED, CLOSED)}
    sheet.check("lines in the log", lines, set(lines.values()) == {outages}, f"{outages} of each")


async def silent(sheet: Sheet, folder: Path, each: int = 250) -> None:
    """A service takes polls and calls, and never answers; or answers at a byte a second, which is no answer either."""
    ports = free_ports(1)
    with recorder(folder, ports) as running:
        await running.listening(ports[0])
        timeout = f'response_timeout = "{TIMEOUT}s"'
        async with standing(folder, ports, ports, timeout, SHORT) as on:
            await _overruns(sheet, on, each)  # first: those of other polls count too
            for path, deadline in (("/poll/plain", TIMEOUT), ("/poll/drip", TIMEOUT), (TAKE, HOLD + MARGIN)):
                crowd = await _unanswered(sheet, on, path, each, deadline)
                sheet.check(f"{path}: told", got := statuses(crowd), got == {"504": each}, f"{each} x 504")
                crowd.leave()
            left = await on.reaches(0, 5)
            sheet.within("the service holds none", left, 1)
            there = await upstream(on)
            sheet.check("places taken", there["held"], there["held"] == 0, "0")
            sheet.check("the circuit", there["circuit"], "'opened': 0" in str(there["circuit"]), "never open")


async def _unanswered(sheet: Sheet, on: Chaos, path: str, number: int, deadline: float) -> Crowd:
    """All are told, none before its deadline and none long after it."""
    sheet.step(f"{number} x {path}, which nobody answers, for {deadline:g} s")
    crowd = Crowd()
    await crowd.dial(on.port, number)
    crowd.forget()
    wires = polls(on, path, number)
    began = time.perf_counter()
    crowd.ask(wires, slice(None))
    asked = time.perf_counter()
    await crowd.answered(deadline + 10)
    early = sum(at - asked < deadline - LATE for at in crowd.times)
    sheet.check(f"{path}: told early", early, early == 0, "none")
    sheet.within(f"{path}: the last, after its deadline", max(crowd.times) - began - deadline, LATE)
    return crowd


async def _overruns(sheet: Sheet, on: Chaos, number: int) -> None:
    """The template forgives two in a row."""
    crowd = await _unanswered(sheet, on, CURSOR, number, HOLD + MARGIN)
    got = statuses(crowd)
    sheet.check(f"{CURSOR}: told", got, got == {"200": 2, "504": number - 2}, f"2 x 200, {number - 2} x 504")
    await asyncio.sleep(0.3)  # records are written
    ended = outcomes(on, "poll")
    wanted = {"overrun/1": 2, "upstream_timeout/1": number - 2}
    sheet.check("as recorded", ended, ended == wanted, str(wanted))
    crowd.leave()
