"""The kinds `hold_cap` and `concurrency_cap`: how many at once. Two caps and never one: parked polls and tunnels are
many and cheap, ordinary calls are not, and neither may starve the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.policies.keys import Applies, KeyOf, Payer, compile_key, compile_when
from gateway.state.store import Place

if TYPE_CHECKING:
    from gateway.call import Call


@dataclass(frozen=True, slots=True)
class Cap:
    """One cap of a route, compiled: of polls and tunnels (`hold_cap`) or of ordinary calls (`concurrency_cap`)."""

    limit: str
    polls: bool
    max: int
    key: KeyOf
    applies: Applies | None
    payer: Payer
    evict: bool
    grace: float
    max_waiting: int  # calls in line for a place; 0: there is no line

    def demand(self, call: Call) -> Place | None:
        """What this cap asks for a call, None where it is not meant for it."""
        key = self.payer(call)
        return self.place(key, call.poller) if key is not None else None

    def place(self, key: str, who: str) -> Place:
        return Place(self.limit, key, self.max, who, self.evict, self.grace, self.max_waiting)


def compile_cap(
    limit: str, polls: bool, most: int, per: str, when_claims: Mapping[str, Sequence[object]], evict: bool = False,
    grace: float = 0.0, max_waiting: int = 0,
) -> Cap:  # fmt: skip
    """Raises ValueError for a `per` that names nobody."""
    key, applies = compile_key(per), compile_when(when_claims)
    payer = _Counted(polls, key, applies).payer
    return Cap(limit, polls, most, key, applies, payer, evict, grace, max_waiting)


class _Counted:
    """For whom a cap is meant."""

    __slots__ = ("_applies", "_key", "_polls")

    def __init__(self, polls: bool, key: KeyOf, applies: Applies | None) -> None:
        self._polls = polls
        self._key = key
        self._applies = applies

    def payer(self, call: Call) -> str | None:
        """Who takes up a place for the call."""
        if (call.hold is not None or call.upgrade is not None) is not self._polls:
            return None
        return self._key(call) if self._applies is None or self._applies(call) else None
