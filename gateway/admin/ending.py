"""`POST /api/held/end`: the operator ends polls that wait, by what they are. Which ones is decided on the calls as they
stand; each is told "no news" by the event that evicts, a few in a turn of the loop, so that no other call waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from math import ceil, inf
from typing import TYPE_CHECKING, Annotated, NamedTuple

from pydantic import AfterValidator, Field

from gateway.admin.choice import PICKY, Choice, matcher, read
from gateway.admin.live import slices
from gateway.config.fields import Count, Duration, Flag, default
from gateway.config.problems import ConfigError, Problem

if TYPE_CHECKING:
    from gateway.call import Call

NOTE = "by operator"
SLICE = 200  # calls ended in one turn of the loop: about 10 ms
STEP = 0.05  # seconds between slices that are spread: finer is of no use to anybody
LONGEST = 600.0  # seconds over which an end may be spread; the operator's connection stays open for so long
WHERE = "filter"


def _bearable(within: float) -> float:
    if within > LONGEST:
        raise ValueError(f'is longer than {LONGEST:g} seconds; write a shorter time, such as "10s"')
    return within


class Selection(Choice):
    """Which calls to end, and how. `all` stands for a choice of none."""

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
    chosen, problems = read(Selection, given, WHERE)
    picky = chosen.model_fields_set & PICKY
    if not problems and not picky and not chosen.all:
        problems = [Problem(WHERE, "", "chooses nothing", 'write what to end, such as "route", or "all": true')]
    elif picky and chosen.all:
        problems = [Problem(WHERE, "all", "is more than the rest of the filter", "remove one of them")]
    if problems:
        raise ConfigError(problems)
    return chosen


async def end(
    calls: Iterable[Call | None], chosen: Selection, now: float, wanted: Callable[[], bool] = lambda: True,
    begun_by: float = inf,
) -> Ended:  # fmt: skip
    """Ends what is chosen, the longest held first; only counts it in a dry run. Stops when nobody wants it any more.
    Calls that began later than `begun_by` are left alone.

    Times are loop seconds; `calls` is read while others have their turns, so it must bear that. A call that ends by
    itself while others are ended is left to it, and is not counted.
    """
    found, others = await choose(calls, chosen, now)
    found = [call for call in found if call.started <= begun_by]
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


async def choose(calls: Iterable[Call | None], chosen: Selection, now: float) -> tuple[list[Call], int]:
    """The calls to end, longest held first, and the number of those that are meant and cannot be."""
    is_meant = matcher(chosen, now)
    meant: list[Call] = []
    for some in slices(calls):
        meant += filter(is_meant, some)
        await asyncio.sleep(0)
    found = sorted((call for call in meant if call.evictable), key=lambda call: call.started)
    return found[: chosen.limit], len(meant) - len(found)


def pace(count: int, within: float) -> tuple[int, float]:
    """How many calls to end in one go, and the seconds between two goes, so that `count` take about `within`."""
    if not within or not count:
        return SLICE, 0.0
    size = min(SLICE, ceil(count * STEP / within))
    return size, within * size / count


def _end(call: Call) -> bool:
    """Nobody takes this call's place: unlike one that was evicted by another poll, its poller may come back at once."""
    if not call.evictable:
        return False
    call.note = NOTE
    call.serve.on_evict(call)
    return True
