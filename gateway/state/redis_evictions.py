"""A place that goes from one call to another. Who has it is ended first, wherever that is: only then the other goes on,
so that the upstream never sees both. A call that cannot be ended any more keeps its place, and it is asked for another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from gateway.call import State
from gateway.demands import release
from gateway.state.redis_desk import Desk, Pending
from gateway.state.store import Denied

if TYPE_CHECKING:
    from gateway.call import Call
    from gateway.state.mirror import Lent, Mirror

TRIES: Final = 3  # victims that turn out to be past ending; then the call is refused


class _Waiting:
    """A call that was granted a place of somebody elsewhere."""

    __slots__ = ("number", "owed", "pending", "timer")

    def __init__(self, pending: Pending, owed: Sequence[float], number: int, timer: asyncio.TimerHandle) -> None:
        self.pending = pending
        self.owed = owed
        self.number = number  # of those who are being ended
        self.timer = timer


class Evictions:
    """`confirm` seconds are waited for the word that a poll elsewhere has ended."""

    def __init__(self, loop: asyncio.AbstractEventLoop, mirror: Mirror, desk: Desk, confirm: float) -> None:
        self.ends: Callable[[Call, str], None] = lambda call, by: None
        self._loop = loop
        self._mirror = mirror
        self._desk = desk
        self._confirm = confirm
        self._waiting: dict[int, _Waiting] = {}  # by the number of who takes the place

    def granted(self, pending: Pending, owed: Sequence[float], ended: Sequence[str]) -> None:
        """`ended` have lost a place to this call."""
        elsewhere, kept = 0, False
        for member in dict.fromkeys(ended):
            owner, _, number = member.partition(":")
            lent = self._mirror.lent.get(int(number)) if owner == self._desk.owner else None
            if owner != self._desk.owner:
                elsewhere += 1
            elif lent is not None and lent.call is pending.yields:
                pending.older = lent
            elif not self._end(int(number), pending.call.id):
                kept = True
        if kept:
            self._instead(pending)
        elif elsewhere:
            timer = self._loop.call_later(self._confirm, self._go_on, pending.number)
            self._waiting[pending.number] = _Waiting(pending, owed, elsewhere, timer)
        else:
            self._let_in(pending, owed)

    def _let_in(self, pending: Pending, owed: Sequence[float]) -> None:
        if pending.older is not None:
            release(pending.older.call)  # which is ended now that the newer one is let in
        pending.asked.granted(pending, owed, self._loop.time())

    def _end(self, number: int, by: str) -> bool:
        """Whether it is over."""
        had = self._mirror.lent.get(number) or self._pending(number)
        if had is None:
            return True
        if not had.call.evictable:
            later = had.call.state <= State.PARKED
            self._desk.say(("keep", number, had.marks, later))
            if not later:
                had.marks = [(name, "", line) for name, _, line in had.marks]  # nobody asks for it again
            return False
        self.ends(had.call, by)
        return True

    def _pending(self, number: int) -> Pending | None:
        """One that waits itself for another to end: it has its place already, and may lose it."""
        waiting = self._waiting.get(number)
        return waiting.pending if waiting is not None else None

    def heard(self, word: Mapping[str, Any]) -> None:
        """Another node wants a poll of ours to end; or one there has."""
        if word["name"] == "end":
            done = self._end(word["number"], word["by"])
            self._desk.say(("say", word["to"], {"name": "ended", "to": word["to"], "done": done}))
            return
        owner, _, number = word["to"].partition(":")
        waiting = self._waiting.get(int(number)) if owner == self._desk.owner else None
        if waiting is None:
            return
        waiting.number -= 1
        if not word["done"]:
            self._forget(int(number))
            self._instead(waiting.pending)
        elif waiting.number <= 0:
            self._go_on(int(number))

    def _instead(self, pending: Pending) -> None:
        """It gives back what it got, also to who gave way to it, and asks for the place of another."""
        older, pending.older = pending.older, None
        if older is not None and older.number in self._mirror.lent:
            self._claim(older)
        self.undo(pending)
        pending.tries += 1
        if pending.tries > TRIES:
            place = next((each for each in pending.places if each.evict), pending.places[0])
            pending.answer.set_result(Denied(place, 1.0))
        else:
            pending.asked.ask(pending)

    def undo(self, pending: Pending) -> None:
        """What was granted is given back."""
        if pending.marks:
            self._desk.say(("release", pending.number, pending.marks))
        for bucket in pending.tokens:
            self._desk.say(("refund", *bucket))

    def in_vain(self, pending: Pending, ended: Sequence[str]) -> None:
        """What was granted came too late: those of this process who were to be ended for it are not."""
        self.undo(pending)
        for member in ended:
            owner, _, number = member.partition(":")
            lent = self._mirror.lent.get(int(number)) if owner == self._desk.owner else None
            if lent is not None:
                self._claim(lent)

    def halfway(self, pending: Pending) -> None:
        """The server failed in the middle. Whatever it got is given back, each by itself: that may fail, too."""
        older = self._mirror.of(pending.yields) if pending.yields is not None else None
        if older is not None:
            self._claim(older)
        for mark in pending.marks:
            self._desk.say(("release", pending.number, (mark,)))

    def _claim(self, lent: Lent) -> None:
        self._desk.say(("claim", lent.number, (), lent.marks))

    def all_go_on(self) -> None:
        """Nobody will confirm any more."""
        for number in list(self._waiting):
            self._go_on(number)

    def _forget(self, number: int) -> _Waiting:
        waiting = self._waiting.pop(number)
        waiting.timer.cancel()
        return waiting

    def _go_on(self, number: int) -> None:
        waiting = self._forget(number)
        self._let_in(waiting.pending, waiting.owed)
