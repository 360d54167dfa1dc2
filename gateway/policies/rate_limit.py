"""The kind `rate_limit`: how many calls a time. A limit per address or per route is asked before any signature is
checked, the others with everything else a call demands. An empty poll that was held to its end may cost nothing.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gateway.outcome import Outcome
from gateway.pipeline import HeaderList, Refusal, Step, Verdict
from gateway.policies.keys import BEFORE_IDENTITY, Applies, KeyOf, compile_key, compile_when
from gateway.state.bucket import Rate
from gateway.state.store import Denied, Store, Tokens

if TYPE_CHECKING:
    from gateway.call import Call

Now = Callable[[], float]

LIMITED = Refusal(Outcome.RATE_LIMITED, 429, "rate_limited", "More calls than are allowed in this time.", retry_after=1)


@dataclass(frozen=True, slots=True)
class RateLimit:
    """One rate of a route, compiled. `name` is what clients and records see, `limit` what the store counts under."""

    name: str
    limit: str
    per: str
    rate: Rate
    quota: int
    window: int  # seconds
    told: tuple[str, str]  # what clients are told: the policy, and the beginning of what is left of it
    key: KeyOf
    applies: Applies | None
    refund_empty: bool
    signed: bool = False  # callers are identified here, and this limit is asked after

    @property
    def early(self) -> bool:
        """Whether it is asked before identity, in a transaction of its own."""
        return self.per in BEFORE_IDENTITY

    def demand(self, call: Call) -> Tokens | None:
        """What this limit asks for a call, None where it is not meant for it."""
        if self.applies is not None and not self.applies(call):
            return None
        return Tokens(self.limit, self.key(call), self.rate)


def compile_rate_limit(
    name: str, limit: str, rate: tuple[float, float], burst: int | None, per: str,
    when_claims: Mapping[str, Sequence[object]], refund_empty: bool, signed: bool = False,
) -> RateLimit:  # fmt: skip
    """`rate` is (calls, seconds); `burst` None means as many as the rate, at least 1. `signed`: the route identifies
    its callers. Raises ValueError."""
    count, seconds = rate
    interval, quota = seconds / count, max(int(count), 1)
    window = max(round(quota * interval), 1)
    return RateLimit(
        name, limit, per, Rate(interval, burst if burst is not None else quota), quota, window,
        (f'"{name}";q={quota};w={window}', f'"{name}";r='), compile_key(per), compile_when(when_claims),
        refund_empty, signed and per not in BEFORE_IDENTITY,
    )  # fmt: skip


class Screen:
    """The limits that come before identity, as a step: a flood is stopped before a signature is checked."""

    def __init__(self, store: Store, now: Now) -> None:
        self._store = store
        self._now = now

    def step(self, limits: Sequence[RateLimit]) -> Step:
        """Asks all of them at once: one that refuses must not have cost the others anything."""

        def screen(call: Call) -> Verdict:
            demands = [demand for limit in limits if (demand := limit.demand(call)) is not None]
            taken = self._store.take(demands, call, self._now())
            return limited(taken.retry_after) if isinstance(taken, Denied) else None

        return screen


def limited(retry_after: float) -> Refusal:
    """429 with the time to come back, never too soon, and spread over a second and a fifth of that time, so that those
    refused together do not return together (RFC 6585 4)."""
    seconds = max(retry_after, 0.0)
    seconds += random.random() * (1.0 + 0.2 * seconds)
    return replace(LIMITED, retry_after=max(1, math.ceil(seconds)))


def header_fields(limits: Sequence[RateLimit], call: Call, store: Store, now: float) -> HeaderList:
    """`RateLimit` and `RateLimit-Policy` for the limits that are asked for such a call
    (draft-ietf-httpapi-ratelimit-headers). A caller who was not identified is told of no limit of a consumer."""
    policies, levels = [], []
    for limit in limits:
        if limit.signed and call.identity is None:
            continue
        demand = limit.demand(call)
        if demand is None:
            continue
        left, reset = store.level(demand, now)
        policy, begin = limit.told
        policies.append(policy)
        levels.append(f"{begin}{left};t={math.ceil(reset)}")
    if not levels:
        return ()
    return (
        (b"RateLimit-Policy", ", ".join(policies).encode("ascii")),
        (b"RateLimit", ", ".join(levels).encode("ascii")),
    )
