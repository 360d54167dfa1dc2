"""The run: every peer that is there is verified, then measured in turn with the others, each time in a fresh process.
Wakes are measured once more, in pairs. Whoever is missing, is not what its row says or fails under the load is named
with the reason, and the rest goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import cycle, islice

import click

from ..measure import CONNECTIONS, Figures, Scale, hold, idle, settle, short, short_requests
from ..process import MeasureError
from ..proxies import Stage
from ..table import median
from ..wire import LARGE_BODY, request
from .bars import PAIRED
from .known import OURS, PEERS
from .pairs import FailedError, Pair, paired
from .peer import Limits, Peer
from .playing import Told, playing
from .verify import HELD, UntrueError, verify

QUICK_HELD = 2.0


@dataclass(slots=True)
class Comparison:
    """What came of it: figures of each turn and what was written for each peer, by name; who is not in it, why; and the
    runs of pairs, by the name of the one beside the gateway."""

    peers: dict[str, Peer] = field(default_factory=dict)
    turns: dict[str, list[Figures]] = field(default_factory=dict)
    told: dict[str, Told] = field(default_factory=dict)
    absent: list[str] = field(default_factory=list)
    held_for: float = HELD
    pairs: dict[str, list[Pair]] = field(default_factory=dict)

    def figures(self, name: str) -> Figures:
        """Medians over the turns; empty for one that is not in it."""
        return median(self.turns.get(name, []))

    def leaves(self, name: str, reason: str) -> None:
        """Without this one the run goes on, but not without the gateway."""
        if name == "gateway":
            raise MeasureError(reason)
        self.peers.pop(name, None)
        self.turns.pop(name, None)
        self.pairs.pop(name, None)
        self.absent.append(reason)
        click.echo(f"not compared: {reason}", err=True)


async def bodies(stage: Stage, scale: Scale) -> list[Figures]:
    """CPU time of an answer of 100 KiB, and of a request of as much."""
    some = list(islice(stage.tokens, CONNECTIONS))
    asked = {
        "answer": [request("/large", token) for token in some],
        "upload": [request("/upload", token, "POST", bytes(LARGE_BODY)) for token in some],
    }
    figures: Figures = {}
    for name, wire in asked.items():
        await short_requests(stage, list(islice(cycle(wire), 200)), 0)
        await settle()
        cpu = stage.proxy.cpu()
        answered = len((await short_requests(stage, wire, scale.short)).latencies)
        await settle()
        figures[f"{name}_us"] = (stage.proxy.cpu() - cpu) / answered * 1e6
    return [figures]


ALONE: dict[str, Callable[[Stage, Scale], Awaitable[list[Figures]]]] = {
    "hold": hold, "short": short, "bodies": bodies, "idle": idle,
}  # fmt: skip
MEASURES = (*ALONE, "pairs")


async def compare(names: list[str], measures: list[str], scale: Scale, repeat: int, quick: bool) -> Comparison:
    """Verifies and measures those of the peers that are there."""
    done = Comparison(held_for=QUICK_HELD if quick else HELD)
    for name in names:
        if reason := PEERS[name].missing():
            done.leaves(name, reason)
        else:
            done.peers[name] = PEERS[name]
    await _verify(done)
    for measure in measures:
        for turn in range(repeat):
            names = [name for name in done.peers if _plays(done, name, measure)]
            for name in names if turn % 2 == 0 else names[::-1]:
                click.echo(f"{measure} {turn + 1}/{repeat}: {name}", err=True)
                if measure == "pairs":
                    await _pair(done, name, scale)
                else:
                    await _measure(done, name, measure, scale)
    return done


def _plays(done: Comparison, name: str, measure: str) -> bool:
    """Whether that one is measured so: beside the gateway only who has a bar about it."""
    if measure == "pairs":
        return name in PAIRED and "gateway" in done.peers
    return measure != "idle" or name not in OURS[1:]


async def _verify(done: Comparison) -> None:
    """All at the same time: a long hold is nothing but waiting."""
    click.echo(f"verifying, with a poll held for {done.held_for:g} s: {', '.join(done.peers)}", err=True)
    trials = [verify(peer, done.held_for) for peer in done.peers.values()]
    ends = await asyncio.gather(*trials, return_exceptions=True)
    for name, end in zip(list(done.peers), ends, strict=True):
        if isinstance(end, UntrueError | MeasureError | OSError):
            done.leaves(name, str(end) or f"{name}: {end!r}")
        elif end is not None:
            raise end


async def _measure(done: Comparison, name: str, measure: str, scale: Scale) -> None:
    """One turn of one; several samples of one turn count as their median."""
    told = Told()
    try:
        async with playing(done.peers[name], Limits(), told) as on:
            done.turns.setdefault(name, []).append(median(await ALONE[measure](on, scale)))
    except (MeasureError, OSError) as error:
        done.leaves(name, f"{name} failed under the load ({measure}): {error}")
    done.told[name] = told


async def _pair(done: Comparison, name: str, scale: Scale) -> None:
    """One turn of one and the gateway."""
    told: dict[str, Told] = {}
    try:
        pair = await paired(done.peers["gateway"], done.peers[name], scale, told)
        done.pairs.setdefault(name, []).append(pair)
    except FailedError as error:
        done.leaves(error.name, f"{error.name} failed under the load (pairs): {error}")
    done.told |= told
