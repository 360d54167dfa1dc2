"""The limits of a route, compiled: each with the name it counts under and the name clients are told."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count
from typing import TYPE_CHECKING

from gateway.config.merge import Merged
from gateway.config.sharing import Shared
from gateway.policies.caps import Cap, compile_cap
from gateway.policies.rate_limit import RateLimit, compile_rate_limit

if TYPE_CHECKING:
    from gateway.config import schema

MAX_WAITING = 10  # calls in line for a place, where the cap does not say


def compile_rates(merged: Merged, shared: Shared) -> tuple[RateLimit, ...]:
    """The rates of a route, in the order in which they were written."""
    names = _told([limit.name for limit, _ in merged.rate_limits])
    return tuple(
        shared(compile_rate_limit, name, limit.key, table.rate or (1.0, 1.0), table.burst, table.per,
               table.when_claims, table.refund_empty, merged.jwt is not None, table.mode == "delay")
        for name, (limit, table) in zip(names, merged.rate_limits, strict=True)
    )  # fmt: skip


def _told(names: Iterable[str]) -> list[str]:
    """The names clients are told, each once: several limits of one policy are NAME, NAME-2, NAME-3."""
    told: list[str] = []
    for name in names:
        further = (f"{name}-{number}" for number in count(2))
        told.append(name if name not in told else next(each for each in further if each not in told))
    return told


def compile_caps(merged: Merged, shared: Shared) -> tuple[Cap, ...]:
    """The caps of a route: of polls, then of ordinary calls."""
    holds = [
        shared(compile_cap, limit.key, True, table.max or 1, table.per, table.when_claims,
               table.on_excess == "evict-oldest", table.evict_grace, _waiting(table))
        for limit, table in merged.hold_caps
    ]  # fmt: skip
    calls = [
        shared(compile_cap, limit.key, False, table.max or 1, table.per, table.when_claims, False, 0.0, _waiting(table))
        for limit, table in merged.concurrency_caps
    ]
    return (*holds, *calls)


def _waiting(table: schema.HoldCap | schema.ConcurrencyCap) -> int:
    return (table.max_waiting or MAX_WAITING) if table.on_excess == "wait" else 0
