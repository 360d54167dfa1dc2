"""How late the loop runs what is due, and how long collections of garbage stopped everything: what every call waited
for without a place in its own record. Two timers' worth of work a second, and nothing per call.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections import deque
from collections.abc import Callable

# Seconds between two looks. A stall shorter than this is seen by chance; and each look wakes an idle process, for 0.15
# ms: at 0.05 s that was two thirds of what 5,000 parked polls took.
EVERY = 0.1
RECENT = 10.0  # seconds


class Lag:
    """Seconds: `recent` is the longest delay of the last 10 s, `most` the longest since the start, `gc_pause` the
    longest collection. `start()` and `stop()` it on the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, now: Callable[[], float] = time.monotonic) -> None:
        self.most = 0.0
        self.gc_pause = 0.0
        self._loop = loop
        self._now = now
        self._handle: asyncio.Handle | None = None
        self._due = 0.0
        self._seconds: deque[tuple[int, float]] = deque(maxlen=int(RECENT) + 1)  # the worst of each second that has one
        self._collecting = 0.0

    @property
    def recent(self) -> float:
        since = self._now() - RECENT
        return max((late for second, late in self._seconds if second > since - 1), default=0.0)

    def start(self) -> None:
        """From the next turn of the loop on: what is still done in this one is no delay of anybody."""
        self._handle = self._loop.call_soon(self._begin)

    def _begin(self) -> None:
        gc.callbacks.append(self._collected)
        self._arm(self._now())

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        if self._collected in gc.callbacks:
            gc.callbacks.remove(self._collected)

    def _arm(self, now: float) -> None:
        self._due = now + EVERY
        self._handle = self._loop.call_later(EVERY, self._look)

    def _look(self) -> None:
        now = self._now()
        self.note(now - self._due, now)
        self._arm(now)

    def note(self, late: float, now: float) -> None:
        """Something ran that late, at that instant (monotonic seconds)."""
        late, second = max(late, 0.0), int(now)
        self.most = max(self.most, late)
        if self._seconds and self._seconds[-1][0] == second:
            late = max(late, self._seconds.pop()[1])
        self._seconds.append((second, late))

    def _collected(self, phase: str, info: dict[str, int]) -> None:
        now = time.perf_counter()
        if phase == "start":
            self._collecting = now
        elif self._collecting:
            self.gc_pause = max(self.gc_pause, now - self._collecting)
