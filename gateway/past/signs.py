"""What the advice rests on, counted by the database: per route, per endpoint, per client, never a single call. A client
is a consumer, and a stranger's address.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from gateway.past.source import Past

STEP = 0.5  # seconds: how finely the end of a poll is told
LOOP = 60  # polls in vain in one minute, of one client: a loop
BUSY = 0.8  # of an hour: a slot that is always taken
LEAST_SPAN = 600  # seconds a client must have been seen in an hour
MAX_SUSPECTS = 20

_WHO = "coalesce(consumer, peer)"
# A poll that was over at once and brought nothing.
_VAIN = """dialect IS NOT NULL AND took < 1
  AND outcome NOT IN ('news', 'streamed', 'client_gone', 'client_timeout', 'evicted', 'drained', 'expired')"""


@dataclass(frozen=True, slots=True)
class Served:
    """The polls of a route on one endpoint; endpoint None are those that were sent to none."""

    route: str
    endpoint: str | None
    polls: int
    evicted: int
    overruns: int
    granted: int
    clamped: dict[str, int]


@dataclass(frozen=True, slots=True)
class Refused:
    """What limits refused on a route, of all its calls, and who met that most."""

    route: str
    calls: int
    rate_limited: int
    capped: int
    clients: int
    most: str
    most_count: int


@dataclass(frozen=True, slots=True)
class Ended:
    """Polls of a route that lasted from `step` * STEP on, less than the next one; of those, whose client left."""

    route: str
    step: int
    polls: int
    gone: int
    gone_at: float | None  # seconds, on average
    several: bool  # not all of one client


@dataclass(frozen=True, slots=True)
class Loop:
    """Clients of a route that polled in vain at least LOOP times in a minute."""

    route: str
    clients: int
    most: str
    per_minute: int
    polls: int
    outcome: str
    took: float
    granted: float | None


@dataclass(frozen=True, slots=True)
class Slot:
    """A consumer that may have one slot only: in its busy hours it was nearly always in polls of one route."""

    consumer: str
    route: str
    hours: int
    share: float
    others: int  # calls on other routes
    behind: int  # of those, begun as soon as a poll had ended without news
    starved: int  # calls that a cap refused or kept waiting
    overlaps: int  # times it did two things at once


@dataclass(frozen=True, slots=True)
class Signs:
    served: tuple[Served, ...] = ()
    refused: tuple[Refused, ...] = ()
    ended: tuple[Ended, ...] = ()
    loops: tuple[Loop, ...] = ()
    slots: tuple[Slot, ...] = ()
    asked: dict[tuple[str, str], tuple[float, float]] | None = (
        None  # (route, clamped by) -> median asked, median granted
    )


def signs(past: Past) -> Signs:
    return Signs(
        tuple(_served(past)), tuple(_refused(past)), tuple(_ended(past)), tuple(_loops(past)), tuple(_slots(past)),
        _asked(past),
    )  # fmt: skip


def _rows(past: Past, sql: str, values: dict[str, object] | None = None) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = past.connection.execute(sql, values or {}).fetchall()
    return found


def _served(past: Past) -> Iterator[Served]:
    causes = ("max", "front", "token")
    counted = ", ".join(f"count(*) FILTER (clamped_by = '{cause}')" for cause in causes)
    sql = f"""SELECT route, endpoint, count(*), count(*) FILTER (outcome = 'evicted'),
          count(*) FILTER (outcome = 'overrun'), count(hold_granted), {counted}
        FROM calls WHERE dialect IS NOT NULL AND route IS NOT NULL GROUP BY ALL ORDER BY ALL"""
    for route, endpoint, polls, evicted, overruns, granted, *clamped in _rows(past, sql):
        by_cause = dict(zip(causes, clamped, strict=True))
        yield Served(route, endpoint, polls, evicted, overruns, granted, by_cause)


def _asked(past: Past) -> dict[tuple[str, str], tuple[float, float]]:
    sql = """SELECT route, clamped_by, median(hold_asked), median(hold_granted) FROM calls
        WHERE clamped_by IN ('max', 'front') AND hold_asked IS NOT NULL AND route IS NOT NULL GROUP BY ALL"""
    return {(route, cause): (asked, granted) for route, cause, asked, granted in _rows(past, sql)}


def _refused(past: Past) -> Iterator[Refused]:
    sql = f"""WITH whose AS (
          SELECT route, {_WHO} AS who, count(*) FILTER (outcome = 'rate_limited') AS rated,
            count(*) FILTER (outcome = 'capped') AS capped
          FROM calls WHERE outcome IN ('rate_limited', 'capped') AND route IS NOT NULL GROUP BY ALL
        ), told AS (
          SELECT route, sum(rated) AS rated, sum(capped) AS capped, count(*) AS clients,
            arg_max(who, rated + capped) AS most, max(rated + capped) AS most_count FROM whose GROUP BY ALL
        ), everything AS (SELECT route, count(*) AS calls FROM calls GROUP BY ALL)
        SELECT route, calls, CAST(rated AS BIGINT), CAST(capped AS BIGINT), clients, most, most_count
        FROM told JOIN everything USING (route) ORDER BY route"""
    for row in _rows(past, sql):
        yield Refused(*row)


def _ended(past: Past) -> Iterator[Ended]:
    sql = f"""SELECT route, CAST(floor(took / {STEP}) AS INTEGER) AS step, count(*),
          count(*) FILTER (outcome = 'client_gone'), avg(took) FILTER (outcome = 'client_gone'),
          min({_WHO}) FILTER (outcome = 'client_gone'), max({_WHO}) FILTER (outcome = 'client_gone')
        FROM calls WHERE dialect IS NOT NULL AND attempts > 0 AND route IS NOT NULL AND took >= 1
        GROUP BY ALL ORDER BY ALL"""
    for route, step, polls, gone, gone_at, one, other in _rows(past, sql):
        yield Ended(route, step, polls, gone, gone_at, one != other)


def _loops(past: Past) -> Iterator[Loop]:
    sql = f"""WITH minutes AS (
          SELECT route, {_WHO} AS who, count(*) AS polls, mode(outcome) AS outcome, median(took) AS took,
            median(hold_granted) AS granted
          FROM calls WHERE {_VAIN} AND route IS NOT NULL GROUP BY route, who, date_trunc('minute', time)
          HAVING count(*) >= {LOOP})
        SELECT route, count(DISTINCT who), arg_max(who, polls), max(polls), CAST(sum(polls) AS BIGINT),
          arg_max(outcome, polls), median(took), median(granted) FROM minutes GROUP BY route ORDER BY route"""
    for row in _rows(past, sql):
        yield Loop(*row)


def _slots(past: Past) -> Iterator[Slot]:
    """First whose hours may be those of one slot, by sums; then what these few did; then whether two things at once."""
    busy = f"""SELECT consumer, date_trunc('hour', time) AS hour, max(epoch(time) + took) - min(epoch(time)) AS span
        FROM calls WHERE consumer IS NOT NULL AND attempts > 0 GROUP BY ALL
        HAVING span >= {LEAST_SPAN} AND sum(took) BETWEEN {BUSY} * span AND 1.02 * span"""
    sql = f"""WITH busy AS ({busy}), routes AS (
          SELECT consumer, hour, any_value(span) AS span, route, coalesce(sum(held), 0) AS held,
            count(*) FILTER (attempts > 0) AS calls, count(*) FILTER (outcome = 'capped' OR waited > 1) AS starved
          FROM calls JOIN busy USING (consumer) WHERE date_trunc('hour', time) = hour AND route IS NOT NULL GROUP BY ALL
        ), slots AS (
          SELECT consumer, hour, any_value(span) AS span, arg_max(route, held) AS route, max(held) AS most,
            sum(calls) - arg_max(calls, held) AS others, sum(starved) AS starved FROM routes GROUP BY consumer, hour
        )
        SELECT consumer, route, count(*), sum(most) / sum(span), sum(others), sum(starved) FROM slots
        WHERE most >= {BUSY} * span GROUP BY consumer, route HAVING sum(others) + sum(starved) > 0
        ORDER BY sum(others) + sum(starved) DESC, consumer LIMIT {MAX_SUSPECTS}"""
    for consumer, route, hours, share, others, starved in _rows(past, sql):
        ((overlaps, behind),) = _rows(past, _IN_ORDER, {"consumer": consumer, "route": route})
        yield Slot(consumer, route, hours, float(share), int(others), behind, int(starved), overlaps)


_IN_ORDER = """WITH sent AS (
    SELECT route, outcome, time, time + to_microseconds(CAST(took * 1e6 AS BIGINT)) AS ended FROM calls
    WHERE consumer = $consumer AND attempts > 0
  ), ordered AS (
    SELECT route, time, lag(route) OVER w AS route_before, lag(outcome) OVER w AS outcome_before,
      lag(ended) OVER w AS ended_before,
      max(ended) OVER (ORDER BY time, ended ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS busy_until
    FROM sent WINDOW w AS (ORDER BY time, ended)
  )
  SELECT count(*) FILTER (time < busy_until - INTERVAL 100 MILLISECOND),
    count(*) FILTER (route <> $route AND route_before = $route AND outcome_before IN ('empty', 'blank', 'overrun')
      AND time < ended_before + INTERVAL 1 SECOND)
  FROM ordered"""
