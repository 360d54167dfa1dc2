"""Calls that wait for their turn: for a place under a cap, or for a token of a rate. First come, first served under
each key; a call in line is listed, hangs up, ends and drains like every other, and nobody passes it by.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from aiolimiter import AsyncLimiter

from gateway import refusals
from gateway.asking import Asking
from gateway.state.store import Demand, Denied, Tokens

if TYPE_CHECKING:
    from gateway.call import Call
    from gateway.clock import Timers
    from gateway.state.bucket import Rate

PACE: Final = 0.05  # seconds from one call to the next at most, when there are tokens for both
SHORTEST_SLEEP: Final = 0.001  # seconds; what a loop's clock can tell apart
TURN: Final = 1.0  # seconds: the guess of who is told to come back because others wait before him for a place


class Spot:
    """A call's place in a line. Stands in `call.up` until there is something better; `until` (loop seconds) is the
    last instant at which going on is still of use to it."""

    __slots__ = ("call", "demand", "line", "since", "until")

    def __init__(self, line: Line, call: Call, demand: Demand, since: float, until: float) -> None:
        self.line = line
        self.call = call
        self.demand = demand
        self.since = since
        self.until = until

    def cancel(self) -> None:
        """Waits no more, for whatever reason."""
        self.line.leave(self)
        self.line.tell(self.call)

    def pause(self) -> None:
        """Nothing is read yet."""

    def resume(self) -> None:
        """Nothing was paused."""

    def upload(self, data: bytes, ended: bool) -> None:
        raise AssertionError("a body is read only once its head is sent")


class Line:
    """Who waits for the same thing, the first to come first. Gone when it is empty."""

    __slots__ = ("_key", "_lines", "called", "pacer", "spots", "wait", "woken")

    def __init__(self, lines: Lines, key: tuple[str, str]) -> None:
        self.spots: OrderedDict[Spot, None] = OrderedDict()
        self.wait = 0.0  # seconds until the bucket has the next token, as it was last asked
        self.called = False  # it will be looked at in the next turn of the loop
        self.pacer: asyncio.Task[None] | None = None
        self.woken: asyncio.Event | None = None  # a token was given back
        self._lines = lines
        self._key = key

    @property
    def first(self) -> Spot:
        return next(iter(self.spots))

    def leave(self, spot: Spot) -> None:
        if spot not in self.spots:
            return
        first = self.first is spot
        del self.spots[spot]
        spot.call.waited += self._lines.timers.now() - spot.since
        if not self.spots:
            self._lines.close(self._key, self)
        elif first and self.woken is None and self._lines.left is not None:
            self._lines.freed(*self._key)  # what the first was told last may have been meant for the next

    def tell(self, call: Call) -> None:
        """A store that keeps the lines shall not wait for who waits no more."""
        if self._lines.left is not None:
            self._lines.left(call)


class Lines:
    """All lines of the process."""

    __slots__ = ("_lines", "_loop", "left", "open", "timers")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, timers: Timers, left: Callable[[Call], None] | None = None
    ) -> None:
        self.timers = timers
        self.left = left  # where a store keeps the lines: is told of each call that waits no longer
        self._loop = loop
        self._lines: dict[tuple[str, str], Line] = {}
        self.open = self._lines  # for who only asks whether there is any: that costs no call

    def __len__(self) -> int:
        return len(self._lines)

    def waiting(self, limit: str, key: str) -> int:
        """How many wait there."""
        line = self._lines.get((limit, key))
        return len(line.spots) if line is not None else 0

    def ahead(self, demands: Iterable[Demand], call: Call) -> Demand | None:
        """The first demand for which others wait already: who comes now waits behind them."""
        for demand in demands:
            line = self._lines.get((demand.limit, demand.key))
            if line is not None and line.first.call is not call:
                return demand
        return None

    def stays(self, call: Call, denied: Denied) -> Spot | None:
        """The call's spot if it stands in the line for what it was denied already."""
        spot = call.up
        if not isinstance(spot, Spot) or spot.line is not self._lines.get((denied.demand.limit, denied.demand.key)):
            return None
        spot.line.wait = denied.retry_after
        return spot

    def join(self, call: Call, denied: Denied, until: float, most: int | None) -> Spot | None:
        """A spot at the end of the line for what the call was denied. None when `most` wait there, or when its turn
        would come after `until`."""
        demand, now = denied.demand, self.timers.now()
        key = (demand.limit, demand.key)
        line = self._lines.get(key) or Line(self, key)
        rate = demand.rate if isinstance(demand, Tokens) else None
        if until <= now + (denied.retry_after if rate is not None else 0.0):
            return None
        if most is not None and len(line.spots) >= most:
            return None
        spot = Spot(line, call, demand, now, until)
        if not line.spots:
            self._open(key, line, denied.retry_after, rate)
        line.spots[spot] = None
        return spot

    def _open(self, key: tuple[str, str], line: Line, wait: float, rate: Rate | None) -> None:
        self._lines[key] = line
        if rate is not None:
            line.wait = wait
            line.woken = asyncio.Event()
            line.pacer = self._loop.create_task(self._pace(line, line.woken, rate))

    def close(self, key: tuple[str, str], line: Line) -> None:
        """Forgets an empty line."""
        self._lines.pop(key, None)
        if line.pacer is not None:
            line.pacer.cancel()

    def freed(self, limit: str, key: str) -> None:
        """A place or a token was given back: whoever waits for it is asked in a moment, when what gave it back is
        done."""
        line = self._lines.get((limit, key)) if self._lines else None
        if line is None:
            return
        if line.woken is not None:
            line.woken.set()
        elif not line.called:
            self._call(line)

    def missed(self, spot: Spot) -> None:
        """While it asked, what it waits for may have come free: it asks again, if it is first."""
        if spot.line.woken is None and spot.line.first is spot and not spot.line.called:
            self._call(spot.line)

    def wake(self) -> None:
        """The rules have changed: the first of every line asks again."""
        for limit, key in list(self._lines):
            self.freed(limit, key)

    def _call(self, line: Line) -> None:
        line.called = True
        self._loop.call_soon(self._let_in, line)

    def _let_in(self, line: Line) -> None:
        """One a turn of the loop: thousands may be told no, and nobody else shall wait for all of them."""
        line.called = False
        if line.spots and self._step(line) and line.spots and not line.called:
            self._call(line)

    async def _pace(self, line: Line, woken: asyncio.Event, rate: Rate) -> None:
        """One call a token: the bucket says when there is one, and tokens that come back all at once (refunds) let
        calls out one by one. The limiter only spaces them: it is never slower than the bucket."""
        limiter = AsyncLimiter(1, min(rate.interval / 2, PACE))
        while line.spots:
            await _nap(line.wait, woken)
            await limiter.acquire()
            while line.spots and not await self._asks(line):
                await _nap(line.wait, woken)
            line.wait = 0.0

    async def _asks(self, line: Line) -> bool:
        """Lets the first ask again, and waits for the answer where it comes later; whether it left the line."""
        spot = line.first
        self._step(line)
        while isinstance(spot.call.up, Asking) and spot in line.spots:
            await asyncio.wait([spot.call.up.answer])  # which is not ended with this task
        return spot not in line.spots

    def _step(self, line: Line) -> bool:
        """Lets the first ask again; whether it left the line. A bug in one call must not stop those behind it."""
        spot = line.first
        try:
            spot.call.serve.on_turn(spot.call)
        except Exception as error:
            self._loop.call_exception_handler({"message": "a call that waited failed", "exception": error})
            spot.call.serve.refuse(spot.call, refusals.INTERNAL)
        return spot not in line.spots


async def _nap(seconds: float, woken: asyncio.Event) -> None:
    """Sleeps, but not on when a token was given back."""
    try:
        async with asyncio.timeout(max(seconds, SHORTEST_SLEEP)):
            await woken.wait()
    except TimeoutError:
        return
    woken.clear()
