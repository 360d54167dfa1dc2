"""What is over leaves the memory of a process also when nobody new comes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway.clock import NEVER

if TYPE_CHECKING:
    from gateway.clock import Timers
    from gateway.state.memory import MemoryStore

EVERY: Final = 1.0  # seconds between two looks
MOST: Final = 8192  # keys of a look, for which the loop stands still a millisecond
# Seconds that what is over stays. Who polls comes back within them, and finds what he has been counted by.
STAYS: Final = 60.0


class Sweep:
    """Sweeps a store every second."""

    __slots__ = ("_store", "_timers", "due", "filed")

    def __init__(self, timers: Timers, store: MemoryStore) -> None:
        self.due = self.filed = NEVER
        self._timers = timers
        self._store = store
        timers.arm(self, timers.now() + EVERY)

    def on_due(self, now: float) -> None:
        self._timers.arm(self, now + EVERY)
        self._store.sweep(now - STAYS, MOST)
