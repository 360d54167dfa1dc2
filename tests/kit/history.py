"""A believable past: a call log of any length for tests and measurements, made inside DuckDB, so that ten million calls
take seconds. The same seed makes the same calls. A sickness adds what the advice of `gateway.past` is about.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb

from gateway.telemetry.columns import COLUMNS

START = datetime(2025, 1, 15, tzinfo=UTC)
# Calls of each hour of a day, in parts of the whole: night, a morning, a lunch, an evening.
SHAPE = (2, 1, 1, 1, 1, 2, 4, 7, 10, 11, 11, 10, 9, 10, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2)

# One call: `i` is its number and `u1` .. `u6` are numbers in [0, 1) that it always gets; `start` begins its hour.
CALLS = """
WITH drawn AS (
  SELECT i, {uniforms} FROM range({first}, {first} + {count}) AS t(i)
), who AS (
  SELECT *,
    CASE WHEN u1 < 0.55 THEN 'updates' WHEN u1 < 0.70 THEN 'events' WHEN u1 < 0.78 THEN 'jobs'
         WHEN u1 < 0.90 THEN 'page' ELSE 'publish' END AS route,
    CAST(floor(exp(u2 * ln({consumers} + 1))) AS INTEGER) AS number,
    u1 < 0.78 AS poll,
    CASE WHEN u1 < 0.55 THEN 25.0 WHEN u1 < 0.70 THEN 45.0 ELSE 30.0 END AS hold,
    make_timestamp({start} + 1000 * CAST(floor(3600e3 * (i - {first} + u6) / {count}) AS BIGINT)) AS time
  FROM drawn
), ended AS (
  SELECT *, 1 + number % 40 AS account,
    CASE WHEN poll THEN
      CASE WHEN u3 < 0.36 THEN 'news' WHEN u3 < 0.92 THEN 'empty' WHEN u3 < 0.95 THEN 'blank'
           WHEN u3 < 0.993 THEN 'client_gone' WHEN u3 < 0.995 THEN 'evicted' WHEN u3 < 0.996 THEN 'rate_limited'
           WHEN u3 < 0.997 THEN 'capped' WHEN u3 < 0.998 THEN 'overrun' WHEN u3 < 0.999 THEN 'upstream_timeout'
           ELSE 'upstream_reset' END
    ELSE CASE WHEN u3 < 0.99 THEN 'answered' WHEN u3 < 0.996 THEN 'unauthenticated' ELSE 'upstream_error' END
    END AS outcome
  FROM who
), timed AS (
  SELECT *, outcome NOT IN ('rate_limited', 'capped', 'unauthenticated') AS sent,
    CASE WHEN NOT poll OR outcome IN ('rate_limited', 'capped') THEN 0
         WHEN outcome = 'news' THEN least(hold, -8 * ln(1 - u4))
         WHEN outcome IN ('client_gone', 'evicted', 'upstream_reset') THEN hold * u4
         WHEN outcome = 'overrun' THEN hold + 1.5 + u4
         WHEN outcome = 'upstream_timeout' THEN hold + 5
         ELSE hold + 0.02 * u4 END AS held,
    0.0002 + 0.002 * u5 AS work
  FROM ended
)
SELECT 1 AS v, time, md5(concat(i, '-', {seed})) AS id, id AS trace, route,
  CASE route WHEN 'publish' THEN 'POST' ELSE 'GET' END AS method, '/' || route AS path,
  CASE outcome WHEN 'client_gone' THEN NULL WHEN 'rate_limited' THEN 429 WHEN 'capped' THEN 429
       WHEN 'unauthenticated' THEN 401 WHEN 'upstream_timeout' THEN 504 WHEN 'upstream_reset' THEN 502
       WHEN 'upstream_error' THEN 500 ELSE 200 END AS status,
  outcome,
  CASE WHEN outcome IN ('client_gone', 'evicted', 'rate_limited', 'capped', 'unauthenticated') THEN 'downstream'
       WHEN outcome LIKE 'upstream%' OR outcome = 'overrun' THEN 'upstream' ELSE 'none' END AS blame,
  CASE WHEN outcome LIKE 'upstream%' THEN 'warning'
       WHEN outcome IN ('overrun', 'rate_limited', 'capped', 'unauthenticated') THEN 'notice' ELSE 'info' END AS level,
  concat('192.0.2.', number % 250) AS peer, round(held + work, 6) AS took, round(work, 6) AS work, 0 AS bytes_in,
  CASE WHEN outcome = 'news' THEN CAST(200 + 2000 * u5 AS BIGINT) ELSE 2 END AS bytes_out,
  CASE WHEN sent THEN 1 ELSE 0 END AS attempts,
  CASE WHEN outcome <> 'unauthenticated' THEN concat('consumer-', number) END AS consumer,
  CASE WHEN outcome <> 'unauthenticated' THEN concat('tenant-', account) END AS tenant,
  CASE WHEN sent THEN concat('10.0.0.', 1 + i % 3, ':5000') END AS endpoint,
  CASE WHEN poll THEN 'cursor-updates' END AS dialect, CASE WHEN poll THEN hold END AS hold_asked,
  CASE WHEN poll AND sent THEN hold END AS hold_granted, CASE WHEN poll THEN round(held, 6) END AS held,
  CASE WHEN outcome IN ('news', 'empty', 'answered') THEN round(held + work / 2, 6) END AS first_byte,
  CASE WHEN poll THEN CAST(i AS VARCHAR) END AS cursor,
  CASE WHEN outcome = 'news' THEN round(0.0002 - 0.001 * ln(1 - u5), 6) END AS news_latency
