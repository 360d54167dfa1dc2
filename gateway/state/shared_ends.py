"""Polls of other processes that are to end for calls of this one: when they have, or when one says that it goes on, or
after a moment, for their process may be gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from itertools import count
from typing import Final

LONGEST: Final = 0.25  # seconds

Over = Callable[[bytes | None], None]


class _Waiting:
    """`left` have not said anything yet."""

    __slots__ = ("left", "over", "timer")

    def __init__(self, left: dict[int, bytes], over: Over) -> None:
        self.left = left
        self.over = over
        self.timer: asyncio.TimerHandle | None = None


class Ends:
    __slots__ = ("_loop", "_numbers", "_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._numbers = count(1)
        self._waiting: dict[int, _Waiting] = {}  # by the number of who has to end

    def wait(self, rows: Sequence[bytes], over: Over) -> list[int]:
        """Under which number each is to be told of. `over` is called once: with the row of the first that goes on, or
        with None when nobody is to be waited for any more."""
        left = {next(self._numbers): row for row in rows}
        waiting = _Waiting(left, over)
        self._waiting.update(dict.fromkeys(left, waiting))
        waiting.timer = self._loop.call_later(LONGEST, self._close, waiting, None)
        return list(left)

    def ended(self, number: int, done: bool) -> None:
        waiting = self._waiting.pop(number, None)
        if waiting is None:
            return
        row = waiting.left.pop(number)
        if not done:
            self._close(waiting, row)
        elif not waiting.left:
            self._close(waiting, None)

    def _close(self, waiting: _Waiting, row: bytes | None) -> None:
        if waiting.timer is not None:
            waiting.timer.cancel()
        for number in waiting.left:
            del self._waiting[number]
        waiting.over(row)
