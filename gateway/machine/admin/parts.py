"""Upstreams and their endpoints as several workers have them, as one list: what is carried adds up. Each worker decides
for itself who is out; where they differ, an endpoint is out, and is said where. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

Json = dict[str, Any]
_CIRCUIT = ("closed", "half-open", "open")  # the worst last


def of_upstreams(lists: Sequence[tuple[int, list[Json]]]) -> list[Json]:
    """`GET /api/upstreams` of workers, each with its number."""
    named = [(number, each) for number, some in lists for each in some]
    return [_upstream(parts) for parts in grouped(named, lambda each: each["name"])]


def grouped(rows: Sequence[tuple[int, Json]], key: Callable[[Json], object]) -> list[list[tuple[int, Json]]]:
    """Rows that are of the same thing, in the order in which these came first."""
    found: dict[object, list[tuple[int, Json]]] = {}
    for number, row in rows:
        found.setdefault(key(row), []).append((number, row))
    return list(found.values())


def _upstream(parts: list[tuple[int, Json]]) -> Json:
    endpoints = _rows(parts, "endpoints", lambda each: each["name"])
    listed = [_endpoint(some) for some in endpoints]
    return {
        **parts[0][1],
        **_sums(parts, ("held", "max_held")),
        "taking": sum(each["state"] == "in" for each in listed),
        "circuit": _circuit([each["circuit"] for _, each in parts]),
        "retries": {key: sum(each["retries"][key] for _, each in parts) for key in ("sent", "denied")},
        "endpoints": listed,
        "members": [_member(some) for some in _rows(parts, "members", lambda each: each["name"])],
        "leaving": [_leaving(some) for some in _rows(parts, "leaving", lambda each: (each["name"], each["address"]))],
    }


def _rows(parts: list[tuple[int, Json]], key: str, name: Callable[[Json], object]) -> list[list[tuple[int, Json]]]:
    return grouped([(number, row) for number, each in parts for row in each[key]], name)


def _sums(parts: list[tuple[int, Json]], keys: Sequence[str]) -> Json:
    return {key: sum(each[key] for _, each in parts) for key in keys}


def _circuit(parts: list[Json]) -> Json:
    worst = max(parts, key=lambda each: (_CIRCUIT.index(each["state"]), each["since"] or 0.0))
    return {**worst, "opened": sum(each["opened"] for each in parts), "refused": sum(each["refused"] for each in parts)}


def _endpoint(parts: list[tuple[int, Json]]) -> Json:
    calls: Json = {}
    for _, each in parts:
        for outcome, number in each["calls"].items():
            calls[outcome] = calls.get(outcome, 0) + number
    places = list(dict.fromkeys(place for _, each in parts for place in each["places"]))
    sums = _sums(parts, ("held", "idle", "connections"))
    return {**parts[0][1], "places": places, **sums, **_standing(parts), "calls": calls}


def _standing(parts: list[tuple[int, Json]]) -> Json:
    """Whether it is out anywhere. Of its probes the last one counts."""
    out = [(number, each) for number, each in parts if each["state"] == "out"]
    since = [each["since"] for _, each in out or parts if each["since"] is not None]
    probes = [each["probe"] for _, each in parts if each["probe"] is not None]
    told = {
        "overruns": max(each["overruns"] for _, each in parts),
        "state": "out" if out else "in",
        "why": sorted({why for _, each in out for why in each["why"]}),
        "since": (max if out else min)(since, default=None),
        "back_in": max((each["back_in"] for _, each in out if each["back_in"] is not None), default=None),
        "strikes": max(each["strikes"] for _, each in parts),
        "ejections": sum(each["ejections"] for _, each in parts),
        "probe": min(probes, key=lambda probe: probe["ago"], default=None),
    }
    return {**told, "out_at": [number for number, _ in out]} if 0 < len(out) < len(parts) else told


def of_endpoints(lists: Sequence[list[Json]]) -> list[Json]:
    """Endpoints as the overview lists them. What a process that has ended counted for one is `gone`: it counts for as
    long as another one has the endpoint."""
    rows = [(number, each) for number, some in enumerate(lists) for each in some]
    return [_counted(parts) for parts in grouped(rows, lambda each: (each["upstream"], each["endpoint"]))]


def _counted(parts: list[tuple[int, Json]]) -> Json:
    living = [part for part in parts if not part[1].get("gone")]
    told = {**(living or parts)[0][1], **_sums(parts, ("calls", "failed")), **_sums(living, ("held", "max_held"))}
    return told | _standing(living) if living else told


def _member(parts: list[tuple[int, Json]]) -> Json:
    """Of its name the look-up that is the oldest: nobody knows better than whoever knows least."""
    drained = sorted({name for _, each in parts for name in each["drained"]})
    looked = [each["dns"] for _, each in parts if "dns" in each]
    told = {**parts[0][1], "drained": drained}
    return {**told, "dns": min(looked, key=lambda dns: dns["looked_up"] or 0.0)} if looked else told


def _leaving(parts: list[tuple[int, Json]]) -> Json:
    return {**parts[0][1], **_sums(parts, ("held", "connections"))}
