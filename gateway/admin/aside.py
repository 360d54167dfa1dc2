"""Something that is looked for less often than it is shown, beside who shows it: what was found last is at hand,
and the next is fetched when it is due and somebody asks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from gateway.admin.worker import NoAnswerError

T = TypeVar("T")


class Aside(Generic[T]):
    """`last` is what `find` found last, `first` before that. A failure is told to the loop and leaves the last."""

    def __init__(self, find: Callable[[], Awaitable[T]], every: float, first: T) -> None:
        self.last = first
        self._find = find
        self._every = every
        self._due = 0.0  # loop seconds
        self._task: asyncio.Task[None] | None = None

    def look(self) -> T:
        """What there is; begins to look again if it is time."""
        now = asyncio.get_running_loop().time()
        if now >= self._due and (self._task is None or self._task.done()):
            self._due = now + self._every
            self._task = asyncio.ensure_future(self._look())
        return self.last

    async def _look(self) -> None:
        try:
            self.last = await self._find()
        except NoAnswerError:
            pass  # it was told already; perhaps there is one next time
        except Exception as error:
            context = {"message": "a part of the dashboard failed", "exception": error}
            asyncio.get_running_loop().call_exception_handler(context)

    async def close(self, within: float) -> None:
        """Lets what is under way come to its end, for a while."""
        if self._task is not None and (await asyncio.wait([self._task], timeout=within))[1]:
            self._task.cancel()
