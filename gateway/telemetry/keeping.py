"""What is kept of calls that are over: one place that hands each settled call to everything that counts, traces or
records. Nothing here may end a call differently, or keep it waiting.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

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


class Telemetry:
    """Begins with the process and outlives every reload; `close()` writes out what is left."""

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Clock, timers: Timers, config: Config) -> None:
        self._loop = loop
        self._clock = clock
        self._timers = timers
        self.file = log_file(config.log)  # opened at the start: a reload names no other
        self._table = table = config.telemetry
        self._resource: Resource | None = None
        self._pusher: Pusher | None = None
        self.tallies = Tallies(Lag(loop), label_consumers=table.consumer_label)
        self.traces: Traces | None = None
        self.arrives = arrivals(table.otlp is not None, table.trust_incoming)
        if table.otlp is not None:  # or nothing of it is even imported
            from gateway.telemetry.otlp import resource

            self._resource = resource(table)
        self.log = CallLog(loop, open_places(config, self._resource))
        if self._resource is not None:
            from gateway.telemetry.otlp_traces import Traces

            self.traces = Traces(loop, table, self._resource)

    def start(self, gauges: Callable[[], Gauges]) -> None:
        """What is measured, or sent now and then, begins once there is something to see."""
        self.tallies.lag.start()
        if self._resource is not None:
            from gateway.telemetry.otlp_metrics import Pusher

            series = Series()
            self._pusher = Pusher(self._loop, self._table, self._resource, lambda: series.read(gauges()))

    def settled(self, call: Call, snapshot: Snapshot) -> None:
        """A call ended: it is counted, and its record is written. The path of every call."""
        self.tallies.count(call)
        wall, now = self._clock.wall(), self._timers.now()
        record = build(call, wall, now, snapshot)
        self.log.write(record)
        traces = self.traces
        if traces is not None and traces.settled(call, record, (call.plan or snapshot).sample, wall - now):
            self.tallies.mark(call, trace_id(call), span_id(call, 0), wall)

    def parked(self, call: Call, snapshot: Snapshot) -> None:
        """A hold began: a line says so, where the operator wants it."""
        self.log.write(start(call, self._clock.wall(), self._timers.now(), snapshot))

    def close(self) -> None:
        """Takes at most CLOSE_WITHIN, whatever hangs."""
        end = self._timers.now() + CLOSE_WITHIN
        self.tallies.lag.stop()
        if self._pusher is not None:
            self._pusher.finish()
        if self.traces is not None:
            self.traces.finish()
        self.log.close()
        if self.traces is not None:
            self.traces.close(max(0.0, end - self._timers.now()))
        if self._pusher is not None:
            self._pusher.close(max(0.0, end - self._timers.now()))
