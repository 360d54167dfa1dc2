"""`GET /api/held`: the calls that are held, chosen, sorted and a page at a time. Thousands are looked through a few in
a turn of the loop, so that no call waits for it; a page begins behind the last row of the one before, whoever came or
went meanwhile.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, NamedTuple, TypeAlias

import orjson
from pydantic import Field, PlainValidator, Strict

from gateway.admin.choice import Choice, matcher, read
from gateway.admin.live import READ, SLICE, Value, describe, is_held, slices, waited
from gateway.clock import NEVER
from gateway.config.problems import ConfigError, Problem

if TYPE_CHECKING:
    from gateway.call import Call

MOST = 1000  # rows of a page
WHERE = "query"

_TEXTS = ("id", "route", "consumer", "tenant", "peer", "method", "path", "state", "endpoint", "clamped_by")
_NUMBERS = ("since", "ends_in", "hold_asked", "hold_granted", "attempts", "waited")
SORTS = (*_NUMBERS[:2], *_TEXTS, *_NUMBERS[2:])

Key: TypeAlias = tuple[bool, Value, str]  # whether there is no value, the value, the call's id
Row: TypeAlias = "tuple[Key, Call]"
Json: TypeAlias = dict[str, object]


class Cursor(NamedTuple):
    """Behind which row a page begins: one that stood there under this sort."""

    sort: str
    value: Value
    id: str


def _sort(value: object) -> str:
    if isinstance(value, str) and value.removeprefix("-") in SORTS:
        return value
    raise ValueError(f'is nothing to sort by; write one of {", ".join(SORTS)}, or "-" and one for the other way round')


def _cursor(value: object) -> Cursor | None:
    if value is None:
        return None
    try:
        text = str(value).encode()
        sort, found, call_id = orjson.loads(base64.b64decode(text + b"=" * (-len(text) % 4), b"-_", validate=True))
        name = _sort(sort).removeprefix("-")
    except (ValueError, TypeError):
        name = ""
    if not name or not _fits(name, found) or not isinstance(call_id, str):
        raise ValueError('is none that was given here; write the "next" of the page before, or leave it out')
    return Cursor(sort, found, call_id)


def _fits(name: str, value: object) -> bool:
    """Whether a call can have this value of what is sorted by: of one that cannot, nothing is before or behind."""
    return value is None or (isinstance(value, str) if name in _TEXTS else type(value) in (int, float))


def written(cursor: Cursor) -> str:
    """A cursor as the text that is handed out."""
    return base64.urlsafe_b64encode(orjson.dumps(list(cursor))).rstrip(b"=").decode()


class Listing(Choice):
    """What page of what list."""

    sort: Annotated[str, PlainValidator(_sort)] = "-since"
    limit: Annotated[int, Strict(), Field(ge=1, le=MOST, examples=[100])] = 100
    cursor: Annotated[Cursor | None, PlainValidator(_cursor)] = None


def read_listing(given: Mapping[str, object]) -> Listing:
    """What was asked for. Raises ConfigError with every problem in it."""
    asked, problems = read(Listing, given, WHERE)
    if asked.cursor is not None and asked.cursor.sort != asked.sort:
        remedy = f"write sort={asked.cursor.sort}, or leave the cursor out"
        problems = [*problems, Problem(WHERE, "cursor", "belongs to another sort", remedy)]
    if problems:
        raise ConfigError(problems)
    return asked


class Page(NamedTuple):
    """How many are held and match in all, the rows of one page with where each stands in the list, and behind which
    place the next one begins, if others follow."""

    held: int
    matching: int
    rows: list[tuple[Key, Json]]
    last: Key | None


def told(page: Page, sort: str) -> Json:
    """A page as it is answered."""
    following = written(Cursor(sort, *page.last[1:])) if page.last is not None else None
    calls = [call for _, call in page.rows]
    return {"held": page.held, "matching": page.matching, "calls": calls, "next": following}


async def page(calls: Iterable[Call | None], asked: Listing, now: Callable[[], float]) -> Page:
    """One page. `calls` is read while others have their turns, so it must bear that; `now` are loop seconds. A call
    that ends meanwhile is left out of the page."""
    begun, held, matching = now(), 0, 0
    is_meant, key, down = matcher(asked, begun), _key(asked.sort, begun), asked.sort.startswith("-")
    after = _ordered(asked.cursor.value, asked.cursor.id, down) if asked.cursor is not None else None
    best: list[Row] = []
    for some in slices(calls):
        held += len(some)
        meant = [(key(call), call) for call in some if is_meant(call)]
        matching += len(meant)
        last = best[-1][0] if len(best) > asked.limit else None
        more = [row for row in meant if _between(after, row[0], last, down)]
        best = sorted([*best, *more], key=_first, reverse=down)[: asked.limit + 1]
        await asyncio.sleep(0)
    rows = best[: asked.limit]
    return Page(held, matching, await _described(rows, now), rows[-1][0] if len(best) > len(rows) else None)


async def _described(rows: Sequence[Row], now: Callable[[], float]) -> list[tuple[Key, Json]]:
    told: list[tuple[Key, Json]] = []
    for first in range(0, len(rows), SLICE):
        told += [(key, describe(call, now())) for key, call in rows[first : first + SLICE] if is_held(call)]
        await asyncio.sleep(0)
    return told


def _first(row: Row) -> Key:
    return row[0]


def _between(first: Key | None, key: Key, last: Key | None, down: bool) -> bool:
    """Whether a row comes after the one and before the other, where there is one."""
    if down:
        first, last = last, first
    return (first is None or key > first) and (last is None or key < last)


def _ordered(value: Value, call_id: str, down: bool) -> Key:
    """Who has no value comes last, whatever the direction; ids make every place unique."""
    nothing = value is None or value == NEVER
    return nothing != down, None if nothing else value, call_id


def _key(sort: str, now: float) -> Callable[[Call], Key]:
    """Where a call stands in the list. Of times that run the instant counts, which stays the same."""
    down, name = sort.startswith("-"), sort.removeprefix("-")
    running: dict[str, Callable[[Call], Value]] = {
        "since": lambda call: -call.started,
        "ends_in": lambda call: call.deadline,
        "waited": lambda call: waited(call, now),
    }
    value: Callable[[Call], Value] = running.get(name) or READ[name]
    return lambda call: _ordered(value(call), call.id, down)
