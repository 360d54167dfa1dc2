"""Numbers of a report in words: counts, shares, latencies, and what has changed. Pure; a terminal and a page say the
same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gateway.past.numbers import Numbers

NONE, SAME = "-", "="


@dataclass(frozen=True, slots=True)
class Amount:
    """One number of a row: its title, where it stands, how it is said."""

    title: str
    of: Callable[[Numbers], float | None]
    say: Callable[[float], str]


def count(value: float) -> str:
    return f"{value:,.0f}"


def share(value: float) -> str:
    return f"{value * 100:.1f} %"


def latency(value: float) -> str:
    """Seconds of which most are small."""
    if value < 0.001:
        return f"{value * 1e6:.0f} us"
    return f"{value * 1e3:.1f} ms" if value < 1 else f"{value:.2f} s"


def span(value: float) -> str:
    """Seconds of which there may be many: a million of them are hours to a person."""
    return f"{value:,.0f} s" if value < 100_000 else f"{value / 3600:,.0f} h"


AMOUNTS = (
    Amount("calls", lambda one: one.calls, count),
    Amount("polls", lambda one: one.polls, count),
    Amount("empty", lambda one: one.empty_share, share),
    Amount("news p50", lambda one: one.news_p50, latency),
    Amount("news p95", lambda one: one.news_p95, latency),
    Amount("news p99", lambda one: one.news_p99, latency),
    Amount("held", lambda one: one.held_seconds, span),
    Amount("evicted", lambda one: one.evictions, count),
    Amount("refused", lambda one: one.refusals, count),
    Amount("errors", lambda one: one.errors, count),
)


def said(amount: Amount, numbers: Numbers | None) -> str:
    value = amount.of(numbers) if numbers is not None else None
    return NONE if value is None else amount.say(value)


def change(amount: Amount, now: Numbers, before: Numbers | None) -> str:
    """What a number became: shares in points of a hundred, all others in parts of what they were."""
    new, old = amount.of(now), amount.of(before) if before is not None else None
    if new is None or old is None:
        return NONE
    if amount.say is share:
        points = f"{(new - old) * 100:+.1f}"
        return SAME if float(points) == 0 else f"{points} points"
    if not old:
        return SAME if not new else "new"
    percent = f"{(new / old - 1) * 100:+.0f}"
    return SAME if float(percent) == 0 else f"{percent} %"
