"""How many calls, how empty, how fast: numbers per hour, day, route, consumer or tenant, each beside those of the
period before. Everything is counted by the database; what comes here is small.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from gateway.outcome import ENDINGS, Outcome
from gateway.past.source import Means, Past, asked, text_of
from gateway.past.when import Window
from gateway.telemetry.columns import COLUMNS

TIMES = {"hour": timedelta(hours=1), "day": timedelta(days=1)}
NAMES = ("route", "consumer", "tenant")
BY = (*TIMES, *NAMES)
MAX_STEPS = 1000  # hours or days of one answer

_SINCE = f"CAST($since AS {COLUMNS['time']})"
_ERRORS = ", ".join(f"'{each.value}'" for each, ending in ENDINGS.items() if ending.share == "error")
_REFUSED = ", ".join(f"'{each.value}'" for each in (Outcome.RATE_LIMITED, Outcome.CAPPED))
_NUMBERS = f"""count(*), count(dialect), count(*) FILTER (outcome = 'news'),
  count(*) FILTER (outcome IN ('empty', 'blank')), count(*) FILTER (outcome = 'overrun'),
  quantile_cont(news_latency, [0.5, 0.95, 0.99]), coalesce(sum(held), 0),
  count(*) FILTER (outcome = 'evicted'), count(*) FILTER (outcome IN ({_REFUSED})),
  count(*) FILTER (outcome IN ({_ERRORS}))"""


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


_Found = dict[tuple[str | None, bool], Numbers]


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
    rows = _by_time(past, window, by) if by in TIMES else _by_name(past, window, by, limit)
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
        "since": _stamp(found.window.since),
        "until": _stamp(found.window.until),
        "by": found.by,
        "total": asdict(found.total.now),
        "before": asdict(found.total.before or Numbers()),
        "rows": [asdict(row) for row in found.rows],
    }


def total_of(past: Past, window: Window) -> Row:
    return _rows(_counted(past, window, "NULL", "true", {}), [None])[0]


def _by_time(past: Past, window: Window, by: str) -> list[Row]:
    """Every step of the window, also those without calls; what was before is moved onto it."""
    moved = f"CASE WHEN time >= {_SINCE} THEN time ELSE time + INTERVAL {round(window.seconds)} SECOND END"
    found = _counted(past, window, f"date_trunc('{by}', {moved})", "true", {})
    starts = [window.since]
    while starts[-1] + TIMES[by] < window.until:
        starts.append(starts[-1] + TIMES[by])
    rows = _rows(found, [f"{each:%Y-%m-%d %H:%M:%S}" for each in starts])
    return [replace(row, key=_stamp(each)) for row, each in zip(rows, starts, strict=True)]


def _by_name(past: Past, window: Window, by: str, limit: int) -> list[Row]:
    """The names with the most calls, and then their numbers: quantiles of all would cost what nobody reads."""
    most = past.connection.execute(
        f'SELECT "{by}" FROM calls WHERE time >= {_SINCE} GROUP BY ALL ORDER BY count(*) DESC, 1 LIMIT $limit',
        {"since": text_of(window.since), "limit": limit},
    ).fetchall()
    names = [name for (name,) in most]
    chosen = f"""("{by}" IN (SELECT unnest($names)) OR ("{by}" IS NULL AND $nameless))"""
    values = {"names": [name for name in names if name is not None], "nameless": None in names}
    return _rows(_counted(past, window, f'"{by}"', chosen, values), names)


def _counted(past: Past, window: Window, key: str, chosen: str, values: dict[str, object]) -> _Found:
    """Numbers by key, and by whether they are of the window or of what was before."""
    sql = f"SELECT {key} AS key, time >= {_SINCE} AS now, {_NUMBERS} FROM calls WHERE {chosen} GROUP BY ALL"
    found = past.connection.execute(sql, {"since": text_of(window.since), **values}).fetchall()
    return {(str(name) if name is not None else None, now): _numbers(*rest) for name, now, *rest in found}


def _numbers(
    calls: int, polls: int, news: int, empty: int, overrun: int, latency: list[float] | None, held: float,
    evictions: int, refusals: int, errors: int,
) -> Numbers:  # fmt: skip
    told = news + empty + overrun
    p50, p95, p99 = (round(value, 6) for value in latency) if latency else (None, None, None)
    share = round(empty / told, 6) if told else None
    return Numbers(calls, polls, news, empty, share, p50, p95, p99, round(held, 3), evictions, refusals, errors)


def _rows(found: _Found, keys: Sequence[str | None]) -> list[Row]:
    return [Row(key, found.get((key, True), Numbers()), found.get((key, False))) for key in keys]


def _stamp(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
