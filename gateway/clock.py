"""Time as a thing that is handed in: a Clock that tests may replace, and Timers, the one structure that every
deadline of every connection and call stands in. An armed entry costs one set slot: no handle, no closure.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

NEVER: Final = float("inf")
TICK: Final = 0.05  # seconds; a deadline fires at most this much late


@dataclass(frozen=True, slots=True)
class Clock:
    """`now` is monotonic seconds (every deadline), `wall` is Unix seconds (tokens, records)."""

    now: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time


class Entry(Protocol):
    """Something with one running clock. `due` and `filed` belong to Timers once armed."""

    due: float
    filed: float  # the number of the bucket it stands in; NEVER: in none

    def on_due(self, now: float) -> None: ...


class Timers:
    """Deadlines in buckets of one TICK. Re-arming later than the bucket an entry stands in moves nothing: the
    bucket re-files it when it comes up, so a connection that is used every second costs no set operation.
    """

    __slots__ = ("_buckets", "_handle", "_loop", "_next", "_order", "now")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        # uvloop's own clock stands still within a turn and counts milliseconds; both read CLOCK_MONOTONIC
        self.now = time.monotonic if type(loop).__module__.startswith("uvloop") else loop.time
        self._buckets: dict[int, set[Entry]] = {}  # by number: one TICK each, and each fires at its end
        self._order: list[int] = []  # heap of those
        self._handle: asyncio.TimerHandle | None = None
        self._next = NEVER  # the number of the one that fires next

    def arm(self, entry: Entry, due: float) -> None:
        """Calls `entry.on_due(now)` once `due` (loop seconds) has passed; replaces what was armed before."""
        entry.due = due
        filed = entry.filed
        if due < filed * TICK:
            self._file(entry, due, filed)

    def cancel(self, entry: Entry) -> None:
        """Forgets the entry; no reference to it is kept."""
        entry.due = NEVER
        filed = entry.filed
        if filed != NEVER:
            entry.filed = NEVER
            self._take_out(entry, filed)

    def _take_out(self, entry: Entry, filed: float) -> None:
        bucket = self._buckets.get(int(filed))
        if bucket is not None:
            bucket.discard(entry)

    def _file(self, entry: Entry, due: float, filed: float) -> None:
        """It stands in the bucket `filed`, if anywhere."""
        if filed != NEVER:
            self._take_out(entry, filed)
        number = int(due / TICK)
        entry.filed = float(number)
        bucket = self._buckets.get(number)
        if bucket is not None:
            bucket.add(entry)
            return
        self._buckets[number] = {entry}
        heapq.heappush(self._order, number)
        if number < self._next:
            self._schedule(number)

    def _schedule(self, number: int) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._next = float(number)
        self._handle = self._loop.call_at((number + 1) * TICK, self._fire)

    def _call(self, entry: Entry, now: float) -> None:
        try:
            entry.on_due(now)
        except Exception as error:  # a bug in one call must not lose the deadlines of the others
            self._loop.call_exception_handler({"message": "a deadline failed", "exception": error})

    def _fire(self) -> None:
        self._handle = None
        self._next = NEVER
        now = self.now()
        while self._order and (self._order[0] + 1) * TICK <= now:
            bucket = self._buckets.pop(heapq.heappop(self._order))
            for entry in bucket:
                entry.filed = NEVER
            for entry in bucket:
                due = entry.due
                if due <= now:
                    entry.due = NEVER
                    self._call(entry, now)
                elif due < entry.filed * TICK:
                    self._file(entry, due, entry.filed)
        while self._order and not self._buckets[self._order[0]]:
            del self._buckets[heapq.heappop(self._order)]  # everything in it was cancelled
        if self._order and self._order[0] < self._next:
            self._schedule(self._order[0])
