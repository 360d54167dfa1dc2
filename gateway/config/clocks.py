"""The clocks that run while a call waits, as plain data: those outside that may cut it short, those of the upstream
side, those of the end of the process; and how the longest poll of a route ends when nothing happens. `check` has rules
over them and `explain` prints them: neither computes one of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.config import fronts
from gateway.holds.budget import FRONT_MARGIN
from gateway.holds.plan import UNWRITABLE

if TYPE_CHECKING:
    from gateway.config.merge import Merged
    from gateway.config.schema import Hold, Server
    from gateway.config.schema.hold import JitterSettings

SPARE = 0.1  # seconds: an answer in the same instant as the client's patience is over comes too late


@dataclass(frozen=True, slots=True)
class Clock:
    """One clock: `name` as people write it, where its number stands, and what happens when it runs out. A hold must be
    over at `ends`, a little sooner than `seconds`, to be safe from it. `fixed`: nobody can make it longer."""

    name: str
    seconds: float
    origin: str
    then: str
    ends: float = math.inf
    fixed: bool = False


@dataclass(frozen=True, slots=True)
class Quiet:
    """The longest poll of a route when nothing happens, in seconds from its start.

    `hold` is the most that is granted; a healthy upstream has said "no news" at `due`, and we end the poll at
    `deadline`. `untold` is the key because of which an upstream may hold on beyond that, as nobody tells it. `ours`: we
    may say "no news" ourselves, so that the deadline is no error.
    """

    hold: float
    due: float
    deadline: float
    untold: str | None
    ours: bool

    @property
    def said(self) -> float:
        """By when "no news" has been said. Where only the upstream may say it, it may take our margin to do so."""
        return self.due if self.ours and self.untold is None else self.deadline


def quiet(hold: Hold) -> Quiet:
    """What `budget.grant` comes to at most; a wish that may pass unclamped counts as `max`, see `passes`."""
    longest = hold.max if hold.ask else 0.0
    if hold.absent is not None:
        longest = max(longest, hold.max if hold.absent == math.inf else max(hold.absent, hold.min))
    due = longest + jitter(hold.jitter, longest)
    return Quiet(longest, due, due + hold.margin, _untold(hold), hold.empty.answer == "template")


def _untold(hold: Hold) -> str | None:
    if writable(hold):
        return None
    if hold.absent == math.inf:
        return "absent"
    return "over_max" if hold.ask and hold.over_max == "clamp" else None


def writable(hold: Hold) -> bool:
    """Whether the upstream can be told another wait than the client asked for."""
    return hold.rewrite and any(place.in_ not in UNWRITABLE for place in hold.ask)


def passes(hold: Hold) -> bool:
    """Whether clients may ask for more than `max` and get it."""
    return bool(hold.ask) and hold.over_max == "pass"


def jitter(table: JitterSettings, hold: float) -> float:
    return table.ratio * hold + table.span


def outside(server: Server, merged: Merged) -> tuple[Clock, ...]:
    """Those that cut a call short whatever we do."""
    found = []
    if merged.hold is not None and merged.hold.client_timeout is not None:
        limit, origin = merged.hold.client_timeout, origin_of(merged, "hold.client_timeout")
        then = "the client gives up; recorded as client_gone"
        found.append(Clock("client_timeout", limit, origin, then, limit - SPARE))
    if server.front is not None:
        name, limit = server.front.name, server.front.idle_timeout
        then = f"{fronts.runs_out(name)}; recorded as client_gone"
        ends, fixed = limit - FRONT_MARGIN, fronts.is_fixed(name)
        found.append(Clock(front_name(server), limit, "server.front", then, ends, fixed))
    return tuple(found)


def front_name(server: Server) -> str:
    """The edge as it is called in sentences: `front aws-alb`, or just `front` where it has no name."""
    name = server.front.name if server.front is not None else "front"
    return name if name == "front" else f"front {name}"


def upstream_side(merged: Merged) -> Iterator[Clock]:
    """Those that run before or after the wait for an answer."""
    connect = "nothing was sent yet: another endpoint is tried, then 504"
    yield Clock("connect_timeout", merged.connect_timeout, origin_of(merged, "connect_timeout"), connect)
    stops = "an answer that stops midway for so long is cut off"
    yield Clock("body_idle_timeout", merged.body_idle_timeout, origin_of(merged, "body_idle_timeout"), stops)
    yield from _of_streams(merged)
    own = "keepalive" in merged.upstream.model_fields_set
    idle = "an idle connection to the upstream is closed, before the upstream does so itself"
    yield Clock("keepalive", merged.upstream.keepalive, f"upstream {merged.route.upstream}" if own else "default", idle)


def _of_streams(merged: Merged) -> Iterator[Clock]:
    """Those of streams of events, where the route has any."""
    sse = merged.sse
    if sse is None:
        return
    if sse.heartbeat is not None:
        then = "in a stream of events that was silent for so long a comment is sent"
        yield Clock("sse.heartbeat", sse.heartbeat, origin_of(merged, "sse.heartbeat"), then)
    if sse.idle_timeout is not None:
        then = "a stream of events whose service is silent for so long is cut off, in place of body_idle_timeout"
        yield Clock("sse.idle_timeout", sse.idle_timeout, origin_of(merged, "sse.idle_timeout"), then)
    if sse.max_time is not None:
        then = "a stream of events ends, up to a tenth sooner"
        yield Clock("sse.max_time", sse.max_time, origin_of(merged, "sse.max_time"), then)


def process(server: Server) -> Iterator[Clock]:
    """Those of the end of the process, each counted from SIGTERM or from the one before it."""
    if server.shutdown_delay:
        red = "after SIGTERM: /readyz is red, everything is still served"
        yield Clock("shutdown_delay", server.shutdown_delay, "server.shutdown_delay", red)
    since = "shutdown_delay" if server.shutdown_delay else "SIGTERM"
    yield Clock("drain", server.drain, "server.drain", f"after {since}: what is still held is ended")
    yield Clock("stop_grace", server.stop_grace, "server.stop_grace", "after SIGTERM: the process is killed")


def first(clocks: Iterable[Clock]) -> Clock | None:
    """The one that a hold must be over before."""
    return min(clocks, key=lambda clock: clock.ends, default=None)


def largest_hold(hold: Hold, ends: float) -> float:
    """The longest hold whose deadline is no later than `ends`; below 0 when there is none."""
    return (ends - hold.margin - hold.jitter.span) / (1 + hold.jitter.ratio)


def origin_of(merged: Merged, key: str) -> str:
    return merged.origins.get(key, "default")
