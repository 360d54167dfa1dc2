"""A table of instants, bounded by time and by number: what is over is nothing, and made-up keys push each other out."""

from __future__ import annotations

from collections import deque
from typing import Final

SWEEP: Final = 2  # old keys looked at for each new one: more than come, so that a table shrinks by itself


class Table:
    """key -> the instant until which it is something: a bucket is not full, a poller may evict nobody. A dict with its
    keys in a row beside it, which takes half of what an ordered one does."""

    __slots__ = ("_row", "until")

    def __init__(self) -> None:
        self.until: dict[str, float] = {}
        self._row: deque[str] = deque()  # every key once, oldest first

    def __len__(self) -> int:
        return len(self.until)

    def add(self, key: str, until: float, now: float, most: int) -> None:
        """Makes room for a key that is not there: drops what is over from the old end; what is still in use there goes
        to the back."""
        for _ in range(min(SWEEP, len(self._row))):
            old = self._row.popleft()
            if self.until[old] > now and len(self._row) < most - 1:  # room for the one that comes
                self._row.append(old)
            else:
                del self.until[old]
        self._row.append(key)
        self.until[key] = until
