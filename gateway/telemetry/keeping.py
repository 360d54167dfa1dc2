"""What is kept of calls that are over: one place that hands settled calls, some together and a moment later, to all
that counts, traces or records. Nothing here may end a call differently, or keep it waiting.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, Protocol

from gateway.machine.part import ALONE, Part
from gateway.telemetry import events
from gateway.telemetry.lag import Lag
from gateway.telemetry.log import CLOSE_WITHIN, CallLog
from gateway.telemetry.places import log_file, open_places
from gateway.telemetry.record import build, start
from gateway.telemetry.series import Series
from gateway.telemetry.tallies import Tallies
from gateway.telemetry.trace import arrivals, span_id, trace_id

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource

    from gateway.call import Call
    from gateway.clock import Clock, Timers
    from gateway.config.settings import Config
    from gateway.plan import Snapshot
    from gateway.telemetry.instruments import Gauges
    from gateway.telemetry.otlp_metrics import Pusher
    from gateway.telemetry.otlp_traces import Traces
    from gateway.upstream.standing import Event


# Calls: what is done for each of them in a row costs a third of what it does alone, in cold caches.
TOGETHER: Final = 64
WITHIN: Final = 0.05  # seconds in which it is done at the latest, but
CROWD_WITHIN: Final = 0.25  # while a crowd is being answered: news that waits for records comes half as late again
MOST: Final = 8192  # calls kept meanwhile
AT_ONCE: Final = 256  # of those behind a crowd in one turn of the loop: 4 ms


class Crowd(Protocol):
    """Where calls and answers come from."""

    @property
    def crowded(self) -> bool:
        """Whether more of them wait for their turn."""


class Telemetry:
    """Begins with the process and outlives every reload; `close()` writes out what is left."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, clock: Clock, timers: Timers, config: Config, snapshot: Snapshot,
        part: Part = ALONE, crowds: Sequence[Crowd | None] = (),
    ) -> None:  # fmt: skip
        self._worker = part.number if part.workers > 1 else None  # stands in every line, if there are others
        self._loop = loop
        self._clock = clock
        self._timers = timers
        self.file = log_file(config.log)  # opened at the start: a reload names no other
        self._table = table = config.telemetry
        self._resource: Resource | None = None
        self._pusher: Pusher | None = None
        self._crowds = tuple(crowds)
        self._ended: deque[Call] = deque()
        self._since = 0.0  # loop seconds: when the first of them ended
        self._snapshot = snapshot  # under which they ended
        self._handle: asyncio.Handle | None = None
        self._tallies = Tallies(Lag(loop), label_consumers=table.consumer_label)
        self.traces: Traces | None = None
        self.arrives = arrivals(table.otlp is not None, table.trust_incoming)
        if table.otlp is not None:  # or nothing of it is even imported
            from gateway.telemetry.otlp import resource

            self._resource = resource(table, self._worker)
        self.log = CallLog(loop, open_places(config, self._resource, part=part), self._worker)
        if self._resource is not None:
            from gateway.telemetry.otlp_traces import Traces

            self.traces = Traces(loop, table, self._resource)

    @property
    def tallies(self) -> Tallies:
        """What all calls that are over add up to."""
        self.catch_up()
        return self._tallies

    def start(self, gauges: Callable[[], Gauges]) -> None:
        """What is measured, or sent now and then, begins once there is something to see."""
        self.tallies.lag.start()
        if self._resource is not None:
            from gateway.telemetry.otlp_metrics import Pusher

            series = Series()
            self._pusher = Pusher(self._loop, self._table, self._resource, lambda: series.read(gauges()))

    def renew(self, snapshot: Snapshot) -> None:
        """Calls that end from now on are recorded as this says."""
        self.catch_up()
        self._snapshot = snapshot

    def settled(self, call: Call) -> None:
        """A call ended: it is kept with others for a moment, and then all are counted and recorded. The path of every
        call."""
        ended = self._ended
        ended.append(call)
        if len(ended) % TOGETHER == 0 and (len(ended) >= MOST or not self._crowded()):
            self._keep_some(TOGETHER)
        elif self._handle is None:
            self._since = self._timers.now()
            self._handle = self._loop.call_later(WITHIN, self._due)

    def _crowded(self) -> bool:
        """Whether more calls and answers wait for their turn."""
        return any(crowd is not None and crowd.crowded for crowd in self._crowds)

    def catch_up(self) -> None:
        """Counts and records every call that has ended."""
        self._keep_some(len(self._ended))

    def _due(self) -> None:
        """Some are kept for long enough, unless news comes first; and behind a crowd the loop turns now and then."""
        self._handle = None
        if self._crowded() and self._timers.now() - self._since < CROWD_WITHIN:
            self._handle = self._loop.call_later(WITHIN, self._due)
            return
        self._keep_some(AT_ONCE)
        if self._ended:
            self._handle = self._loop.call_soon(self._due)

    def _keep_some(self, most: int) -> None:
        """The first of them."""
        ended = self._ended
        wall, now = self._clock.wall(), self._timers.now()
        for _ in range(min(most, len(ended))):
            try:
                self._keep(ended.popleft(), wall, now)
            except Exception as error:  # a bug in one must not lose the others
                self._loop.call_exception_handler({"message": "a call was not recorded", "exception": error})
        if not ended and self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _keep(self, call: Call, wall: float, now: float) -> None:
        """`wall` and `now` are of the same instant, after the call's end."""
        snapshot = self._snapshot
        self._tallies.count(call)
        record = build(call, wall, now, snapshot)
        self.log.write(record)
        traces = self.traces
        if traces is not None and traces.settled(call, record, (call.plan or snapshot).sample, wall - now):
            self._tallies.mark(call, trace_id(call), span_id(call, 0), wall)

    def parked(self, call: Call, snapshot: Snapshot) -> None:
        """A hold began: a line says so, where the operator wants it."""
        self.log.write(start(call, self._clock.wall(), self._timers.now(), snapshot))

    def happened(self, event: Event) -> None:
        """Something happened to an endpoint: a line says so, behind those of the calls that ended before."""
        self.catch_up()
        self.log.write(events.of_endpoint(event, self._clock.wall()))

    def close(self) -> None:
        """Takes at most CLOSE_WITHIN, whatever hangs."""
        end = self._timers.now() + CLOSE_WITHIN
        self.tallies.lag.stop()  # reading them catches up
        if self._pusher is not None:
            self._pusher.finish()
        if self.traces is not None:
            self.traces.finish()
        self.log.close()
        if self.traces is not None:
            self.traces.close(max(0.0, end - self._timers.now()))
        if self._pusher is not None:
            self._pusher.close(max(0.0, end - self._timers.now()))
