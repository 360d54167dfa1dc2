"""Gives memory back to the system after many connections have left. What Python frees goes to the C library, which
keeps it for the next who come: after 8,000 polls a process stays at 1.6 times of what it was. Asked for it, which takes
a millisecond or two, it gives most of that back.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from gateway.clock import NEVER

if TYPE_CHECKING:
    from gateway.clock import Timers
    from gateway.edge.room import Room

EVERY: Final = 5.0  # seconds between two looks
MANY: Final = 1000  # connections that have left


def malloc_trim() -> Callable[[int], int] | None:
    """glibc's own (malloc_trim(3)); None where the C library is another."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return None
    trim.argtypes, trim.restype = [ctypes.c_size_t], ctypes.c_int
    return lambda keep: int(trim(keep))


class Trim:
    """Looks every few seconds how many connections there are in a room: once many have left, and more than are still
    there, `give_back` is called."""

    __slots__ = ("_give_back", "_room", "_timers", "due", "filed")

    def __init__(self, timers: Timers, room: Room, give_back: Callable[[int], int]) -> None:
        self.due = self.filed = NEVER
        self._timers = timers
        self._room = room
        self._give_back = give_back
        timers.arm(self, timers.now() + EVERY)

    def on_due(self, now: float) -> None:
        self._timers.arm(self, now + EVERY)
        room = self._room
        left = room.most - room.open
        if left >= MANY and left > room.open:
            room.most = room.open
            self._give_back(0)
