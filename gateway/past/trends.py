"""How many calls, how empty, how fast: numbers per hour, day, route, consumer or tenant, each beside those of the
period before. Everything is counted by the database; what comes here is small.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path

from gateway.past.numbers import COUNTED, Counts, Key, Numbers, collected, counts, latencies, numbers, within
from gateway.past.source import Means, Past, asked
from gateway.past.when import Window

TIMES = {"hour": timedelta(hours=1), "day": timedelta(days=1)}
NAMES = ("route", "consumer", "tenant")
BY = (*TIMES, *NAMES)
MAX_STEPS = 1000  # hours or days of one answer

_Counted = Mapping[Key, list[Counts]]


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
    if by in TIMES:
        total, rows = by_time(past, window, by)
    else:
        total, rows = total_of(past, window), by_name(past, window, by, limit)
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
    """The numbers of all calls."""
    now, before = (counts(past, within(each), "NULL") for each in (window, window.before()))
    return _total(past, window, now, before)


def by_time(past: Past, window: Window, by: str) -> tuple[Row, list[Row]]:
    """All calls, and every step of the window, also those without calls; what was before is moved onto it."""
    starts = [window.since]
    while starts[-1] + TIMES[by] < window.until:
        starts.append(starts[-1] + TIMES[by])
    keys = [f"{each:%Y-%m-%d %H:%M:%S}" for each in starts]
    step, moved = (
        f"CAST(date_trunc('{by}', time + INTERVAL {seconds} SECOND) AS TIMESTAMP)"
        for seconds in (0, round(window.seconds))
    )
    now, before = counts(past, within(window), step), counts(past, within(window.before()), moved)
    rows = _rows(keys, (now, latencies(past, within(window), step)),
                 (before, latencies(past, within(window.before()), moved)))  # fmt: skip
    named = [replace(row, key=stamp(each)) for row, each in zip(rows, starts, strict=True)]
    return _total(past, window, now, before), named


def by_name(past: Past, window: Window, by: str, limit: int) -> list[Row]:
    """The names with the most calls; only theirs are compared, and quantiles found for."""
    column = f'"{by}"'
    now = collected(past, _MOST.format(column=column, counted=COUNTED, within=within(window)), {"limit": limit})
    chosen = f"({column} IN (SELECT unnest($names)) OR ({column} IS NULL AND $nameless))"
    values = {"names": [name for name in now if name is not None], "nameless": None in now}
    earlier = f"{within(window.before())} AND {chosen}"
    return _rows(list(now), (now, latencies(past, f"{within(window)} AND {chosen}", column, values)),
                 (counts(past, earlier, column, values), latencies(past, earlier, column, values)))  # fmt: skip


_MOST = """WITH counted AS MATERIALIZED (SELECT {column} AS key, {counted} FROM calls WHERE {within} GROUP BY ALL),
    most AS (SELECT key, sum(calls) AS total FROM counted GROUP BY ALL ORDER BY total DESC, key LIMIT $limit)
  SELECT counted.* FROM counted JOIN most ON counted.key IS NOT DISTINCT FROM most.key
  ORDER BY total DESC, counted.key"""


def stamp(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _total(past: Past, window: Window, now: _Counted, before: _Counted) -> Row:
    found = []
    for counted, each in ((now, window), (before, window.before())):
        latency = latencies(past, within(each), "NULL").get(None)
        found.append(numbers(chain.from_iterable(counted.values()), latency) if counted else None)
    return Row(None, found[0] or Numbers(), found[1])


_Found = tuple[_Counted, Mapping[Key, Sequence[float]]]


def _rows(keys: Sequence[Key], now: _Found, before: _Found) -> list[Row]:
    """One row a key."""

    def found(key: Key, counted: _Counted, latency: Mapping[Key, Sequence[float]]) -> Numbers | None:
        return numbers(counted[key], latency.get(key)) if key in counted else None

    return [Row(key, found(key, *now) or Numbers(), found(key, *before)) for key in keys]
