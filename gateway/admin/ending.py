"""`POST /api/held/end`: the operator ends polls that wait, by what they are. Which ones is decided on the calls as they
stand; each is told "no news" by the event that evicts, a few in a turn of the loop, so that no other call waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from math import ceil
from typing import TYPE_CHECKING, Annotated, NamedTuple

from pydantic import AfterValidator, Field, PlainValidator, ValidationError

from gateway.call import State
from gateway.config.fields import Count, Duration, Flag, default
from gateway.config.problems import ConfigError, Problem
from gateway.config.schema.base import Table
from gateway.config.translate import translate

if TYPE_CHECKING:
    from gateway.call import Call

NOTE = "by operator"
SLICE = 200  # calls ended in one turn of the loop: about 10 ms
STEP = 0.05  # seconds between slices that are spread: finer is of no use to anybody
LONGEST = 600.0  # seconds over which an end may be spread; the operator's connection stays open for so long

_HELD = (State.WAITING, State.PARKED)
_NOT_A_CHOICE = {"limit", "within", "dry_run"}


def _bearable(within: float) -> float:
    if within > LONGEST:
        raise ValueError(f'is longer than {LONGEST:g} seconds; write a shorter time, such as "10s"')
    return within


def _word(value: object) -> object:
    if value is None or (isinstance(value, str) and value):
        return value
    raise ValueError("is no text; write text in quotes")


Word = Annotated[str | None, PlainValidator(_word)]


class Selection(Table):
    """Which calls: those for which all that is given is true. `all` stands for a choice of none."""

    route: Word = None
    consumer: Word = None
    tenant: Word = None
    endpoint: Word = None
    peer: Word = None
    id: Word = None
    older_than: Duration | None = None
    all: Flag = False
    limit: Count | None = Field(default=None, examples=[100])
    within: Annotated[Duration, AfterValidator(_bearable)] = default("0s")
    dry_run: Flag = False


class Ended(NamedTuple):
    """How many calls were ended, and how many more were meant whose dialect does not let us say "no news"."""

    ended: int
    not_endable: int


def read_selection(given: Mapping[str, object]) -> Selection:
    """What an operator wrote. Raises ConfigError with every problem in it."""
    missing = [
        Problem("filter", key, "is empty", "write a value, or leave it out") for key in given if given[key] is None
    ]
    try:
        chosen = Selection.model_validate(given)
    except ValidationError as error:
        raise ConfigError([*missing, *translate(error, Selection, "filter")]) from None
    picky = chosen.model_fields_set - _NOT_A_CHOICE - {"all"}
    if not missing and not picky and not chosen.all:
        missing = [Problem("filter", "", "chooses nothing", 'write what to end, such as "route", or "all": true')]
    elif picky and chosen.all:
        missing = [Problem("filter", "all", "is more than the rest of the filter", "remove one of them")]
    if missing:
        raise ConfigError(missing)
    return chosen


async def end(
    calls: Iterable[Call | None], chosen: Selection, now: float, wanted: Callable[[], bool] = lambda: True
) -> Ended:
    """Ends what is chosen, the longest held first; only counts it in a dry run. Stops when nobody wants it any more.

    `now` is loop seconds. A call that ends by itself while others are ended is left to it, and is not counted.
    """
    found, others = choose(calls, chosen, now)
    if chosen.dry_run:
        return Ended(len(found), others)
    size, pause = pace(len(found), chosen.within)
    ended = 0
    for first in range(0, len(found), size):
        if first:
            await asyncio.sleep(pause)
        if not wanted():
            break
        ended += sum([_end(call) for call in found[first : first + size]])
    return Ended(ended, others)


def choose(calls: Iterable[Call | None], chosen: Selection, now: float) -> tuple[list[Call], int]:
    """The calls to end, longest held first, and the number of those that are meant and cannot be."""
    meant = [call for call in calls if call is not None and call.state in _HELD and _is_meant(call, chosen, now)]
    found = sorted((call for call in meant if call.evictable), key=lambda call: call.started)
    return found[: chosen.limit], len(meant) - len(found)


def pace(count: int, within: float) -> tuple[int, float]:
    """How many calls to end in one go, and the seconds between two goes, so that `count` take about `within`."""
    if not within or not count:
        return SLICE, 0.0
    size = min(SLICE, ceil(count * STEP / within))
    return size, within * size / count


def _is_meant(call: Call, chosen: Selection, now: float) -> bool:
    identity, plan, endpoint = call.identity, call.plan, call.endpoint
    return (
        chosen.route in (None, plan and plan.route)
        and chosen.consumer in (None, identity and identity.consumer)
        and chosen.tenant in (None, identity and identity.tenant)
        and chosen.endpoint in (None, endpoint and endpoint.name)
        and chosen.peer in (None, call.peer)
        and chosen.id in (None, call.id)
        and (chosen.older_than is None or now - call.started > chosen.older_than)
    )


def _end(call: Call) -> bool:
    """Nobody takes this call's place: unlike one that was evicted by another poll, its poller may come back at once."""
    if not call.evictable:
        return False
    call.note = NOTE
    call.serve.on_evict(call)
    return True
