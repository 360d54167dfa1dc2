"""How full limits are, as several workers tell it. What they hold adds up; what a store knows of all of them is the
same for each, and who has heard of it last knows the least that is left. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from gateway.admin.edges import Edge

Json = dict[str, Any]
OWN = ("connections", "held")  # kinds of limits that each process has for itself: so many for each


def one_list(lists: Sequence[list[Json]]) -> list[Json]:
    """`GET /api/limits` of workers, which all were asked for the same: row by row."""
    return [_row(list(rows)) for rows in zip(*lists, strict=False)]


def _row(rows: list[Json]) -> Json:
    told = dict(rows[0])
    for key, one in (("keys", max), ("held", sum), ("waiting", sum), ("left", min), ("reset", max)):
        if key in told:
            told[key] = one(row[key] for row in rows if key in row)
    return told


def one_each(edges: Iterable[Edge]) -> list[Edge]:
    """What several tell of the same limit and key, as one."""
    found: dict[tuple[str, str, str], list[Edge]] = {}
    for edge in edges:
        found.setdefault((edge.limit, edge.kind, edge.key), []).append(edge)
    return [_edge(some) for some in found.values()]


def _edge(edges: list[Edge]) -> Edge:
    first = edges[0]
    used = max(edge.used for edge in edges) if first.kind == "rate" else sum(edge.used for edge in edges)
    most = sum(edge.max for edge in edges) if first.kind in OWN else first.max
    share = round(used / most, 3) if most else 1.0
    return first._replace(used=used, max=most, share=share, waiting=sum(edge.waiting for edge in edges))
