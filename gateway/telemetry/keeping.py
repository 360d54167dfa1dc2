"""What is kept of calls that are over: one place that hands each settled call to everything that counts, traces or
records. Nothing here may end a call differently, or keep it waiting.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gateway.telemetry.log import CLOSE_WITHIN, CallLog
from gateway.telemetry.record import build
from gateway.telemetry.trace import arrivals

if TYPE_CHECKING:
    from gateway.call import Call
    from gateway.clock import Clock, Timers
    from gateway.config.settings import Config
    from gateway.plan import Snapshot
    from gateway.telemetry.otlp_traces import Traces


class Telemetry:
    """Begins with the process and outlives every reload; `close()` writes out what is left."""

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Clock, timers: Timers, config: Config) -> None:
        self._clock = clock
        self._timers = timers
        self.log = CallLog(loop, config.log.calls)
        self.traces: Traces | None = None
        table = config.telemetry
        self.arrives = arrivals(table.otlp is not None, table.trust_incoming)
        if table.otlp is not None:  # or nothing of it is even imported
            from gateway.telemetry.otlp import resource
            from gateway.telemetry.otlp_traces import Traces

            self.traces = Traces(loop, table, resource(table))

    def settled(self, call: Call, snapshot: Snapshot) -> None:
        """A call ended: its record is written. The path of every call."""
        wall, now = self._clock.wall(), self._timers.now()
        record = build(call, wall, now, snapshot.log_values, snapshot.secret_prefixes)
        self.log.write(record)
        if self.traces is not None:
            self.traces.settled(call, record, (call.plan or snapshot).sample, wall - now)

    def close(self) -> None:
        """Takes at most CLOSE_WITHIN, whatever hangs."""
        end = self._timers.now() + CLOSE_WITHIN
        if self.traces is not None:
            self.traces.finish()
        self.log.close()
        if self.traces is not None:
            self.traces.close(max(0.0, end - self._timers.now()))
