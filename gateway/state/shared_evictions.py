"""A place that goes from one call to another. Who has it in another process is ended first, and only then the other
goes on, so that the upstream never sees both. One that cannot be ended keeps its place, and the next is asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from gateway.call import State
from gateway.state.lmdb_crowd import bearer_of, number_of, owner_of
from gateway.state.shared_places import Want, Way
from gateway.state.store import Denied, Keys, Taken

if TYPE_CHECKING:
    from gateway.call import Call
    from gateway.state.mirror import Lent
    from gateway.state.shared import SharedStore
    from gateway.state.shared_route import SharedRoute

TRIES: Final = 3  # victims that turn out to be past ending; then the call is refused


class Taking:
    """A call that was let in. `handed` is what an older poll of its poller had; `spared` are those who go on."""

    __slots__ = ("answer", "call", "handed", "keys", "lent", "now", "route", "spared", "wants", "yields")

    def __init__(self, route: SharedRoute, call: Call, keys: Keys, wants: Sequence[Want], now: float,
                 yields: Call | None, spared: frozenset[bytes]) -> None:  # fmt: skip
        self.route = route
        self.call = call
        self.keys = keys
        self.wants = wants
        self.now = now
        self.yields = yields
        self.spared = spared
        self.handed: Lent | None = None
        self.lent: Lent | None = None
        self.answer: asyncio.Future[Taken] | None = None


class Evictions:
    def __init__(self, store: SharedStore, loop: asyncio.AbstractEventLoop) -> None:
        self._store = store
        self._loop = loop

    def entered(self, taking: Taking, number: int, row: bytes, way: Way) -> asyncio.Future[Taken] | None:
        """Who lost his place is told last: a poll that he sends at once must not take it back. An older poll that is
        to give way has its own until the newer goes on."""
        store, mirror, call = self._store, self._store.mirror, taking.call
        mine = [one for one in way.victims.values() if owner_of(one) == store.name]
        elsewhere = [one for one in way.victims.values() if owner_of(one) != store.name]
        if way.handed is not None:
            taking.handed = mirror.lent.get(number_of(way.victims[way.handed]))
        lost = [mirror.lose(number_of(one)) for one in mine if bearer_of(one) != way.handed]
        mirror.lend(call, number, [place for place, _ in taking.wants], marks=(row,))
        taking.lent = mirror.lent[number]
        store.made_way(call, way)
        if not elsewhere:
            self._hand_over(taking)
        else:  # it has all that, but does not know it yet
            call.leases = call.leases[:-1]
            taking.answer = self._loop.create_future()
            store.words.end(elsewhere, call.id, lambda kept: self._over(taking, kept))
        for lent in lost:
            if lent is not None:
                store.words.ends(lent.call, call.id)
        if taking.answer is None:
            taking.route.pays(call, taking.keys)
        return taking.answer

    def _hand_over(self, taking: Taking) -> None:
        if taking.handed is not None:
            self._store.mirror.lose(taking.handed.number)

    def _over(self, taking: Taking, kept: bytes | None) -> None:
        assert taking.answer is not None and taking.lent is not None
        if kept is not None:
            taking.spared |= {bearer_of(kept)}
            self._anew(taking, taking.answer)
            return
        self._hand_over(taking)
        taking.call.leases += (taking.lent,)
        taking.route.pays(taking.call, taking.keys)
        taking.answer.set_result(None)

    def _anew(self, taking: Taking, answer: asyncio.Future[Taken]) -> None:
        """It gives back what it got, and asks for the place of another."""
        self._undo(taking)
        if len(taking.spared) > TRIES or taking.call.state is State.SETTLED:
            place = next((each for each, _ in taking.wants if each.evict), taking.wants[0][0])
            answer.set_result(Denied(place, 1.0))
            return
        taken = taking.route.take(taking.call, taking.now, taking.yields, taking.spared)
        if isinstance(taken, asyncio.Future):
            taken.add_done_callback(lambda later: answer.set_result(later.result()))
        else:
            answer.set_result(taken)

    def _undo(self, taking: Taking) -> None:
        """The older poll has its place again before anybody else can take it."""
        store, handed = self._store, taking.handed
        if handed is not None and handed.number in store.mirror.lent:
            store.keep(handed)
        if taking.lent is not None:
            taking.lent.release()
        for tokens in taking.route.tokens(taking.keys):
            store.give_back(tokens, taking.now)

    def gives_way(self, number: int, by: str) -> bool:
        """Another process wants a place of this call: whether it has ended, and lost all of them."""
        store = self._store
        lent = store.mirror.lent.get(number)
        if lent is not None and not lent.call.evictable:
            store.keep(lent)
            return False
        if lent is not None:
            store.lose(lent)
            store.words.ends(lent.call, by)
        return True
