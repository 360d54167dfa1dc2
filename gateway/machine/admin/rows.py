"""Pages of what several workers hold as one list, and whom of all to end. Pure: who is held longer is known, for the
processes of a machine share a clock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from gateway.admin.listing import Key, Page


def one_page(pages: Sequence[Page], limit: int, down: bool) -> Page:
    """The first rows of all, as far as it is known who stands before whom: behind the last row of a worker that has
    more there may be others."""
    rows = sorted([row for page in pages for row in page.rows], key=lambda row: row[0], reverse=down)
    ends = [page.last for page in pages if page.last is not None]
    stop: Key | None = (max(ends) if down else min(ends)) if ends else None
    if stop is not None:
        rows = [row for row in rows if (row[0] >= stop if down else row[0] <= stop)]
    last = rows[limit - 1][0] if len(rows) > limit else stop
    return Page(sum(page.held for page in pages), sum(page.matching for page in pages), rows[:limit], last)


def read_page(told: Mapping[str, Any]) -> Page:
    """A page that a worker told."""
    rows = [((bool(key[0]), key[1], key[2]), call) for key, call in told["rows"]]
    last = told["last"]
    return Page(told["held"], told["matching"], rows, (bool(last[0]), last[1], last[2]) if last is not None else None)


class Cut(NamedTuple):
    """How many calls each worker is to end, by number, and the instant behind which none of them began."""

    shares: dict[int, int]
    begun_by: float


def cut(begun: Mapping[int, Sequence[float]], limit: int | None) -> Cut:
    """The `limit` longest held of all. `begun`: when those of each worker began."""
    every = sorted((at, number) for number, some in begun.items() for at in some)[:limit]
    shares = Counter(number for _, number in every)
    return Cut({number: shares[number] for number in begun}, every[-1][0] if every else 0.0)
