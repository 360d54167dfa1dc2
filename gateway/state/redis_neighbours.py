"""Which of the nodes that share a Redis server are gone: those whose beat has not changed for so long, by our own
clock, while we could look, and those whose end somebody saw. Nobody is declared dead by a clock that jumps, or for
what nobody could write meanwhile.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping

MOST_DEAD = 256  # names of nodes that have ended, for as long as they may still be found

Beat = tuple[str, str]  # of an owner, what it last wrote


class Neighbours:
    """An owner is gone after `patience` seconds; who could not look for `gap` seconds begins anew. An owner of a node
    that is known to have `ended` is gone at once, also where its last words arrive after that."""

    __slots__ = ("_dead", "_gap", "_looked", "_patience", "_since")

    def __init__(self, patience: float, gap: float) -> None:
        self._patience = patience
        self._gap = gap
        self._looked = float("-inf")
        self._dead: deque[str] = deque(maxlen=MOST_DEAD)
        self._since: dict[str, tuple[str, float]] = {}  # by owner: its beat, and since when it is that

    def ended(self, node: str) -> None:
        self._dead.append(node)

    def look(self, beats: Mapping[str, str], now: float) -> list[Beat]:
        """Those that are gone, by what is there now."""
        known = self._since if now - self._looked <= self._gap else {}
        self._looked = now
        self._since = {
            owner: known[owner] if owner in known and known[owner][0] == beat else (beat, now)
            for owner, beat in beats.items()
        }
        return [
            (owner, beat)
            for owner, (beat, since) in self._since.items()
            if now - since >= self._patience or node_of(owner) in self._dead
        ]


def node_of(owner: str) -> str:
    return owner.partition(".")[0]


def nodes(owners: Iterable[str]) -> int:
    """How many nodes these owners are of: one that has just come back may be there twice."""
    return len({node_of(owner) for owner in owners})
