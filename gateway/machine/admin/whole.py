"""What was gathered for the overview in several workers, as if one process had: what is held and counted adds up, of
delays the longest counts. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from heapq import nlargest
from typing import Any, TypeVar

from gateway.admin.census import MOST_CONSUMERS, Json
from gateway.machine.admin.parts import of_endpoints

K = TypeVar("K")
NOTHING: Json = {
    "now": 0.0, "draining": False, "held": {}, "more_held": (0, 0), "plans": 0, "tallies": {}, "endpoints": [],
    "connections": {"open": 0, "limit": 0, "shed": {}}, "rates": [], "consumers": {}, "state": None,
    "reload": {"ok": 0, "failed": 0, "failure": None, "at": 0.0}, "lag": {"recent": 0.0, "most": 0.0, "gc": 0.0},
    "dropped": {"log_lines": 0, "spans": 0},
}  # fmt: skip


def whole(parts: Sequence[Json]) -> Json:
    """There is at least one. Whether it is ready is not decided here."""
    return {
        "now": max(part["now"] for part in parts),
        "draining": any(part["draining"] for part in parts),
        "held": _ordered(by_key([part["held"] for part in parts], _add)),
        "more_held": _add([part["more_held"] for part in parts]),
        "plans": max(part["plans"] for part in parts),
        "tallies": by_key([part["tallies"] for part in parts], _tally),
        "endpoints": of_endpoints([part["endpoints"] for part in parts]),
        "connections": _connections([part["connections"] for part in parts]),
        "rates": _rates([part["rates"] for part in parts]),
        "consumers": _busiest(by_key([part["consumers"] for part in parts], _add)),
        "state": _state([part["state"] for part in parts if part["state"] is not None]),
        "reload": _reload([part["reload"] for part in parts]),
        "lag": by_key([part["lag"] for part in parts], max),
        "dropped": by_key([part["dropped"] for part in parts], sum),
    }


def remains(part: Json) -> Json:
    """Of a process that has ended: what it counted, and nothing of what it held."""
    return {
        **part,
        "held": {},
        "more_held": (0, 0),
        "endpoints": [{**each, "gone": True} for each in part["endpoints"]],
        "connections": {"open": 0, "limit": 0, "shed": part["connections"]["shed"]},
        "rates": [],
        "consumers": {name: (0, calls, seconds) for name, (_, calls, seconds) in part["consumers"].items()},
        "state": part["state"] and {**part["state"], "answers": True, "why": ""},
        "lag": dict.fromkeys(part["lag"], 0.0),
        "draining": False,
    }


def after(past: Json, now: Json) -> Json:
    """Of one worker, of processes that came one after the other: what was counted goes on."""
    found = whole([past, now])
    reloads = {key: past["reload"][key] + now["reload"][key] for key in ("ok", "failed")}
    return {**found, "now": now["now"], "reload": {**found["reload"], **reloads, "failure": now["reload"]["failure"]}}


def by_key(tables: Iterable[Mapping[K, Any]], one: Callable[[list[Any]], Any]) -> dict[K, Any]:
    """One table, in the order of the first that has a key; `one` makes one value of several."""
    found: dict[K, list[Any]] = {}
    for table in tables:
        for key, value in table.items():
            found.setdefault(key, []).append(value)
    return {key: one(values) for key, values in found.items()}


def _add(rows: Sequence[Sequence[float]]) -> tuple[float, ...]:
    return tuple(map(sum, zip(*rows, strict=True)))


def _busiest(consumers: dict[str, Any]) -> dict[str, Any]:
    """However many processes there have been: who holds most, and who called most."""
    if len(consumers) <= MOST_CONSUMERS:
        return consumers
    kept = {*nlargest(MOST_CONSUMERS, consumers, key=lambda name: consumers[name][0])}
    kept.update(nlargest(MOST_CONSUMERS, consumers, key=lambda name: consumers[name][1]))
    return {name: row for name, row in consumers.items() if name in kept}


def _ordered(held: dict[str, Any]) -> dict[str, Any]:
    """Calls without a route come last, whoever has them."""
    return {name: held[name] for name in sorted(held, key=lambda name: not name)}


def _tally(parts: list[Json]) -> Json:
    counts = {key: by_key([part[key] for part in parts], sum) for key in ("polls", "calls")}
    sums = {key: sum(part[key] for part in parts) for key in ("clamped", "evictions")}
    return {**counts, **sums, **{key: distribution([part[key] for part in parts]) for key in ("hold", "news")}}


def distribution(parts: Sequence[Json]) -> Json:
    return {"buckets": list(_add([part["buckets"] for part in parts])), "sum": sum(part["sum"] for part in parts)}


def _connections(parts: list[Json]) -> Json:
    sums = {key: sum(part[key] for part in parts) for key in ("open", "limit")}
    return {**sums, "shed": by_key([part["shed"] for part in parts], sum)}


def _rates(parts: list[list[list[Any]]]) -> list[list[Any]]:
    found = by_key([{tuple(key): rate for *key, rate in rates} for rates in parts], sum)
    return [[*key, round(rate, 3)] for key, rate in found.items()]


def _state(parts: list[Json]) -> Json | None:
    """Of the store that they share, as the worker sees it for whom it stands worst."""
    if not parts:
        return None
    sums = {key: sum(part[key] for part in parts) for key in ("slow", "reasserted")}
    tables = {key: by_key([part[key] for part in parts], sum) for key in ("decisions", "errors")}
    worst = min(reversed(parts), key=lambda part: part["answers"])
    return {**worst, "parts": max(part["parts"] for part in parts), **sums, **tables}


def _reload(parts: list[Json]) -> Json:
    """A reload is one of all workers."""
    most = {key: max(part[key] for part in parts) for key in ("ok", "failed", "at")}
    return {**most, "failure": next((part["failure"] for part in parts if part["failure"] is not None), None)}
