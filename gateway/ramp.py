"""The first moments after a start, when everybody comes back at once: polls begin to be held at a bounded rate, first
come, first served, and who has to wait for that does so out of his own hold. Over as soon as nobody waits any more.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from aiolimiter import AsyncLimiter

from gateway import refusals
from gateway.holds import budget

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.call import Call
    from gateway.clock import Timers
    from gateway.pipeline import Refusal

QUIET: Final = 30.0  # seconds in which nobody had to wait: then those who were to come back have come
AT_ONCE: Final = 0.02  # seconds whose polls are let in together: a loop's clock is too coarse for thousands a second


class Early:
    """A poll that came before its turn, in `call.up` until that comes; `until` (loop seconds) is the last instant at
    which it is still of use."""

    __slots__ = ("_ramp", "call", "since", "until")

    def __init__(self, ramp: Ramp, call: Call, since: float, until: float) -> None:
        self.call = call
        self.since = since
        self.until = until
        self._ramp = ramp

    def cancel(self) -> None:
        """It waits no more, for whatever reason."""
        self._ramp.leave(self)

    def pause(self) -> None:
        """Nothing is read yet."""

    def resume(self) -> None:
        """Nothing was paused."""

    def upload(self, data: bytes, ended: bool) -> None:
        raise AssertionError("a body is read only once its head is sent")

    def in_vain(self) -> Refusal:
        """What it is told when its time is over and we may not say "no news"."""
        return refusals.STARTING


class Ramp:
    """Lets polls in, `count` in `seconds` (of this process), until nobody had to wait for `quiet` seconds: then it
    calls `over`, and is to be asked no more."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, timers: Timers, count: float, seconds: float,
        over: Callable[[], None], quiet: float = QUIET,
    ) -> None:  # fmt: skip
        self._loop = loop
        self._now = timers.now
        self._over = over
        self._quiet = quiet
        at_once = max(1.0, count / seconds * AT_ONCE)
        self._limiter = AsyncLimiter(at_once, at_once * seconds / count)
        self._line: dict[Early, None] = {}
        self._came = asyncio.Event()
        self._waited = self._now()  # when somebody last had to
        self._task = loop.create_task(self._pace())

    def __len__(self) -> int:
        return len(self._line)

    def enter(self, call: Call) -> Early:
        """The end of the line: `serve.on_turn` follows, in the next turn of the loop where nobody has to wait."""
        assert call.hold is not None
        until = budget.last_start(call.hold, call.granted or 0.0, call.deadline)
        early = Early(self, call, self._now(), until)
        self._line[early] = None
        self._came.set()
        return early

    def leave(self, early: Early) -> None:
        if early in self._line:
            del self._line[early]
            early.call.waited += self._now() - early.since

    def close(self) -> None:
        self._task.cancel()

    async def _pace(self) -> None:
        await self._let_all_in()
        while (left := self._waited + self._quiet - self._now()) > 0:
            self._came.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._came.wait()
            await self._let_all_in()
        self._over()

    async def _let_all_in(self) -> None:
        while self._line:
            if not self._limiter.has_capacity():
                await self._limiter.acquire()
                self._waited = self._now()
            else:
                await self._limiter.acquire()
            if self._line:
                self._let_in(next(iter(self._line)))

    def _let_in(self, early: Early) -> None:
        """A bug in one call must not stop those behind it."""
        call = early.call
        try:
            call.serve.on_turn(call)
        except Exception as error:
            self._loop.call_exception_handler({"message": "a call that waited failed", "exception": error})
            call.serve.refuse(call, refusals.INTERNAL)
        self.leave(early)
