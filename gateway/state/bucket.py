"""The arithmetic of every rate limit, everywhere, with `now` handed in. A token bucket in its shortest form (GCRA): one
number a key, the instant at which the bucket will be full again. A key nobody asked about is a full bucket.
"""

from __future__ import annotations

import math
from typing import NamedTuple

FULL = float("-inf")  # a bucket that was never used
SLACK = 1e-4  # of a token: what arithmetic on instants may lose; it never adds up


class Rate(NamedTuple):
    """`interval` seconds bring one token back; the bucket holds `burst` of them."""

    interval: float
    burst: int


class Level(NamedTuple):
    """What a bucket shows: whole tokens left, and seconds until one more than that (0 when it is full)."""

    left: int
    reset: float


def take(full_at: float, rate: Rate, now: float, tokens: int = 1) -> float | None:
    """The bucket after `tokens` were taken, or None when it holds fewer."""
    interval, burst = rate
    owed = full_at - now if full_at > now else 0.0  # exactly 0 where it is full: a full bucket always gives
    return now + owed + tokens * interval if owed / interval + tokens <= burst + SLACK else None


def give_back(full_at: float, rate: Rate, now: float, tokens: int = 1) -> float:
    """The bucket after a refund; never more than full."""
    return max(full_at - tokens * rate.interval, now) if full_at > now else full_at


def wait(full_at: float, rate: Rate, now: float, tokens: int = 1) -> float:
    """Seconds until `tokens` can be taken; 0 when they can be now."""
    return max(0.0, max(full_at - now, 0.0) + (tokens - rate.burst) * rate.interval)


def bound(full_at: float, rate: Rate, now: float) -> float:
    """No bucket is emptier than empty: one that owes more was emptied under another rule. Keep what this returns, or
    a rate that was raised from a thousand a day to a thousand a minute would count from the end of that day on."""
    most = rate.burst * rate.interval
    return now + most if full_at - now > most + SLACK * rate.interval else full_at


def level(full_at: float, rate: Rate, now: float) -> Level:
    """What is left, exactly. A bucket that owes more than it can hold (its rule was changed) has nothing left."""
    interval, burst = rate
    missing = (full_at - now) / interval if full_at > now else 0.0
    if missing <= SLACK:
        return Level(burst, 0.0)
    left = max(math.floor(burst - missing + SLACK), 0)
    return Level(left, (missing + left + 1 - burst) * interval)
