"""The arithmetic of every rate limit, everywhere, with `now` handed in. A token bucket in its shortest form (GCRA): one
number a key, the instant at which the bucket will be full again. A key nobody asked about is a full bucket.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil
from typing import Final, NamedTuple

FULL: Final = float("-inf")  # a bucket that was never used
SLACK: Final = 1e-4  # of a token: what arithmetic on instants may lose; it never adds up


@dataclass(frozen=True, slots=True)
class Rate:
    """`interval` seconds bring one token back; the bucket holds `burst` of them."""

    interval: float
    burst: int
    room: float = field(init=False)  # seconds a bucket may owe and still give a token

    def __post_init__(self) -> None:
        object.__setattr__(self, "room", (self.burst - 1 + SLACK) * self.interval)


class Level(NamedTuple):
    """What a bucket shows: whole tokens left, and seconds until one more than that (0 when it is full)."""

    left: int
    reset: float


def take(full_at: float, rate: Rate, now: float) -> float | None:
    """The bucket after a token was taken, or None when it holds none."""
    if full_at <= now:  # a full bucket always gives, whatever arithmetic loses
        return now + rate.interval
    return full_at + rate.interval if full_at - now <= rate.room else None


def give_back(full_at: float, rate: Rate, now: float) -> float:
    """The bucket after a refund; never more than full."""
    return max(full_at - rate.interval, now) if full_at > now else full_at


def wait(full_at: float, rate: Rate, now: float) -> float:
    """Seconds until a token can be taken; 0 when one can be now."""
    return max(0.0, max(full_at - now, 0.0) + (1 - rate.burst) * rate.interval)


def bound(full_at: float, rate: Rate, now: float) -> float:
    """No bucket is emptier than empty: one that owes more was emptied under another rule. Keep what this returns, or
    a rate that was raised from a thousand a day to a thousand a minute would count from the end of that day on."""
    most = rate.burst * rate.interval
    return now + most if full_at - now > most + SLACK * rate.interval else full_at


def level(full_at: float, rate: Rate, now: float) -> Level:
    """What is left, exactly. A bucket that owes more than it can hold (its rule was changed) has nothing left."""
    owed, interval, burst = full_at - now, rate.interval, rate.burst
    if owed <= 0.0:
        return Level(burst, 0.0)
    missing = min(ceil(owed / interval - SLACK), burst)
    return Level(burst - missing, owed - (missing - 1) * interval if missing else 0.0)


def told(full_at: float, rate: Rate, now: float) -> tuple[int, int]:
    """The level as clients are told of it, in whole seconds, rounded up. Every answer pays for this one: the same
    arithmetic without the object."""
    owed, interval, burst = full_at - now, rate.interval, rate.burst
    if owed <= 0.0:
        return burst, 0
    missing = ceil(owed / interval - SLACK)
    if missing > burst:
        missing = burst
    return burst - missing, ceil(owed - (missing - 1) * interval) if missing else 0
