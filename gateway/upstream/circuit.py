"""Whether it is worth trying to connect to an upstream. Only connections that cannot be had open its circuit, never an
answer and never a hold: then nobody waits for what is not there, and one call at a time tries. Arithmetic only.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Final

from gateway.call import Lease

if TYPE_CHECKING:
    from gateway.call import Call
    from gateway.upstream.endpoint import Endpoint

# Connections in a row that could not be had, and every endpoint is among them, those that are out too.
FAILURES: Final = 5
WITHIN: Final = 10.0  # seconds; a row ends when nothing was tried for so long
AGAIN: Final = 0.5  # seconds in which every endpoint is tried about once while it is open


class Circuit:
    """`since` is when it opened (loop seconds), None while it is closed; `opened` counts how often."""

    __slots__ = ("_failed", "_last", "_next", "_refusing", "_tester", "opened", "refusals", "since")

    def __init__(self) -> None:
        self.since: float | None = None
        self.opened = 0
        self.refusals = 0  # calls that were told at once
        self._failed = 0  # in a row
        self._refusing: set[Endpoint] = set()
        self._last = 0.0
        self._next = 0.0  # not before then the next call tries
        self._tester: Tester | None = None

    @property
    def state(self) -> str:
        if self.since is None:
            return "closed"
        return "half-open" if self._tester is not None else "open"

    def lets(self, call: Call, now: float) -> bool:
        """Whether a call may try to connect. While the circuit is open one at a time may."""
        if self.since is None or (self._tester is not None and self._tester.call is call):
            return True
        if self._tester is not None or now < self._next:
            self.refusals += 1
            return False
        self._tester = Tester(self, call)
        call.leases = (*call.leases, self._tester)
        return True

    def spares(self, call: Call) -> None:
        """A call found a connection that rested, which says nothing of whether others can be had: another one tries."""
        if self._tester is not None and self._tester.call is call:
            self._tester = None

    def refused(self, endpoint: Endpoint, members: Collection[Endpoint], now: float) -> bool:
        """A connection could not be had. Whether that opened the circuit; `members` are all that could be tried."""
        if endpoint not in members:  # one that has left meanwhile says nothing of the others
            return False
        if now - self._last > WITHIN:
            self._begin_row()
        self._last = now
        self._failed += 1
        self._refusing.add(endpoint)
        if self.since is not None:
            self._next = now + AGAIN / max(len(members), 1)
            return False
        if self._failed < FAILURES or not self._refusing.issuperset(members):
            return False
        self.since, self._next = now, now + AGAIN / max(len(members), 1)
        self.opened += 1
        return True

    def connected(self, now: float) -> float | None:
        """A connection was made: how many seconds the circuit was open that this closes, or None."""
        if not self._failed:
            return None
        self._begin_row()
        since, self.since, self._tester = self.since, None, None
        return now - since if since is not None else None

    def look_again(self) -> None:
        """Who takes calls has changed: the next call tries at once."""
        self._next = 0.0

    def left(self, tester: Tester) -> None:
        """The call that tried is over, whatever came of it."""
        if self._tester is tester:
            self._tester = None

    def _begin_row(self) -> None:
        self._failed = 0
        self._refusing.clear()


class Tester(Lease):
    """The right to be the one call that tries."""

    __slots__ = ("_circuit", "call")

    def __init__(self, circuit: Circuit, call: Call) -> None:
        self._circuit = circuit
        self.call = call

    def release(self) -> None:
        self._circuit.left(self)
