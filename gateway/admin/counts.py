"""`GET /api/limits`: how much of a limit is used up right now, for the keys that are asked about, as plain values.
Reads, never changes; a key that nobody used costs nothing to ask about.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import TYPE_CHECKING

from gateway.policies.caps import Cap
from gateway.state.store import Tokens

if TYPE_CHECKING:
    from gateway.limits import Limits
    from gateway.plan import Snapshot
    from gateway.policies.rate_limit import RateLimit
    from gateway.state.store import Store

MAX_PAIRS = 64
MAX_LISTED = 1000  # limits without a key

Pairs = Sequence[tuple[str, str]]


def read_pairs(query: Sequence[tuple[str, str]]) -> Pairs:
    """The query `limit=L1&key=K1&limit=L2&key=K2`, in its order. Raises ValueError, with a sentence."""
    names = [name for name, _ in query]
    if names != ["limit", "key"] * (len(names) // 2):
        raise ValueError("the parameters are limit=L&key=K, in this order and as often as needed")
    if len(query) > 2 * MAX_PAIRS:
        raise ValueError(f"at most {MAX_PAIRS} keys are told at once")
    values = [value for _, value in query]
    return list(zip(values[::2], values[1::2], strict=True))


def counts(snapshot: Snapshot, limits: Limits, store: Store, pairs: Pairs, now: float) -> list[dict[str, object]]:
    """What is left or held under each pair of limit and key, in their order; without pairs what there is."""
    rules = known(snapshot)
    if not pairs:
        return [_listed(name, rule, store) for name, rule in list(rules.items())[:MAX_LISTED]]
    return [_count(limit, key, rules.get(limit), limits, store, now) for limit, key in pairs]


def known(snapshot: Snapshot) -> dict[str, RateLimit | Cap]:
    """Every limit once, by what the store calls it: that of a policy is one on all its routes."""
    found: dict[str, RateLimit | Cap] = {}
    for plan in snapshot.plans:
        rules: list[RateLimit | Cap] = [*(plan.shown.limits if plan.shown is not None else ()), *plan.caps]
        for rule in rules:
            found.setdefault(rule.limit, rule)
    return found


def kind_of(rule: RateLimit | Cap) -> str:
    if not isinstance(rule, Cap):
        return "rate"
    return "hold_cap" if rule.polls else "concurrency_cap"


def _listed(limit: str, rule: RateLimit | Cap, store: Store) -> dict[str, object]:
    return {"limit": limit, "kind": kind_of(rule), "keys": store.keys(limit)}


def _count(
    limit: str, key: str, rule: RateLimit | Cap | None, limits: Limits, store: Store, now: float
) -> dict[str, object]:
    asked: dict[str, object] = {"limit": limit, "key": key}
    if rule is None:
        return {**asked, "kind": None}
    waiting = limits.in_line(limit, key)
    if isinstance(rule, Cap):
        return {**asked, "kind": kind_of(rule), "held": store.held(limit, key), "max": rule.max, "waiting": waiting}
    left, reset = store.level(Tokens(limit, key, rule.rate), now)
    return {**asked, "kind": "rate", "left": left, "burst": rule.rate.burst, "reset": ceil(reset), "waiting": waiting}
