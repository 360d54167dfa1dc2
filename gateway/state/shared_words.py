"""What the workers of a machine tell each other of what they share: that it is somebody's turn, and that a poll has
lost its place and shall end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from gateway.state.lmdb_crowd import number_of, owner_of
from gateway.state.shared_ends import Ends, Over

if TYPE_CHECKING:
    from gateway.call import Call
    from gateway.state.bus import Bus, Word
    from gateway.state.shared_lines import Tickets
    from gateway.state.shared_places import Turns


class Words:
    """`freed` and `ends` are what the store is given in `watch`; `gives_way` ends a call of this process (its number)
    for that of another, and says whether it has ended."""

    __slots__ = ("_bus", "_ends", "_gives_way", "_loop", "_name", "_tickets", "ends", "freed")

    def __init__(self, name: bytes, bus: Bus, loop: asyncio.AbstractEventLoop, tickets: Tickets,
                 gives_way: Callable[[int, str], bool]) -> None:  # fmt: skip
        self._name = name
        self._bus = bus
        self._ends = Ends(loop)
        self._loop = loop
        self._tickets = tickets
        self._gives_way = gives_way
        self.freed: Callable[[str, str], None] = lambda limit, key: None
        self.ends: Callable[[Call, str], None] = lambda call, by: None
        bus.listen(name.hex(), self.heard)

    def tell(self, turns: Turns) -> None:
        for owner, digest in turns:
            if owner == self._name:
                self._turn(digest)
            else:
                self._bus.send(owner.hex(), turn(digest))

    def end(self, rows: Sequence[bytes], by: str, over: Over) -> None:
        """Ends polls of other processes for the call `by`, which waits for this."""
        for row, number in zip(rows, self._ends.wait(rows, over), strict=True):
            word = {"end": number_of(row), "by": by, "from": self._name.hex(), "as": number}
            self._bus.send(owner_of(row).hex(), word)

    def heard(self, word: Word) -> None:
        """What this process does not know any more is over."""
        if "turn" in word:
            self._turn(bytes.fromhex(word["turn"]))
        elif "ended" in word:
            self._ends.ended(word["ended"], word["done"])
        elif "end" in word:
            self._give_way(word)

    def _turn(self, digest: bytes) -> None:
        key = self._tickets.named(digest)
        if key is not None:
            self.freed(*key)

    def _give_way(self, word: Word) -> None:
        done = True
        try:
            done = self._gives_way(word["end"], word["by"])
        finally:  # behind the loop's own work: by then its connection to the upstream is closed, not only told to be
            answer = {"ended": word["as"], "done": done}
            self._loop.call_soon(self._loop.call_soon, self._bus.send, word["from"], answer)


def turn(digest: bytes) -> Word:
    """It may be the turn of the first who waits there."""
    return {"turn": digest.hex()}
