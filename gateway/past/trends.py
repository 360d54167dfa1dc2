"""How many calls, how empty, how fast: numbers per hour, day, route, consumer or tenant, each beside those of the
period before. Everything is counted by the database; what comes here is small.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from gateway.outcome import ENDINGS, Outcome
from gateway.past.source import Means, Past, asked, text_of
from gateway.past.when import Window
from gateway.telemetry.columns import COLUMNS

TIMES = {"hour": timedelta(hours=1), "day": timedelta(days=1)}
NAMES = ("route", "consumer", "tenant")
BY = (*TIMES, *NAMES)
MAX_STEPS = 1000  # hours or days of one answer

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


@dataclass(frozen=True, slots=True)
class Row:
    """One hour, day, route, consumer or tenant. `key` is None for calls that have none; `before` where it had calls."""

    key: str | None
    now: Numbers
    before: Numbers | None = None


@dataclass(frozen=True, slots=True)
class Trends:
    """A period and its rows."""

    window: Window
    by: str
    total: Row
    rows: tuple[Row, ...]


def aligned(window: Window, by: str) -> Window:
    """The window from the beginning of its first hour or day on: a part of one would look like a fall."""
    if by not in TIMES:
        return window
    since = window.since.replace(minute=0, second=0, microsecond=0)
    window = replace(window, since=since.replace(hour=0) if by == "day" else since)
    if (window.until - window.since) / TIMES[by] > MAX_STEPS:
        longer = '; write by day, or a later "since"' if by == "hour" else '; write a later "since"'
        raise ValueError(f"by: the time has more than {MAX_STEPS} {by}s{longer}")
    return window


def with_before(window: Window) -> Window:
    """The window and the period before it: what must be connected for trends of the window."""
    return Window(window.before().since, window.until)


def trends(past: Past, window: Window, by: str, limit: int) -> Trends:
    """Numbers of the window by one thing; of names the `limit` with the most calls."""
    total = total_of(past, window)
    rows = by_time(past, window, by) if by in TIMES else by_name(past, window, by, limit)
    return Trends(window, by, total, tuple(rows))


def trend_document(path: Path, window: Window, by: str, limit: int, means: Means) -> dict[str, object]:
    """The trends of a log as one JSON document."""
    window = aligned(window, by)

    def ask(past: Past) -> dict[str, object]:
        return document(trends(past, window, by, limit)) | {"notes": past.notes}

    return asked(path, with_before(window), ask, means)


def document(found: Trends) -> dict[str, object]:
    """Trends as plain values."""
    return {
        "since": stamp(found.window.since),
        "until": stamp(found.window.until),
        "by": found.by,
        "total": asdict(found.total.now),
        "before": asdict(found.total.before or Numbers()),
        "rows": [asdict(row) for row in found.rows],
    }


def total_of(past: Past, window: Window) -> Row:
    return _rows(past, window, [None], "NULL", "NULL")[0]


def by_time(past: Past, window: Window, by: str) -> list[Row]:
    """Every step of the window, also those without calls; what was before is moved onto it."""
    starts = [window.since]
    while starts[-1] + TIMES[by] < window.until:
        starts.append(starts[-1] + TIMES[by])
    keys = [f"{each:%Y-%m-%d %H:%M:%S}" for each in starts]
    moved = f"time + INTERVAL {round(window.seconds)} SECOND"
    rows = _rows(past, window, keys, f"date_trunc('{by}', time)", f"date_trunc('{by}', {moved})")
    return [replace(row, key=stamp(each)) for row, each in zip(rows, starts, strict=True)]


def by_name(past: Past, window: Window, by: str, limit: int) -> list[Row]:
    """The names with the most calls, and then their numbers: quantiles of all would cost what nobody reads."""
    most = past.connection.execute(
        f'SELECT "{by}" FROM calls WHERE {_within(window)} GROUP BY ALL ORDER BY count(*) DESC, 1 LIMIT $limit',
        {"limit": limit},
    ).fetchall()
    names = [name for (name,) in most]
    chosen = f"""("{by}" IN (SELECT unnest($names)) OR ("{by}" IS NULL AND $nameless))"""
    values = {"names": [name for name in names if name is not None], "nameless": None in names}
    return _rows(past, window, names, f'"{by}"', f'"{by}"', chosen, values)


def stamp(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _rows(
    past: Past, window: Window, keys: Sequence[str | None], key: str, key_before: str,
    chosen: str = "true", values: Mapping[str, object] = MappingProxyType({}),
) -> list[Row]:  # fmt: skip
    """One row a key; `key` and `chosen` are SQL, `values` its parameters."""
    now = _counted(past, f"{_within(window)} AND {chosen}", key, values)
    before = _counted(past, f"{_within(window.before())} AND {chosen}", key_before, values)
    return [Row(each, now.get(each, Numbers()), before.get(each)) for each in keys]


def _within(window: Window) -> str:
    since, until = (f"CAST('{text_of(instant)}' AS {COLUMNS['time']})" for instant in (window.since, window.until))
    return f"time >= {since} AND time < {until}"


def _counted(past: Past, chosen: str, key: str, values: Mapping[str, object]) -> dict[str | None, Numbers]:
    """Numbers by key. Counting by outcome and adding up here costs the database half of counting each kind apart."""
    counts = past.connection.execute(
        f"SELECT {key} AS key, outcome, count(*), count(dialect), coalesce(sum(held), 0) "
        f"FROM calls WHERE {chosen} GROUP BY ALL",
        dict(values),
    )
    found: dict[str | None, list[_Counts]] = defaultdict(list)
    for name, *rest in counts.fetchall():
        found[_text(name)].append(_Counts(*rest))
    latencies = past.connection.execute(
        f"SELECT {key} AS key, quantile_cont(news_latency, [0.5, 0.95, 0.99]) "
        f"FROM calls WHERE {chosen} AND news_latency IS NOT NULL GROUP BY ALL",
        dict(values),
    )
    latency = {_text(name): quantiles for name, quantiles in latencies.fetchall()}
    return {name: _numbers(rows, latency.get(name)) for name, rows in found.items()}


class _Counts(NamedTuple):
    """Calls of one outcome."""

    outcome: str | None
    calls: int
    polls: int
    held: float


def _text(name: object) -> str | None:
    return None if name is None else str(name)


def _numbers(counts: Sequence[_Counts], latency: Sequence[float] | None) -> Numbers:
    def of(outcomes: Container[str | None]) -> int:
        return sum(each.calls for each in counts if each.outcome in outcomes)

    news, empty = of({Outcome.NEWS.value}), of(_QUIET)
    told = news + empty + of({Outcome.OVERRUN.value})
    p50, p95, p99 = (round(value, 6) for value in latency) if latency else (None, None, None)
    return Numbers(
        sum(each.calls for each in counts), sum(each.polls for each in counts), news, empty,
        round(empty / told, 6) if told else None, p50, p95, p99, round(sum(each.held for each in counts), 3),
        of({Outcome.EVICTED.value}), of(_REFUSED), of(_ERRORS),
    )  # fmt: skip
