"""Upstreams: named groups of endpoints, and which of their endpoints take calls just now. They live outside the
Snapshot, so a reload never loses a connection or a count.
"""

from __future__ import annotations

import random
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterable
from itertools import chain
from typing import TYPE_CHECKING

from gateway.config.balances import LEAST_HELD, Balance
from gateway.upstream.budget import Budget
from gateway.upstream.circuit import Circuit
from gateway.upstream.endpoint import Endpoint
from gateway.upstream.pick import Picker, compile_picker
from gateway.upstream.slow_start import SlowStart
from gateway.upstream.standing import ILL
from gateway.upstream.sticky import Sessions, Sticky

if TYPE_CHECKING:
    from gateway.call import Call
    from gateway.outcome import Outcome
    from gateway.upstream.ejection import Ejection
    from gateway.upstream.health import Health
    from gateway.upstream.member import Member

Watch = Callable[[Endpoint, "Outcome", int, float | None], None]  # how a call, or one attempt, at an endpoint ended


class Upstream:
    """A named group of endpoints. `keepalive` is in seconds, `max_held` counts calls over all endpoints, `calls` those
    there have ever been.

    `endpoints` are its members, `choice` those of them that take new calls: an endpoint can be taken out for a reason
    and is back when no reason is left. When none would be left, all of them are: then trying is better than refusing.
    """

    __slots__ = (
        "_endpoints", "_guard", "_leaving", "_only", "_picker", "balance", "budget", "calls", "choice",
        "circuit", "dns_refresh", "drained", "eased", "ejection", "health", "held", "keepalive", "max_held", "members",
        "moved",
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
        self.members: tuple[Member, ...] = ()  # the endpoints as they are written; `members` makes `endpoints` of them
        self.drained: frozenset[str] = frozenset()  # names of members or endpoints that operators want no calls at
        self.dns_refresh = 30.0  # seconds
        self.ejection: Ejection | None = None
        self.health: Health | None = None
        self.calls = 0
        self.budget = Budget()
        self.circuit = Circuit()
        self.watch: Watch | None = None
        self._guard: Watch | None = None
        self.choice: tuple[Endpoint, ...] = ()
        self.moved = 0  # sessions whose endpoint took no calls any more
        self.slow_start = SlowStart(slow_start)
        self._choose_by(compile_picker(balance, sessions))
        self._endpoints: tuple[Endpoint, ...] = ()
        self._leaving: tuple[Endpoint, ...] = ()

    @property
    def leaving(self) -> tuple[Endpoint, ...]:
        """Those that take no new calls any more and have not ended all they carry, or are drained: sessions may live
        there."""
        self._leaving = tuple(each for each in self._leaving if _lingers(each))
        return self._leaving

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        return self._endpoints

    @endpoints.setter
    def endpoints(self, members: Iterable[Endpoint]) -> None:
        self._endpoints = tuple(members)
        self._renew()
        self.guard(self._guard)

    def guard(self, watch: Watch | None) -> None:
        """Who is told how calls end. Where there is one endpoint, nobody: there is no other to go to."""
        self._guard = watch
        self.watch = watch if len(self._endpoints) > 1 else None

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
        self.choice = well or tuple(each for each in self._endpoints if each.out <= ILL) or self._endpoints
        self.slow_start.renew(before if well else (), self.choice)
        self._picker.renew(self.choice)
        alone = len(self.choice) == 1 and self.sessions is None
        self._only = self.choice[0] if alone else None
        self.eased = None if alone else self._picker.eased
        self.circuit.look_again()

    def adopt(self, fresh: Upstream) -> None:
        """Goes on as a new configuration describes it: counts, connections and held calls stay with the endpoints that
        are still there, those that are not are left to end what they carry."""
        if fresh is self:
            return
        self.keepalive, self.max_held = fresh.keepalive, fresh.max_held
        self.members, self.drained, self.dns_refresh = fresh.members, fresh.drained, fresh.dns_refresh
        self.ejection, self.health = fresh.ejection, fresh.health
        self.balance, self.slow_start.seconds = fresh.balance, fresh.slow_start.seconds
        if self.sessions is not None and fresh.sessions is not None:
            fresh.sessions.pins = self.sessions.pins
        self._choose_by(fresh._picker)
        self.become(fresh.endpoints)

    def become(self, wanted: Iterable[Endpoint]) -> None:
        """Has these members from now on. One at an address that is a member already, or was and has not left yet, is
        that member; who is none of them any more ends what it carries and takes nothing new."""
        known = defaultdict[tuple[object, ...], deque[Endpoint]](deque)  # an address may be written more than once
        for endpoint in (*self.endpoints, *self._leaving):
            known[endpoint.address].append(endpoint)
        self.endpoints = tuple(
            known[each.address].popleft().adopt(each) if known[each.address] else each.join(self) for each in wanted
        )
        gone = tuple(chain.from_iterable(known.values()))
        for each in gone:
            each.retire()
        self._leaving = tuple(each for each in gone if _lingers(each))

    def pick(
        self, tried: Collection[Endpoint] = (), call: Call | None = None, now: float = 0.0
    ) -> Endpoint | None:  # fmt: skip
        """An endpoint for the next call, none of those already tried; None when all were. One that is thought to be
        ill comes last: it may be well by now, and those before it are not."""
        if self._only is not None and self._only not in tried:
            return self._only
        if now >= self.slow_start.due:
            self.slow_start.grow(now)
            self._picker.renew(self.choice)
        found = self._picker.pick(call, tried, now)
        if found is None and len(self.choice) < len(self._endpoints):
            left = [each for each in self._endpoints if each.out and each.out <= ILL and each not in tried]
            found = min(left, key=lambda each: (each.held / each.weight, random.random()), default=None)
        return found

    def told(self, endpoint: Endpoint, outcome: Outcome, status: int = 0, since: float | None = None) -> None:
        """How a call, or one attempt of it, at an endpoint ended; `status` 0: it was not answered. `since`: when the
        endpoint was given it, in loop seconds."""
        if self.watch is not None:
            self.watch(endpoint, outcome, status, since)


def _lingers(endpoint: Endpoint) -> bool:
    """Whether one that is no member any more has still something to do."""
    return bool(endpoint.held or endpoint.open or endpoint.draining)
