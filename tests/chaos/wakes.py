"""Everybody is woken at once: nobody is left out, nobody is written down twice or never, the first asked are the first
answered, and a stranger who comes meanwhile is served as if nothing happened.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections import Counter
from pathlib import Path

from tests.bench.load import Client, Crowd
from tests.bench.measure import park, percentile, settle
from tests.bench.process import free_ports, spawn
from tests.bench.proxies import wires

from .prober import apart
from .probes import Probe
from .sheet import Sheet
from .stage import PLAN, Chaos, route, stage, statuses
from .waiting import reached

QUIET = 0.5  # seconds of probes before the storm, and after
ANOTHER = """
[upstream.another]
endpoints = ["http://127.0.0.1:{port}"]
"""


class Ranked(Crowd):
    """A crowd that knows who was answered when."""

    def forget(self) -> None:
        super().forget()
        self.order: list[Client] = []

    def on_answer(self, client: Client, answer: bytes) -> None:
        self.order.append(client)
        super().on_answer(client, answer)

    def likeness(self) -> float:
        """Of the order of the answers to that of the questions: 1 the same, 0 none, -1 the reverse (Spearman)."""
        place = {client: rank for rank, client in enumerate(self.clients)}
        return statistics.correlation([place[client] for client in self.order], range(len(self.order)))


async def wake_storm(sheet: Sheet, folder: Path, polls: int = 8000, storms: int = 3) -> None:
    """All polls are woken by one event, several times over; the probes go to another service, which is not busy."""
    port = free_ports(1)[0]
    routes = route("poll", "template", "places") + route("now").replace('"chaos"', '"another"')
    argv = [sys.executable, "-m", "tests.bench.upstream", str(port)]
    with spawn("another", argv, None, folder) as another:
        await another.listening(port)
        async with stage(folder, plan=PLAN + ANOTHER.format(port=port), routes=routes) as on:
            crowd, wire = Ranked(), wires("/poll", polls, on.tokens)
            await crowd.dial(on.port, polls)
            for turn in range(1, storms + 1):
                await park(on, crowd, wire)
                sheet.step(f"storm {turn}: {polls:,} held polls are woken, a probe every 10 ms")
                await _storm(sheet, on, crowd)
            crowd.leave()


async def _storm(sheet: Sheet, on: Chaos, crowd: Ranked) -> None:
    polls, done = len(crowd.clients), Counter(str(one["outcome"]) for one in on.records() if one["route"] == "poll")
    async with apart(on, "/now") as probes:
        await settle(QUIET)
        began = time.monotonic()
        await on.control.publish()
        await crowd.answered(30)
        await settle(QUIET)
    seen = statuses(crowd)
    sheet.check("polls", seen, seen == {"200": polls}, f"{polls} x 200")
    times = sorted(at - began for at in crowd.times) or [0.0]
    sheet.note("answered after", f"first {times[0]:.3f} s, p50 {percentile(times, 0.5):.3f}, last {times[-1]:.3f}")
    likeness = crowd.likeness()
    sheet.check("order, beside that of asking", f"{likeness:.3f}", likeness >= 0.9, "at least 0.9, where 1 is the same")
    _probes(sheet, probes, began, began + times[-1])

    def wrote() -> Counter[str]:
        return Counter(str(one["outcome"]) for one in on.records() if one["route"] == "poll") - done

    await reached(lambda: wrote().total() >= polls, 5)
    sheet.check("records", dict(wrote()), wrote() == {"news": polls}, f"{polls} x news")


def _probes(sheet: Sheet, probes: list[Probe], began: float, over: float) -> None:
    """Those that came while the storm lasted, and for comparison the others."""
    meanwhile = [probe for probe in probes if began <= probe.at <= over]
    said = dict(Counter(probe.said for probe in probes))
    sheet.check("probes", said, set(said) == {"200"}, "only 200")
    sheet.note("of them during the storm", len(meanwhile))
    if meanwhile:
        took = sorted(probe.took for probe in meanwhile)
        sheet.note("  p50", f"{percentile(took, 0.5) * 1e3:.1f} ms, slowest {took[-1] * 1e3:.1f} ms")
        sheet.within("  p99", percentile(took, 0.99), 0.1)
    rest = sorted(probe.took for probe in probes if probe not in meanwhile)
    if rest:
        sheet.note("  p99 before and after", f"{percentile(rest, 0.99) * 1e3:.1f} ms")
