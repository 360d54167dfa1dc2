"""Polls of other processes that lost their places to calls of this one: such a call goes on when they have ended, so
that the upstream never sees more than it may; or after a moment, for their process may be gone.
"""

from __future__ import annotations

import asyncio
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.state.store import Taken

LONGEST = 0.25  # seconds


class Ends:
    __slots__ = ("_loop", "_numbers", "_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._numbers = count(1)
        self._waiting: dict[int, tuple[asyncio.Future[Taken], set[int]]] = {}  # by the number of who has to end

    def numbers(self, victims: int) -> tuple[asyncio.Future[Taken], list[int]]:
        """What a call waits for that ends so many, and under which number each is to be told of."""
        numbers = [next(self._numbers) for _ in range(victims)]
        taken: asyncio.Future[Taken] = self._loop.create_future()
        left = set(numbers)
        self._waiting.update(dict.fromkeys(numbers, (taken, left)))
        timer = self._loop.call_later(LONGEST, self._done, taken)
        taken.add_done_callback(lambda _: self._forget(numbers, timer))
        return taken, numbers

    def ended(self, number: int) -> None:
        taken, left = self._waiting.get(number, (None, set[int]()))
        left.discard(number)
        if taken is not None and not left:
            self._done(taken)

    def _done(self, taken: asyncio.Future[Taken]) -> None:
        if not taken.done():
            taken.set_result(None)

    def _forget(self, numbers: list[int], timer: asyncio.TimerHandle) -> None:
        timer.cancel()
        for number in numbers:
            self._waiting.pop(number, None)
