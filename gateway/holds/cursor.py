"""The position a poll asks from, for records and replay. Belongs here: reading it from the request head."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gateway.head import RequestHead
from gateway.holds.places import Place, compile_place

LONGEST = 256  # characters kept: a cursor lives as long as its call is parked


def compile_cursor(request: str | Sequence[str] | None) -> Callable[[RequestHead], str | None]:
    """The reader of `cursor.request`: one place or several, of which the first found counts.

    A cursor is cut at 256 characters. Raises ValueError for a place that cannot be read.
    """
    if not request:
        return _nothing
    names = (request,) if isinstance(request, str) else tuple(request)
    places: tuple[Place, ...] = tuple(compile_place(name) for name in names)

    def read(head: RequestHead) -> str | None:
        for place in places:
            value = place(head)
            if value is not None:
                return value[:LONGEST]
        return None

    return read


def _nothing(head: RequestHead) -> str | None:
    return None
