"""Each measure as one function: it gets a fresh stage, loads it, and returns named figures.
A figure is None when it did not come about in the time a measure waits (a naive proxy never lets go).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from itertools import cycle, islice

from .load import ClosedLoop, Crowd, Loyal
from .process import MeasureError
from .proxies import BLANK, DRAIN, Stage, wires
from .wire import status

Figures = dict[str, float | None]
CONNECTIONS = 32  # of the closed loop; also how many tokens repeat
BEHIND = 1.2  # seconds: what proxies write or send once a second is in the figure of a wake
UNDER_WAY = 250  # polls asked before the ones before them are held


@dataclass(frozen=True, slots=True)
class Scale:
    """How much of everything. Times in seconds, what is counted is per turn."""

    polls: int = 5000
    wakes: int = 3
    pair_wakes: int = 16  # of each of two proxies that are woken in turn
    idle: float = 30.0
    short_turns: int = 3  # the proxies take turns, so that a machine that drifts favours neither
    short: float = 2.0
    unseen: int = 7000  # requests a turn with a token never seen before
    storm: int = 1000
    listed: int = 8000  # held polls that pages are made of
    tunnels: int = 5000  # that stand idle
    echoes: int = 1_000_000  # messages
    patience: float = 5.0  # how long a storm or a drain is waited for

    def quick(self) -> Scale:
        return replace(self, wakes=1, pair_wakes=8, idle=5.0, short_turns=1, unseen=5000, echoes=100_000, patience=4.0)


def percentile(values: list[float], share: float) -> float:
    """The value below which that share lies (nearest rank); `values` must be sorted."""
    return values[min(len(values) - 1, int(len(values) * share))]


async def settle(seconds: float = 0.3) -> None:
    """Lets log batches and closed connections be worked off, so that they are in the figure."""
    await asyncio.sleep(seconds)


async def short_requests(stage: Stage, wire: list[bytes], seconds: float, mixed: bool = False) -> ClosedLoop:
    """Loads until the requests or, repeating them, the seconds run out; anything but 200 fails the measure. Each
    connection repeats its own, unless they are `mixed`, as those of many clients on connections of a proxy before."""
    if mixed or not seconds:
        loop = ClosedLoop(cycle(wire) if seconds else iter(wire), seconds or 3600)
    else:
        loop = Loyal(wire, seconds)
    await loop.run(stage.port, CONNECTIONS, stage.tls)
    if loop.bad is not None:
        raise MeasureError(f"{stage.proxy.name} answered a short request with {loop.bad[:300]!r}")
    return loop


async def warm(stage: Stage) -> None:
    """A few ordinary requests, so that first-time costs are not counted."""
    await short_requests(stage, wires("/now", CONNECTIONS, stage.tokens), 0)
    await settle()


async def held(stage: Stage, crowd: Crowd, number: int) -> None:
    """Waits until the upstream holds that many polls; an answer or a lost connection instead fails the measure."""
    until, there = time.monotonic() + 60, -1.0
    while there < number and not crowd.answers and not crowd.lost and time.monotonic() < until:
        there = (await stage.control.stats())["held"]
        await asyncio.sleep(0.002)
    if there < number or crowd.answers or crowd.lost:
        said = f", {len(crowd.answers)} answered, such as {crowd.answers[0][:300]!r}" if crowd.answers else ""
        raise MeasureError(
            f"of {number} polls {there:g} are held, {crowd.lost} lost{said}."
            f" {stage.proxy.name} printed: {stage.proxy.last_words()}"
        )


async def park(stage: Stage, crowd: Crowd, polls: list[bytes]) -> None:
    """Every client of the crowd sends its poll, at the pace of the proxy; returns when the upstream holds all."""
    crowd.forget()
    for first in range(0, len(polls), UNDER_WAY):
        crowd.ask(polls, slice(first, first + UNDER_WAY))
        await held(stage, crowd, first)
    await held(stage, crowd, len(polls))


async def wake(stage: Stage, crowd: Crowd) -> Figures:
    """Publishes once and waits for every answer."""
    cpu, began = stage.proxy.cpu(), time.perf_counter()
    await stage.control.publish()
    await crowd.answered(60)
    took = sorted(at - began for at in crowd.times)
    await settle(BEHIND)
    good = sum(status(answer) == 200 and b'"events":[{' in answer.replace(b" ", b"") for answer in crowd.answers)
    if not took:
        return {"woken": 0, "wake_us": None, "wake_p50": None, "wake_p99": None, "wake_all": None}
    return {
        "woken": good,
        "wake_us": (stage.proxy.cpu() - cpu) / len(took) * 1e6,
        "wake_p50": percentile(took, 0.5) * 1e3,
        "wake_p99": percentile(took, 0.99) * 1e3,
        "wake_all": took[-1] * 1e3 if good == len(crowd.clients) else None,
    }


async def hold(stage: Stage, scale: Scale) -> list[Figures]:
    """Memory of held polls in a fresh process, each with its own token; then wakes them, several times."""
    polls = wires(stage.poll, scale.polls, stage.tokens)
    await warm(stage)
    before = stage.proxy.pss()
    crowd = Crowd()
    await crowd.dial(stage.port, scale.polls, stage.tls)
    await park(stage, crowd, polls)
    await settle(1.0)
    after = stage.proxy.pss()
    grown = {name: (after[name] - before[name]) / scale.polls for name in before}
    figures: list[Figures] = [{"hold_kib": grown["Pss"], "hold_anon_kib": grown["Pss_Anon"]}]
    for turn in range(scale.wakes):
        if turn:
            await park(stage, crowd, polls)
        figures.append(await wake(stage, crowd))
    return figures


async def idle(stage: Stage, scale: Scale) -> list[Figures]:
    """CPU time while nothing happens but waiting."""
    crowd = Crowd()
    await crowd.dial(stage.port, scale.polls, stage.tls)
    await park(stage, crowd, wires(stage.poll, scale.polls, stage.tokens))
    await settle(1.0)
    cpu, began = stage.proxy.cpu(), time.perf_counter()
    await asyncio.sleep(scale.idle)
    used = (stage.proxy.cpu() - cpu) / (time.perf_counter() - began)
    return [{"idle_ms": used * 1e3 / (scale.polls / 1000)}]


async def short(stage: Stage, scale: Scale) -> list[Figures]:
    """CPU time of a request answered at once: of clients that each have a connection, of clients that share them, and
    with tokens never seen."""
    known = wires("/now", CONNECTIONS, stage.tokens)
    unseen = wires("/now", scale.unseen, stage.tokens)
    await short_requests(stage, list(islice(cycle(known), 2000)), 0)
    await settle()
    figures: Figures = {}
    for name, wire, seconds in (("short", known, scale.short), ("mixed", known, scale.short), ("unseen", unseen, 0.0)):
        cpu, began = stage.proxy.cpu(), time.perf_counter()
        latencies = sorted((await short_requests(stage, wire, seconds, name == "mixed")).latencies)
        took = time.perf_counter() - began
        await settle()
        figures[f"{name}_us"] = (stage.proxy.cpu() - cpu) / len(latencies) * 1e6
        figures[f"{name}_rps"] = len(latencies) / took
        figures[f"{name}_p99"] = percentile(latencies, 0.99) * 1e3
    return [figures]


async def hang_up(stage: Stage, scale: Scale, reset: bool) -> float | None:
    """Milliseconds from the first hang-up until the upstream has lost every poll; None: it never did."""
    crowd = Crowd()
    await crowd.dial(stage.port, scale.storm)
    await park(stage, crowd, wires("/poll", scale.storm, stage.tokens))
    await settle()
    began = time.monotonic()
    crowd.leave(reset)
    while time.monotonic() - began < scale.patience:
        await asyncio.sleep(0.02)
        stats = await stage.control.stats()
        if stats["held"] == 0:
            return (stats["last_gone"] - began) * 1e3
    return None


async def storm_fin(stage: Stage, scale: Scale) -> list[Figures]:
    """Everybody closes at once."""
    return [{"storm_fin": await hang_up(stage, scale, reset=False)}]


async def storm_rst(stage: Stage, scale: Scale) -> list[Figures]:
    """Everybody resets at once."""
    return [{"storm_rst": await hang_up(stage, scale, reset=True)}]


def is_blank(answer: bytes) -> bool:
    """A well-formed no-news answer, in the template's own words."""
    head, _, body = answer.partition(b"\r\n\r\n")
    return status(answer) == 200 and body == BLANK and b"\r\ncontent-type: application/json" in head.lower()


async def drain(stage: Stage, scale: Scale) -> list[Figures]:
    """SIGTERM while polls are held: how many end in the no-news answer, and when the process is gone."""
    crowd = Crowd()
    await crowd.dial(stage.port, scale.storm)
    await park(stage, crowd, wires("/poll", scale.storm, stage.tokens))
    await settle()
    stage.proxy.terminate()
    ended = await stage.proxy.ended(DRAIN + scale.patience)
    await settle(0.1)
    return [{"drain_blanks": sum(map(is_blank, crowd.answers)), "drain_exit": ended}]


async def listen(stage: Stage, scale: Scale) -> list[Figures]:
    """From spawn to the first accepted connection; every other measure adds its own start."""
    return []


MEASURES: dict[str, Callable[[Stage, Scale], Awaitable[list[Figures]]]] = {
    "listen": listen,
    "hold": hold,
    "idle": idle,
    "short": short,
    "storm-fin": storm_fin,
    "storm-rst": storm_rst,
    "drain": drain,
}
