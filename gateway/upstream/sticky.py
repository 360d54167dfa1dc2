"""`sticky:..`: a session stays at the endpoint where it began. What the session is called is learnt from the answer
that begins it; one whose endpoint takes no calls any more goes on at another, and its record says so.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from gateway.holds.session import compile_answer_place
from gateway.memory import MOST, Shelf, short
from gateway.upstream.affinity import compile_value
from gateway.upstream.rendezvous import Ranking
from gateway.upstream.spread import LeastHeld

if TYPE_CHECKING:
    from gateway.call import Call
    from gateway.config.balances import Balance
    from gateway.head import ResponseHead
    from gateway.upstream.affinity import Affinity, Value
    from gateway.upstream.endpoint import Endpoint
    from gateway.upstream.pins import SharedPins

MOVED: Final = "session_moved"  # note of a record


@dataclass(frozen=True, slots=True)
class Sessions:
    """How sessions are told. `value` is what a request calls its session; `id` what an answer does, which needs the
    whole of it if `in_body`. One that nobody used for `keep` seconds is forgotten."""

    value: Value
    id: Callable[[ResponseHead, bytes], str | None]
    in_body: bool
    keep: float


def compile_sessions(balance: Balance, place: str, skip: str, keep: float) -> Sessions:
    """`place` is where the answer that begins a session names it. Raises ValueError."""
    in_body = not place.startswith(("header:", "cookie:"))
    return Sessions(compile_value(balance), compile_answer_place(place, skip), in_body, keep)


class Sticky:
    """By session. One that is not known, as after a restart of the gateway, goes where every gateway would send it, and
    stays there if it is served; a call that names none begins one, where least is carried."""

    __slots__ = ("_choice", "_others", "_ranking", "_sessions", "eased", "pins", "shared")

    def __init__(self, sessions: Sessions, most: int = MOST) -> None:
        self.pins: Shelf[Endpoint] = Shelf(most)
        self.shared: SharedPins | None = None  # what other workers know; `pins` are for what is not to be found there
        self._sessions = sessions
        self._choice: frozenset[Endpoint] = frozenset()
        self._ranking = Ranking()
        self._others = LeastHeld()
        self.eased: set[Endpoint] | None = self._others.eased

    def renew(self, choice: tuple[Endpoint, ...]) -> None:
        self._choice = frozenset(choice)
        self._ranking.renew(choice)
        self._others.renew(choice)

    def pick(self, call: Call | None, tried: Collection[Endpoint], now: float) -> Endpoint | None:
        name = self._sessions.value(call) if call is not None else None
        if call is None or name is None:
            return self._others.pick(call, tried, now)
        pinned = self._home(name, now)
        if pinned is None:
            return self._ranking.find(name, tried)
        if self._serves(pinned) and pinned not in tried:
            return pinned
        return self._move(call, name, pinned, (*tried, pinned), now)

    def _home(self, name: Affinity, now: float) -> Endpoint | None:
        found = self.shared.get(name, now, self._sessions.keep) if self.shared is not None else None
        return found or self.pins.get((name,), now, self._sessions.keep)

    def _serves(self, endpoint: Endpoint) -> bool:
        """Whether it still serves its sessions: one that is drained does, until they are over."""
        return endpoint in self._choice or (endpoint.draining and not endpoint.out)

    def _move(
        self, call: Call, name: Affinity, pinned: Endpoint, tried: Collection[Endpoint], now: float
    ) -> Endpoint | None:
        """Other workers send it there, too, from now on: one that still reaches the old place must not send it back."""
        found = self._ranking.find(name, tried)
        if found is not None:
            self.pins.forget((name,))
            if self.shared is not None:
                self.shared.put(name, found, now, self._sessions.keep)
            pinned.upstream.moved += call.note != MOVED  # one that fails where it moved to moves on
            call.note = MOVED
        return found

    # -- what answers say ----------------------------------------------------------------------------------------

    def answered(self, call: Call, head: ResponseHead, now: float) -> bool:
        """An answer begins: the session it belongs to is at home there. Whether its body may name a session."""
        if call.endpoint is None or head.status >= 400:
            return False
        if call.affinity is not None and self._serves(call.endpoint):  # else it may have moved on meanwhile
            asked = call.sent_at if call.sent_at is not None else now
            self._stays(call.affinity, call.endpoint, asked, now)
        if not self._sessions.in_body:
            self.learn(call, head, b"", now)
        return self._sessions.in_body and call.affinity is None

    def lasted(self, call: Call, now: float) -> None:
        """A tunnel of a session ended: until now the session was in use there, unless it has moved meanwhile."""
        if call.affinity is None or call.endpoint is None:
            return
        if self._home(call.affinity, now) in (None, call.endpoint):
            self._learnt(call.affinity, call.endpoint, now)

    def learn(self, call: Call, head: ResponseHead, body: bytes, now: float) -> None:
        """A whole answer, which may be the one that begins a session."""
        name = self._sessions.id(head, body)
        if name and call.endpoint is not None:
            self._learnt(short(name), call.endpoint, now)

    def _stays(self, name: Affinity, endpoint: Endpoint, asked: float, now: float) -> None:
        keep = self._sessions.keep
        if self.shared is None or self.shared.stays(name, endpoint, asked, now, keep):
            self.pins.put((name,), endpoint, now, keep)

    def _learnt(self, name: Affinity, endpoint: Endpoint, now: float) -> None:
        self.pins.put((name,), endpoint, now, self._sessions.keep)
        if self.shared is not None:
            self.shared.put(name, endpoint, now, self._sessions.keep)
