"""What a process owes the memory that workers share: leases and spots in line that were given back while it could not
be asked, and leases that were lent without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from gateway.state.lmdb_map import Map
    from gateway.state.mirror import Lent, Mirror
    from gateway.state.shared_lines import Ticket
    from gateway.state.shared_places import Places, Turns

SLICE: Final = 200  # of them in one transaction: others want one too


class Owed:
    __slots__ = ("_map", "_mirror", "_places", "leases", "tickets")

    def __init__(self, shared: Map, mirror: Mirror, places: Places) -> None:
        self.leases: list[Lent] = []
        self.tickets: list[Ticket] = []
        self._map = shared
        self._mirror = mirror
        self._places = places

    def pay(self, turns: Turns) -> int:
        """How many leases were made known. Raises lmdb.Error: then the rest is still owed."""
        while self.leases or self.tickets:
            self._give_back(turns)
        unknown = [lent for lent in self._mirror.lent.values() if not lent.known]
        for at in range(0, len(unknown), SLICE):
            self._tell_of(unknown[at : at + SLICE])
        return len(unknown)

    def _give_back(self, turns: Turns) -> None:
        leases, tickets = self.leases[:SLICE], self.tickets[:SLICE]
        with self._map.transaction() as txn:
            for lent in leases:
                self._places.drop(txn, lent, turns)
            for ticket in tickets:
                self._places.leave(txn, ticket, turns)
        del self.leases[:SLICE], self.tickets[:SLICE]

    def _tell_of(self, unknown: list[Lent]) -> None:
        """They hold what they hold, even where that is more than there is: nobody new is let in until it is not."""
        with self._map.transaction() as txn:
            rows = [self._places.hold(txn, lent) for lent in unknown]
        for lent, row in zip(unknown, rows, strict=True):
            lent.known, lent.marks = True, (row,)
