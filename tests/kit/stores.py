"""A store asked for exactly these demands, whoever calls."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from gateway.call import Call, Lease
from gateway.state.bucket import Rate
from gateway.state.store import Asked, Demand, Denied, Keys, Place, Store, Tokens

Taken = tuple[Keys, tuple[Lease, ...]]


class Metering:
    """A rate limit under which always the same one pays."""

    def __init__(self, demand: Tokens) -> None:
        self.limit: str = demand.limit
        self.rate: Rate = demand.rate
        self.payer: Callable[[Call], str | None] = lambda _: demand.key


class Capping:
    """A cap under which everybody wants the same place."""

    def __init__(self, demand: Place) -> None:
        self._demand = demand
        self.limit: str = demand.limit
        self.payer: Callable[[Call], str | None] = lambda _: demand.key

    def place(self, key: str, who: str) -> Place:
        return self._demand


def prepared(store: Store, demands: Sequence[Demand]) -> Asked:
    rates = [Metering(demand) for demand in demands if isinstance(demand, Tokens)]
    caps = [Capping(demand) for demand in demands if isinstance(demand, Place)]
    return store.prepare(rates, caps)


def take(
    store: Store, demands: Sequence[Demand], holder: Call, now: float, yields: Call | None = None
) -> Taken | Denied:
    """Who paid and the leases, which the call gets besides what it has. Waits for a store that answers later."""
    before, holder.charges = holder.charges, ()
    denied = prepared(store, demands).take(holder, now, yields)
    if isinstance(denied, asyncio.Future):
        denied = denied.get_loop().run_until_complete(denied)
    paid, holder.charges = holder.charges, before + holder.charges
    return denied or (paid, holder.leases)
