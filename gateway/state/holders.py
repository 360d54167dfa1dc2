"""Who has places under the caps of one process: for each limit a table of keys, for each key the one call that has a
place there, or several in the order in which they came. A place is lent as a lease, which gives it back.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from gateway.call import Lease

if TYPE_CHECKING:
    from gateway.call import Call

Crowd = OrderedDict["Call", None]  # oldest first, and the oldest is found at once however many left before
Freed = Callable[[str, str], None]


class Holders:
    """Under one limit: key -> who holds a place. Most have one: that one needs no table."""

    __slots__ = ("by_key", "freed", "limit")

    def __init__(self, limit: str, freed: Freed | None) -> None:
        self.by_key: dict[str, Call | Crowd] = {}
        self.limit = limit
        self.freed = freed

    def __len__(self) -> int:
        """Keys under which somebody has a place."""
        return len(self.by_key)

    def count(self, key: str) -> int:
        holders = self.by_key.get(key)
        return len(holders) if isinstance(holders, OrderedDict) else int(holders is not None)

    def of(self, key: str) -> Collection[Call]:
        holders = self.by_key.get(key)
        if holders is None:
            return ()
        return holders if isinstance(holders, OrderedDict) else (holders,)


class PlaceLease(Lease):
    """A place under a cap. Two methods and three references, no closure: a parked poll pays for every byte."""

    __slots__ = ("_holder", "_key", "_table")

    def __init__(self, table: Holders, key: str, holder: Call) -> None:
        self._table = table
        self._key = key
        self._holder = holder

    def take(self) -> None:
        table, key = self._table.by_key, self._key
        others = table.get(key)
        if others is None:
            table[key] = self._holder
        elif isinstance(others, OrderedDict):
            others[self._holder] = None
        else:
            table[key] = OrderedDict(((others, None), (self._holder, None)))

    def release(self) -> None:
        key, limit, freed = self._key, self._table.limit, self._table.freed
        table = self._table.by_key
        holders = table.get(key)
        if holders is self._holder:
            del table[key]
        elif isinstance(holders, OrderedDict):
            holders.pop(self._holder, None)
            if not holders:
                del table[key]
        if freed is not None:
            freed(limit, key)
