"""Wakes of the gateway and one peer in pairs: both are up at once, each before an upstream of its own, and are woken in
turn. A machine that others use drifts within seconds: two wakes next to each other are alike in that, two runs are not.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field

from ..load import Crowd
from ..measure import Figures, Scale, park, settle, wake, warm
from ..process import MeasureError
from ..proxies import Stage, wires
from .peer import Limits, Peer
from .playing import Told, playing

QUIET = 0.5  # seconds between the last poll held and the publication


class FailedError(MeasureError):
    """One of the two failed; `name` says which."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(reason)
        self.name = name


@dataclass(slots=True)
class Pair:
    """One run: the wakes of the gateway and those of the peer, in turn; what has the same place belongs together."""

    ours: list[Figures] = field(default_factory=list)
    theirs: list[Figures] = field(default_factory=list)


@dataclass(slots=True)
class Side:
    """One of the two: its clients, their polls, and what its wakes gave so far."""

    name: str
    on: Stage
    crowd: Crowd
    polls: list[bytes]
    wakes: list[Figures]

    async def wake(self) -> None:
        """Holds every poll anew and answers them all."""
        with _blamed(self.name):
            await park(self.on, self.crowd, self.polls)
            await settle(QUIET)
            figures = await wake(self.on, self.crowd)
            if figures["woken"] != len(self.polls):  # the time until the last is answered would be none
                raise MeasureError(f"of {len(self.polls)} polls {figures['woken']:g} were answered with the news")
            self.wakes.append(figures)


async def paired(ours: Peer, theirs: Peer, scale: Scale, told: dict[str, Told]) -> Pair:
    """One run in fresh processes, who is first alternating; raises FailedError."""
    pair = Pair()
    async with AsyncExitStack() as up:
        sides = [
            await _side(up, peer, wakes, scale, told.setdefault(peer.name, Told()))
            for peer, wakes in ((ours, pair.ours), (theirs, pair.theirs))
        ]
        for turn in range(scale.pair_wakes):
            for side in sides if turn % 2 == 0 else sides[::-1]:
                await side.wake()
    return pair


async def _side(up: AsyncExitStack, peer: Peer, wakes: list[Figures], scale: Scale, told: Told) -> Side:
    with _blamed(peer.name):
        on = await up.enter_async_context(playing(peer, Limits(), told))
        await warm(on)
        crowd = Crowd()
        await crowd.dial(on.port, scale.polls, on.tls)
        return Side(peer.name, on, crowd, wires(on.poll, scale.polls, on.tokens), wakes)


@contextmanager
def _blamed(name: str) -> Iterator[None]:
    """Only the one that fails is out of the comparison, and either may."""
    try:
        yield
    except (MeasureError, OSError) as error:
        raise FailedError(name, str(error)) from error
