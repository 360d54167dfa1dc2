"""Every clock between client and upstream for one forwarded call, and the race between those that run while the
upstream is silent. What the client then sees was played before and is handed in.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gateway.explain.hold import largest_hold
from gateway.explain.model import ClockStory, Event, Race
from gateway.explain.words import seconds

if TYPE_CHECKING:
    from gateway.call import Call
    from gateway.config.merge import Merged
    from gateway.config.settings import Config

OURS = "our deadline"
DUE = "upstream due"
_SPARE = 0.1  # seconds: a hold that ends in the same instant as the client's patience is not safe


def clock_stories(config: Config, merged: Merged, call: Call, silence: Event) -> tuple[ClockStory, ...]:
    """The clocks of a parked call. `silence` is what happens when its own clock runs out."""
    found = _of_poll(merged, call, silence) if call.hold is not None else _of_ordinary(merged, silence)
    return (*found, *_around(config, merged), *_of_process(config))


def _of_poll(merged: Merged, call: Call, silence: Event) -> Iterator[ClockStory]:
    due = call.upstream_due - call.started
    never = due == float("inf")
    what = "it was told no end" if never else "a healthy upstream has answered by then"
    yield ClockStory(DUE, None if never else due, "granted + jitter", what)
    yield ClockStory(OURS, call.deadline - call.started, _set_by(call), silence.then, races=True)
    yield ClockStory("response_timeout", merged.response_timeout, _origin(merged, "response_timeout"),
                     "not for polls")  # fmt: skip


def _set_by(call: Call) -> str:
    return "granted + jitter + margin" if call.clamped_by in (None, "min", "max") else f"{call.clamped_by} ends"


def _of_ordinary(merged: Merged, silence: Event) -> Iterator[ClockStory]:
    yield ClockStory("response_timeout", merged.response_timeout, _origin(merged, "response_timeout"), silence.then,
                     races=True)  # fmt: skip


def _around(config: Config, merged: Merged) -> Iterator[ClockStory]:
    hold, front = merged.hold, config.server.front
    if hold is not None and hold.client_timeout is not None:
        yield ClockStory("client_timeout", hold.client_timeout, _origin(merged, "hold.client_timeout"),
                         "the client gives up; recorded as client_gone", races=True)  # fmt: skip
    if front is not None:
        yield ClockStory(f"front {front.name}", front.idle_timeout, "server.front",
                         "it answers instead, often 504; recorded as client_gone", races=True)  # fmt: skip
    yield ClockStory("connect_timeout", merged.connect_timeout, _origin(merged, "connect_timeout"),
                     "nothing was sent yet: another endpoint is tried, then 504")  # fmt: skip
    yield ClockStory("body_idle_timeout", merged.body_idle_timeout, _origin(merged, "body_idle_timeout"),
                     "an answer that stops midway for so long is cut off")  # fmt: skip


def _of_process(config: Config) -> Iterator[ClockStory]:
    server = config.server
    yield ClockStory("drain", server.drain, "server.drain", "after SIGTERM: what is still held is ended")
    yield ClockStory("stop_grace", server.stop_grace, "server.stop_grace", "after SIGTERM: the process is killed")


def _origin(merged: Merged, key: str) -> str:
    return merged.origins.get(key, "default")


def race(call: Call, clocks: tuple[ClockStory, ...], client: str) -> Race:
    """Who ends the call when the upstream stays silent; `client` is what our own answer says. Who ends it at the same
    instant as we do counts as faster: our answer would come too late."""
    ours, *others = (clock for clock in clocks if clock.races and clock.seconds is not None)
    ends = {clock.name: (clock.seconds or 0.0) - _SPARE for clock in others}
    first = min((ours, *others), key=lambda clock: ends.get(clock.name, clock.seconds or 0.0))
    found = largest_hold(call.hold, ends) if call.hold is not None else None
    largest, because = found if found is not None else (None, None)
    if first is ours:
        return Race(ours.name, ours.seconds or 0.0, client, largest, because)
    return Race(first.name, first.seconds or 0.0, first.then, largest, because, _warning(first, ours, largest))


def _warning(first: ClockStory, ours: ClockStory, largest: float | None) -> str:
    remedy = f"grant at most {seconds(largest)}" if largest else f"shorten {ours.name}"
    when = f"is over no later than {ours.name}, {seconds(ours.seconds or 0.0)}"
    return f"{first.name} {when}; {remedy}, or lengthen {first.name}"
