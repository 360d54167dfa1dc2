"""What is shown of a gateway, as text: its state, the columns of the table, a summary by route. Pure: what the admin
listener told in, lines and cells out; whatever it told, a cell is one line of printable text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, NamedTuple

from gateway.telemetry.record import clean

NOTHING = "-"


class Column(NamedTuple):
    """A column: its title, what `sort` of `/api/held` calls it, and how a call fills it."""

    title: str
    key: str
    cell: Callable[[Any], str]


@dataclass(frozen=True, slots=True)
class Seen:
    """What was told at one instant: `held` is a page of `/api/held`, `overview` that of the whole gateway."""

    held: Mapping[str, Any] = field(default_factory=dict)
    overview: Mapping[str, Any] = field(default_factory=dict)

    @property
    def calls(self) -> list[dict[str, Any]]:
        calls = self.held.get("calls")
        return [call for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []


def text(value: object) -> str:
    return NOTHING if value is None or value == "" else clean(str(value))


def seconds(value: object) -> str:
    """A time as a person reads it: tenths up to a minute, then minutes."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        return NOTHING
    if value < 60:
        return f"{max(value, 0.0):.1f}s"
    whole = int(value)
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}h{minutes:02d}m" if hours else f"{minutes}m{whole % 60:02d}s"


COLUMNS = (
    Column("route", "route", text),
    Column("consumer", "consumer", text),
    Column("state", "state", text),
    Column("since", "since", seconds),
    Column("ends in", "ends_in", seconds),
    Column("endpoint", "endpoint", text),
    Column("peer", "peer", text),
)
WORKER_COLUMNS = ("worker", "state", "held", "connections", "MiB", "since", "restarts", "pid")
ROUTE_COLUMNS = ("route", "parked", "waiting", "calls/s", "news/s", "no news/s", "errors/s")


def row(call: Mapping[str, Any]) -> list[str]:
    return [column.cell(call.get(column.key)) for column in COLUMNS]


def state(seen: Seen) -> str:
    """The gateway in one line."""
    told = seen.overview
    held, open_ = _table(told, "held"), _table(told, "connections")
    parts = [
        text(told.get("detail")),
        *_missing(told),
        *_out(held),
        f"{_count(held, 'total')} held ({_count(held, 'waiting')} waiting)",
        f"{_count(open_, 'open')} of {_count(open_, 'limit')} connections",
    ]
    if told.get("rates") is not None:
        parts.append(f"{sum(_rates(told).values()):.1f} calls/s")
    return ", ".join(parts)


def _missing(told: Mapping[str, Any]) -> list[str]:
    """Workers of whom there is nothing in what is shown, or nothing of now."""
    return [f"without worker {text(each.get('worker'))}" for each in _list(told, "missing")]


def _out(held: Mapping[str, Any]) -> list[str]:
    """Which endpoints take no calls, and why; nothing where all do."""
    ill = [each for each in _list(held, "endpoints") if each.get("state") == "out"]
    if not ill:
        return []
    first, why = ill[0], ill[0].get("why")
    reasons = ", ".join(map(text, why)) if isinstance(why, list) else NOTHING
    more = f" and {len(ill) - 1} more" if len(ill) > 1 else ""
    return [f"{text(first.get('upstream'))} {text(first.get('endpoint'))}{more} out ({reasons})"]


def shown(seen: Seen, sort: str, filtered: str) -> str:
    """What part of it the table has."""
    told, rows = seen.held, len(seen.calls)
    matching = _count(told, "matching")
    found = f"{matching} of {_count(told, 'held')} match {clean(filtered)!r}" if filtered else f"{matching} held"
    part = f", the first {rows} shown" if str(rows) != matching else ""
    return f"{found}{part}, by {in_words(sort)}"


def in_words(sort: str) -> str:
    column = next((each for each in COLUMNS if each.key == sort.removeprefix("-")), COLUMNS[0])
    up, down = ("shortest first", "longest first") if column.cell is seconds else ("a to z", "z to a")
    return f"{column.title}, {down if sort.startswith('-') else up}"


def by_route(seen: Seen) -> list[list[str]]:
    """A line a route, the most held first."""
    told = seen.overview
    rates = _rates(told)
    known = _list(_table(told, "held"), "routes")
    return [_route(each, rates) for each in sorted(known, key=_weight, reverse=True)]


def by_worker(seen: Seen) -> list[list[str]]:
    """A line a worker; none where one process serves alone."""
    return [
        [text(each.get("worker")), text(each.get("state")), *(_count(each, key) for key in ("held", "connections")),
         _megabytes(each.get("memory")), seconds(each.get("since")), _count(each, "restarts"), _count(each, "pid")]
        for each in _list(seen.overview, "workers")
    ]  # fmt: skip


def _megabytes(value: object) -> str:
    return f"{value / 2**20:.0f}" if isinstance(value, int) else NOTHING


def _weight(route: Mapping[str, Any]) -> int:
    return sum(number for key in ("parked", "waiting") if isinstance(number := route.get(key), int))


def _route(route: Mapping[str, Any], rates: Mapping[tuple[str, str], float]) -> list[str]:
    name = route.get("route")
    own = {outcome: rate for (of, outcome), rate in rates.items() if of == name}
    quiet, news = _sum(own, ("empty", "blank")), _sum(own, ("news",))
    bad = _sum(own, (each for each in own if each.startswith(("upstream_", "truncated", "over", "internal"))))
    told = [f"{rate:.1f}" for rate in (sum(own.values()), news, quiet, bad)] if own else [NOTHING] * 4
    return [text(name), _count(route, "parked"), _count(route, "waiting"), *told]


def _sum(rates: Mapping[str, float], outcomes: Iterable[str]) -> float:
    return sum(rates.get(outcome, 0.0) for outcome in outcomes)


def _rates(told: Mapping[str, Any]) -> dict[tuple[str, str], float]:
    """Calls a second, by route and outcome."""
    rates = told.get("rates")
    return {
        (str(each.get("route")), str(each.get("outcome"))): float(each["per_second"])
        for each in (rates if isinstance(rates, list) else [])
        if isinstance(each, dict) and isinstance(each.get("per_second"), int | float)
    }


def _list(told: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    found = told.get(key)
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _table(told: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = told.get(key)
    return found if isinstance(found, dict) else {}


def _count(told: Mapping[str, Any], key: str) -> str:
    number = told.get(key)
    return str(number) if isinstance(number, int) else NOTHING
