"""Every clock between client and upstream for one forwarded call, and the race between those that run while the
upstream is silent. The clocks themselves are those of `config.clocks`; what the client then sees was played before and
is handed in.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gateway.config import clocks
from gateway.explain.model import ClockStory, Event, Race
from gateway.explain.words import seconds

if TYPE_CHECKING:
    from gateway.call import Call
    from gateway.config.clocks import Clock
    from gateway.config.merge import Merged
    from gateway.config.settings import Config

OURS = "our deadline"
DUE = "upstream due"


def clock_stories(config: Config, merged: Merged, call: Call, silence: Event) -> tuple[ClockStory, ...]:
    """The clocks of a parked call. `silence` is what happens when its own clock runs out."""
    found = _of_poll(merged, call, silence) if call.hold is not None else _of_ordinary(merged, silence)
    outside = (_story(clock, races=True) for clock in _outside(config, merged, call))
    rest = (*clocks.upstream_side(merged), *clocks.process(config.server))
    return (*found, *outside, *map(_story, rest))


def _outside(config: Config, merged: Merged, call: Call) -> tuple[Clock, ...]:
    """Those that cut this call short. Of a poll without an end the client waits for as long as bytes come."""
    found = clocks.outside(config.server, merged)
    hold = call.plan.hold if call.plan is not None else None
    if hold is None or call.hold is None or call.hold is not hold.endless:
        return found
    return tuple(clock for clock in found if clock.name != "client_timeout")


def _story(clock: Clock, races: bool = False) -> ClockStory:
    return ClockStory(clock.name, clock.seconds, clock.origin, clock.then, races)


def _of_poll(merged: Merged, call: Call, silence: Event) -> Iterator[ClockStory]:
    due = call.upstream_due - call.started
    never = due == float("inf")
    what = "it was told no end" if never else "a healthy upstream has answered by then"
    yield ClockStory(DUE, None if never else due, "granted + jitter", what)
    yield ClockStory(OURS, call.deadline - call.started, _set_by(call), silence.then, races=True)
    yield ClockStory(
        "response_timeout", merged.response_timeout, clocks.origin_of(merged, "response_timeout"), "not for polls"
    )


def _set_by(call: Call) -> str:
    return "granted + jitter + margin" if call.clamped_by in (None, "min", "max") else f"{call.clamped_by} ends"


def _of_ordinary(merged: Merged, silence: Event) -> Iterator[ClockStory]:
    origin = clocks.origin_of(merged, "response_timeout")
    yield ClockStory("response_timeout", merged.response_timeout, origin, silence.then, races=True)


def race(config: Config, merged: Merged, call: Call, stories: tuple[ClockStory, ...], client: str) -> Race:
    """Who ends the call when the upstream stays silent; `client` is what our own answer says. Who ends it at the same
    instant as we do counts as faster: our answer would come too late."""
    ours = next(story for story in stories if story.races)
    at = ours.seconds or 0.0
    first = clocks.first(_outside(config, merged, call))
    largest = _largest(merged, call, first)
    because = first.name if largest is not None and first is not None else None
    if first is None or at <= first.ends:
        return Race(ours.name, at, client, largest, because)
    return Race(first.name, first.seconds, first.then, largest, because, _warning(first, ours, at, largest))


def _largest(merged: Merged, call: Call, first: Clock | None) -> float | None:
    if first is None or merged.hold is None or call.hold is None:
        return None
    return max(clocks.largest_hold(merged.hold, first.ends), 0.0)


def _warning(first: Clock, ours: ClockStory, at: float, largest: float | None) -> str:
    remedy = f"grant at most {seconds(largest)}" if largest else f"shorten {ours.name}"
    other = "" if first.fixed else f", or lengthen {first.name}"
    return f"{first.name} is over no later than {ours.name}, {seconds(at)}; {remedy}{other}"