FROM timed
"""


@dataclass(frozen=True, slots=True)
class Day:
    """What to make: so many calls from `start` on, in the shape of a day."""

    calls: int
    start: datetime = START
    hours: int = 24
    consumers: int = 500
    seed: int = 1


def hours(day: Day) -> Iterable[tuple[datetime, int, int]]:
    """Each hour with the number of its first call and how many it has."""
    weights = [SHAPE[(day.start + timedelta(hours=number)).hour] for number in range(day.hours)]
    first = 0
    for number in range(day.hours):
        last = day.calls * sum(weights[: number + 1]) // sum(weights)
        yield day.start + timedelta(hours=number), first, last - first
        first = last


def statement(day: Day, start: datetime, first: int, count: int) -> str:
    """SQL for the calls of one hour, in their order, with every column there is."""
    uniforms = ", ".join(
        f"(hash(i, {day.seed}, {number}) % 1000000007) / 1000000007.0 AS u{number}" for number in range(1, 7)
    )
    made = CALLS.format(uniforms=uniforms, first=first, count=count, consumers=day.consumers,
                        start=int(start.timestamp() * 1e6), seed=day.seed)  # fmt: skip
    with duckdb.connect() as connection:
        known = {row[0] for row in connection.execute(f"DESCRIBE {made}").fetchall()}
    columns = ", ".join(
        f"CAST({name if name in known else 'NULL'} AS {kind}) AS {name}" for name, kind in COLUMNS.items()
    )
    return f"SELECT {columns} FROM ({made}) ORDER BY time"


def write_parquet(folder: Path, day: Day, stem: str = "calls") -> list[Path]:
    """The day as the compaction leaves it: one file an hour."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    with duckdb.connect() as connection:
        for start, first, count in hours(day):
            if count:
                files.append(folder / f"{stem}-{start:%Y%m%dT%HZ}-1.parquet")
                made = statement(day, start, first, count)
                connection.execute(f"COPY ({made}) TO '{files[-1]}' (FORMAT parquet, COMPRESSION zstd)")
    return files


def write_lines(path: Path, day: Day) -> None:
    """The day as the gateway writes it: a line a call."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect() as connection:
        every = " UNION ALL ".join(f"({statement(day, *hour)})" for hour in hours(day) if hour[2])
        stamp = "strftime(time, '%Y-%m-%dT%H:%M:%S.%gZ') AS time"
        connection.execute(f"COPY (SELECT * REPLACE ({stamp}) FROM ({every})) TO '{path}' (FORMAT json)")
