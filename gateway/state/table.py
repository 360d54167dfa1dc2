"""A table of instants, bounded by time and by number: what is over is nothing, and made-up keys push each other out."""

from __future__ import annotations

from collections import deque
from typing import Final

AHEAD: Final = 2  # old keys looked at for each new one: more than come, so that a table shrinks by itself
LOOK: Final = 64  # keys after which a sweep asks itself whether it goes on
ROOM: Final = 8  # times as many keys as there are, for which a dict may have room


class Table:
    """key -> the instant until which it is something: a bucket is not full, a poller may evict nobody. A dict with its
    keys in a row beside it, which takes half of what an ordered one does."""

    __slots__ = ("_most", "_row", "until")

    def __init__(self) -> None:
        self.until: dict[str, float] = {}
        self._row: deque[str] = deque()  # every key once, oldest first
        self._most = LOOK  # keys for which the dict has room, about

    def __len__(self) -> int:
        return len(self.until)

    def add(self, key: str, until: float, now: float, most: int) -> None:
        """Makes room for a key that is not there: drops what is over from the old end; what is still in use there goes
        to the back."""
        for _ in range(min(AHEAD, len(self._row))):
            self._drops(now, most)
        self._row.append(key)
        self.until[key] = until

    def sweep(self, then: float, most: int) -> int:
        """Drops what was over at that instant without anybody new who would make that happen, as long as a quarter of
        what is looked at was; how many keys that were, of `most`. So those who were here once cost those who stay
        nothing: beside 100,000 of them a look for a key took three times as long."""
        row, looked = self._row, 0
        self._most = max(self._most, len(row))
        while row and looked < most:
            looks = min(LOOK, len(row))
            over = sum([self._drops(then, len(row) + 1) for _ in range(looks)])
            looked += looks
            if over * 4 < looks:
                break
        if len(row) * ROOM < self._most:
            self._fit()
        return looked

    def _drops(self, now: float, most: int) -> bool:
        """Whether the oldest is over, or there is no room for it beside one that comes. Else it goes to the back."""
        old = self._row.popleft()
        if self.until[old] > now and len(self._row) < most - 1:
            self._row.append(old)
            return False
        del self.until[old]
        return True

    def _fit(self) -> None:
        """A dict keeps its room when keys leave. This one is known to others, so it remains the same."""
        left = dict(self.until)
        self.until.clear()
        self.until.update(left)
        self._most = max(len(left), LOOK)
