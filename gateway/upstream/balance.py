"""Upstreams: named groups of endpoints, and which of their endpoints take calls just now. They live outside the
Snapshot, so a reload never loses a connection or a count.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterable
from itertools import chain
from typing import TYPE_CHECKING

from gateway.config.balances import LEAST_HELD, Balance
from gateway.upstream.endpoint import Endpoint
from gateway.upstream.pick import Picker, compile_picker
from gateway.upstream.slow_start import SlowStart
from gateway.upstream.sticky import Sessions, Sticky

if TYPE_CHECKING:
    from gateway.call import Call
    from gateway.outcome import Outcome

Watch = Callable[[Endpoint, "Outcome", int], None]  # told how a call, or one attempt, at an endpoint ended; its status


class Upstream:
    """A named group of endpoints. `keepalive` is in seconds, `max_held` counts calls over all endpoints.

    `endpoints` are its members, `choice` those of them that take new calls: an endpoint can be taken out for a reason
    and is back when no reason is left. When none would be left, all of them are: then trying is better than refusing.
    """

    __slots__ = (
        "_endpoints", "_only", "_picker", "balance", "choice", "eased", "held", "keepalive", "max_held", "moved",
        "name", "sessions", "slow_start", "watch",
    )  # fmt: skip

    def __init__(
        self, name: str, balance: Balance = LEAST_HELD, keepalive: float = 4.0, max_held: int = 20000,
        sessions: Sessions | None = None, slow_start: float = 0.0,
    ) -> None:  # fmt: skip
        self.name = name
        self.balance = balance
        self.keepalive = keepalive
        self.max_held = max_held
        self.held = 0
        self.watch: Watch | None = None
        self.choice: tuple[Endpoint, ...] = ()
        self.moved = 0  # sessions whose endpoint took no calls any more
        self.slow_start = SlowStart(slow_start)
        self._choose_by(compile_picker(balance, sessions))
        self._endpoints: tuple[Endpoint, ...] = ()

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        return self._endpoints

    @endpoints.setter
    def endpoints(self, members: Iterable[Endpoint]) -> None:
        self._endpoints = tuple(members)
        self._renew()

    def take_out(self, endpoint: Endpoint, why: str) -> None:
        """It takes no new calls until this reason is gone; what it carries is not touched."""
        endpoint.out |= {why}
        self._renew()

    def put_back(self, endpoint: Endpoint, why: str) -> None:
        endpoint.out -= {why}
        self._renew()

    def _choose_by(self, picker: Picker) -> None:
        self._picker = picker
        self._only: Endpoint | None = None  # where there is nothing to choose
        self.eased: set[Endpoint] | None = None  # where to note an endpoint that gave a call back, if the picker asks
        self.sessions = picker if isinstance(picker, Sticky) else None

    def _renew(self) -> None:
        before = self.choice
        well = tuple(each for each in self._endpoints if not each.out)
        self.choice = well or self._endpoints
        self.slow_start.renew(before if well else (), self.choice)
        self._picker.renew(self.choice)
        alone = len(self.choice) == 1 and self.sessions is None
        self._only = self.choice[0] if alone else None
        self.eased = None if alone else self._picker.eased

    def adopt(self, fresh: Upstream) -> None:
        """Goes on as a new configuration describes it: counts, connections and held calls stay with the endpoints that
        are still there, those that are not are left to end what they carry."""
        if fresh is self:
            return
        self.keepalive, self.max_held = fresh.keepalive, fresh.max_held
        self.balance, self.slow_start.seconds = fresh.balance, fresh.slow_start.seconds
        if self.sessions is not None and fresh.sessions is not None:
            fresh.sessions.pins = self.sessions.pins
        self._choose_by(fresh._picker)
        self.become(fresh.endpoints)

    def become(self, wanted: Iterable[Endpoint]) -> None:
        """Has these members from now on. One at an address that is a member already is that member; who is none of
        them any more ends what it carries and takes nothing new."""
        known = defaultdict[tuple[object, ...], deque[Endpoint]](deque)  # an address may be written more than once
        for endpoint in self.endpoints:
            known[endpoint.address].append(endpoint)
        self.endpoints = tuple(
            known[each.address].popleft().adopt(each) if known[each.address] else each.join(self) for each in wanted
        )
        for gone in chain.from_iterable(known.values()):
            gone.retire()

    def pick(
        self, tried: Collection[Endpoint] = (), call: Call | None = None, now: float = 0.0
    ) -> Endpoint | None:  # fmt: skip
        """An endpoint for the next call, none of those already tried; None when all were."""
        if self._only is not None:
            return None if self._only in tried else self._only
        if now >= self.slow_start.due:
            self.slow_start.grow(now)
            self._picker.renew(self.choice)
        return self._picker.pick(call, tried, now)

    def told(self, endpoint: Endpoint, outcome: Outcome, status: int = 0) -> None:
        """How a call, or one attempt of it, at an endpoint ended; `status` 0: it was not answered."""
        if self.watch is not None:
            self.watch(endpoint, outcome, status)
