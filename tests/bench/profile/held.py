"""Bytes of a held poll: what the process grows by as the kernel counts it, and, in processes of their own, what of that
are objects, of which type, and which line asked for them.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson

from tests.bench.load import Crowd
from tests.bench.measure import park, settle, warm
from tests.bench.process import MeasureError
from tests.bench.proxies import Ports, Stage, wires

from .census import Tally
from .full import full, profiled

GATEWAY = [sys.executable, "-m", "gateway"]
PATIENCE = 120.0  # seconds that a look at all objects may take


@dataclass
class Bytes:
    """Of one held poll: `grown` is what the kernel says."""

    polls: int
    grown: float
    types: Tally
    sites: Tally


async def held(folder: Path, polls: int) -> Bytes:
    """Three fresh processes: looking costs memory itself."""
    async with profiled() as on:
        before = await _base(on)
        await _hold(on, polls)
        grown = (on.proxy.pss()["Pss"] - before) * 1024 / polls
    return Bytes(polls, grown, await _looked(folder, "types", polls), await _looked(folder, "sites", polls))


async def _base(on: Stage) -> int:
    await warm(on)
    return on.proxy.pss()["Pss"]


async def _hold(on: Stage, polls: int) -> Crowd:
    crowd = Crowd()
    await crowd.dial(on.port, polls)
    await park(on, crowd, wires(on.poll, polls, on.tokens))
    await settle(1.0)
    return crowd


async def _looked(folder: Path, how: str, polls: int) -> Tally:
    """What is more of with all polls held than with none."""
    fifo = folder / f"{how}.fifo"
    os.mkfifo(fifo)

    def command(ports: Ports, directory: Path) -> list[str]:
        _, *arguments = full(ports, directory)
        return [sys.executable, "-m", "tests.bench.profile.inside", how, str(fifo), *arguments[2:]]

    async with profiled(command) as on:
        await warm(on)
        before = await _look(on, folder / f"{how}-before", fifo)
        await _hold(on, polls)
        return more(before, await _look(on, folder / f"{how}-after", fifo))


async def _look(on: Stage, path: Path, fifo: Path) -> Tally:
    fifo.write_text(f"{path}\n")
    for _ in range(int(PATIENCE / 0.05)):
        if path.exists():
            found: Tally = orjson.loads(path.read_bytes())
            return found
        await asyncio.sleep(0.05)
    raise MeasureError(f"the gateway did not tell within {PATIENCE:g} s of what it is made: {on.proxy.last_words()}")


def more(before: Tally, after: Tally) -> Tally:
    """What changed."""
    none = [0, 0]
    changed = {label: [now - then for now, then in zip(after.get(label, none), before.get(label, none), strict=True)]
               for label in after.keys() | before.keys()}  # fmt: skip
    return {label: change for label, change in changed.items() if any(change)}


def table(found: Bytes, most: int) -> Iterator[str]:
    """In bytes for each poll; then what is none of these."""
    objects, asked = (sum(size for _, size in tally.values()) / found.polls for tally in (found.types, found.sites))
    yield f"\nheld poll: {found.grown:,.0f} bytes ({found.polls:,} of them, by the kernel's count)"
    yield f"  {objects:8,.0f}  objects, by type below"
    yield f"  {asked - objects:8,.0f}  asked for by Python beside them: in no object's size, such as handles of uvloop"
    yield f"  {found.grown - asked:8,.0f}  neither: what libraries ask the system for, rounding, unused room"
    yield from _rows("by type", found.types, found.polls, most)
    yield from _rows("by the line that asked", found.sites, found.polls, most)


def _rows(title: str, tally: Tally, polls: int, most: int) -> Iterator[str]:
    yield f"\n  {'bytes':>8} {'count':>6}  {title}"
    ranked = sorted(tally.items(), key=lambda each: -abs(each[1][1]))
    for label, (count, size) in ranked[:most]:
        yield f"  {size / polls:8,.1f} {count / polls:6.2f}  {label}"
    if len(ranked) > most:
        rest = sum(size for _, (_, size) in ranked[most:]) / polls
        yield f"  {rest:8,.1f} {'':6}  {len(ranked) - most} others"
