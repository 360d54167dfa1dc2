"""The kind `rate_limit`: how many calls a time. A limit per address or per route is asked before any signature is
checked; the others, and all where none must be checked, with everything else a call demands. An empty poll that was
held to its end may cost nothing.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Final

from gateway import refusals
from gateway.head import END
from gateway.outcome import Outcome
from gateway.pipeline import Refusal, Step, Verdict
from gateway.policies.keys import BEFORE_IDENTITY, Applies, KeyOf, Payer, compile_key, compile_payer, compile_when
from gateway.state.bucket import Rate
from gateway.state.store import Denied, Store, Taken, Tokens

if TYPE_CHECKING:
    from gateway.call import Call

Now = Callable[[], float]

LIMITED: Final = Refusal(
    Outcome.RATE_LIMITED, 429, "rate_limited", "More calls than are allowed in this time.", retry_after=1
)


@dataclass(frozen=True, slots=True)
class RateLimit:
    """One rate of a route, compiled. `name` is what clients and records see, `limit` what the store counts under."""

    name: str
    limit: str
    per: str
    rate: Rate
    quota: int
    window: int  # seconds
    policy: bytes  # what clients are told of it
    form: bytes  # and of what is left of it: a format of two numbers
    key: KeyOf
    applies: Applies | None
    payer: Payer
    refund_empty: bool
    delay: bool  # a poll waits for its token, out of its own hold
    early: bool  # asked before identity, in a transaction of its own, where the caller is not known yet
    signed: bool  # asked after the caller was identified

    def demand(self, call: Call) -> Tokens | None:
        """What this limit asks for a call, None where it is not meant for it."""
        key = self.payer(call)
        return Tokens(self.limit, key, self.rate) if key is not None else None


def compile_rate_limit(
    name: str, limit: str, rate: tuple[float, float], burst: int | None, per: str,
    when_claims: Mapping[str, Sequence[object]], refund_empty: bool, signed: bool = False, delay: bool = False,
) -> RateLimit:  # fmt: skip
    """`rate` is (calls, seconds); `burst` None means as many as the rate, at least 1. `signed`: the route identifies
    its callers. Raises ValueError."""
    early = per in BEFORE_IDENTITY and not delay  # a stranger shall not wait here
    count, seconds = rate
    key, applies = compile_key(per), compile_when(when_claims)
    interval, quota = seconds / count, max(int(count), 1)
    window = max(round(quota * interval), 1)
    return RateLimit(
        name, limit, per, Rate(interval, burst if burst is not None else quota), quota, window,
        b'"%b";q=%d;w=%d' % (name.encode("ascii"), quota, window),
        b'"%b";r=%%d;t=%%d' % name.encode("ascii"),  # no name has a percent sign
        key, applies, compile_payer(key, applies), refund_empty, delay, early, signed and not early,
    )  # fmt: skip


class Screen:
    """The limits that come before identity, as a step: a flood is stopped before a signature is checked."""

    def __init__(self, store: Store, now: Now) -> None:
        self.store = store
        self._now = now

    def step(self, limits: Sequence[RateLimit], knows: Callable[[Call], bool] | None = None) -> Step:
        """Asks all of them at once: one that refuses must not have cost the others anything. A call without a body
        whose caller is known goes on: it is asked with all else it demands, before anything is done for it."""
        take, now = self.store.prepare(limits, ()).take, self._now

        def screen(call: Call) -> Verdict | asyncio.Future[Verdict]:
            if knows is not None and call.framing is None and knows(call):
                return None
            taken = take(call, now())
            if isinstance(taken, asyncio.Future):
                return _said(taken)
            return _denial(taken) if taken is not None else None

        return screen


def _said(taken: asyncio.Future[Taken]) -> asyncio.Future[Verdict]:
    """What a store elsewhere says, as the verdict of a step."""
    verdict: asyncio.Future[Verdict] = taken.get_loop().create_future()

    def told(done: asyncio.Future[Taken]) -> None:
        denied = done.result()
        verdict.set_result(_denial(denied) if denied is not None else None)

    taken.add_done_callback(told)
    return verdict


def _denial(denied: Denied) -> Refusal:
    return refusals.NO_STATE if denied.failed else limited(denied.retry_after)


def limited(retry_after: float) -> Refusal:
    """429 with the time to come back."""
    return LIMITED.later(later(retry_after))


def later(retry_after: float) -> int:
    """When to come back, in seconds: never too soon, and spread over a second and a fifth of that time, so that those
    refused together do not return together (RFC 6585 4)."""
    seconds = max(retry_after, 0.0)
    return max(1, ceil(seconds + random.random() * (1.0 + 0.2 * seconds)))


class Shown:
    """What clients are told of a plan's limits: `RateLimit-Policy` and `RateLimit`
    (draft-ietf-httpapi-ratelimit-headers). A caller who was not identified is told of no limit of a consumer."""

    __slots__ = ("_all", "_asked", "_by_consumer", "_form", "_line", "_numbers", "_store", "limits")

    def __init__(self, limits: Sequence[RateLimit], store: Store) -> None:
        self.limits = tuple(limits)
        # Where every limit is meant for every call that gets through, one format serves them all.
        self._all = len(limits) if not any(limit.applies for limit in limits) else None
        self._by_consumer = any(limit.signed for limit in limits)
        self._form = _lines(limits)
        self._store = store
        self._asked = store.prepare(limits, ())
        self._numbers: tuple[int, ...] = ()  # what was told last, and how it is written: a crowd is told alike
        self._line = END

    def lines(self, call: Call, now: float) -> bytes:
        """Ready header lines and the END of a head; read from the store now, for others may have called since."""
        keys = call.charges
        if len(keys) != self._all:  # it did not get through, or a limit is not meant for everybody
            if self._all is None or (self._by_consumer and call.identity is None):
                return self._some(call, now)
            keys += tuple([limit.payer(call) for limit in self.limits[len(keys) :]])
        numbers = self._asked.levels(keys, now, call.started)
        if numbers != self._numbers:
            self._numbers, self._line = numbers, self._form % numbers
        return self._line

    def _some(self, call: Call, now: float) -> bytes:
        """For a call that did not get through, or that some limits are not meant for."""
        told: list[RateLimit] = []
        numbers: list[int] = []
        for at, limit in enumerate(self.limits):
            if limit.signed and call.identity is None:
                continue
            key = call.charges[at] if at < len(call.charges) else limit.payer(call)
            if key is not None:
                left, reset = self._store.level(Tokens(limit.limit, key, limit.rate), now)
                told.append(limit)
                numbers += (left, ceil(reset))
        return _lines(told) % tuple(numbers) if told else END


def _lines(limits: Sequence[RateLimit]) -> bytes:
    policies, forms = b", ".join([limit.policy for limit in limits]), b", ".join([limit.form for limit in limits])
    return b"RateLimit-Policy: %b\r\nRateLimit: %b\r\n%b" % (policies, forms, END)
