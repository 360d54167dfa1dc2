"""What is counted of calls, and how the database counts it: by outcome, which is added up here; it costs half of
counting each kind of outcome apart. News latencies are quantiles, asked for on their own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from gateway.outcome import ENDINGS, Outcome
from gateway.past.source import Past, text_of
from gateway.past.when import Window
from gateway.telemetry.columns import COLUMNS

Key = str | None
Values = Mapping[str, object]

NO_VALUES: Values = MappingProxyType({})
COUNTED = "outcome, count(*) AS calls, count(dialect) AS polls, coalesce(sum(held), 0) AS held"
_ERRORS = frozenset(each.value for each, ending in ENDINGS.items() if ending.share == "error")
_QUIET = frozenset({Outcome.EMPTY.value, Outcome.BLANK.value})
_REFUSED = frozenset({Outcome.RATE_LIMITED.value, Outcome.CAPPED.value})


@dataclass(frozen=True, slots=True)
class Numbers:
    """What is counted of some calls. The empty share is that of "no news" among the polls that were answered with news
    or "no news"; latencies are those of news, in seconds."""

    calls: int = 0
    polls: int = 0
    news: int = 0
    empty: int = 0
    empty_share: float | None = None
    news_p50: float | None = None
    news_p95: float | None = None
    news_p99: float | None = None
    held_seconds: float = 0.0
    evictions: int = 0
    refusals: int = 0
    errors: int = 0


class Counts(NamedTuple):
    """Calls of one outcome."""

    outcome: str | None
    calls: int
    polls: int
    held: float


def within(window: Window) -> str:
    """A condition in SQL."""
    since, until = (f"CAST('{text_of(instant)}' AS {COLUMNS['time']})" for instant in (window.since, window.until))
    return f"time >= {since} AND time < {until}"


def counts(past: Past, chosen: str, key: str, values: Values = NO_VALUES) -> dict[Key, list[Counts]]:
    """Counts by key. `chosen` and `key` are SQL of ours, `values` its parameters."""
    return collected(past, f"SELECT {key} AS key, {COUNTED} FROM calls WHERE {chosen} GROUP BY ALL", values)


def collected(past: Past, sql: str, values: Values) -> dict[Key, list[Counts]]:
    """The rows of a query by their first column, in their order."""
    found: dict[Key, list[Counts]] = defaultdict(list)
    for key, *rest in past.connection.execute(sql, dict(values)).fetchall():
        found[_text(key)].append(Counts(*rest))
    return found


def latencies(past: Past, chosen: str, key: str, values: Values = NO_VALUES) -> dict[Key, Sequence[float]]:
    """The median, the 95th and the 99th of a hundred, by key."""
    found = past.connection.execute(
        f"SELECT {key} AS key, quantile_cont(news_latency, [0.5, 0.95, 0.99]) "
        f"FROM calls WHERE {chosen} AND news_latency IS NOT NULL GROUP BY ALL",
        dict(values),
    )
    return {_text(key): quantiles for key, quantiles in found.fetchall()}


def numbers(counted: Iterable[Counts], latency: Sequence[float] | None) -> Numbers:
    """Counts of several outcomes, added up."""
    rows = list(counted)

    def of(outcomes: Container[str | None]) -> int:
        return sum(each.calls for each in rows if each.outcome in outcomes)

    news, empty = of({Outcome.NEWS.value}), of(_QUIET)
    told = news + empty + of({Outcome.OVERRUN.value})
    p50, p95, p99 = (round(value, 6) for value in latency) if latency else (None, None, None)
    return Numbers(
        sum(each.calls for each in rows), sum(each.polls for each in rows), news, empty,
        round(empty / told, 6) if told else None, p50, p95, p99, round(sum(each.held for each in rows), 3),
        of({Outcome.EVICTED.value}), of(_REFUSED), of(_ERRORS),
    )  # fmt: skip


def _text(key: object) -> Key:
    return None if key is None else str(key)
