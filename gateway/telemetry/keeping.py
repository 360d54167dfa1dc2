"""What is kept of calls that are over: one place that hands each settled call to everything that counts, traces or
records. Nothing here may end a call differently, or keep it waiting.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from gateway.telemetry.lag import Lag
from gateway.telemetry.log import CallLog
from gateway.telemetry.record import build
from gateway.telemetry.series import Series
from gateway.telemetry.tallies import Tallies

if TYPE_CHECKING:
    from gateway.call import Call
    from gateway.clock import Clock, Timers
    from gateway.config.settings import Config
    from gateway.plan import Snapshot
    from gateway.telemetry.instruments import Gauges
    from gateway.telemetry.otlp_metrics import Pusher

CLOSE_WITHIN = 2.0  # seconds in which the last is sent


class Telemetry:
    """Begins with the process and outlives every reload; `close()` writes out what is left."""

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Clock, timers: Timers, config: Config) -> None:
        self._loop = loop
        self._clock = clock
        self._timers = timers
        self.log = CallLog(loop, config.log.calls)
        self._settings = config.telemetry
        self._metrics: Pusher | None = None
        self.tallies = Tallies(Lag(loop), label_consumers=config.telemetry.consumer_label)

    def settled(self, call: Call, snapshot: Snapshot) -> None:
        """A call ended: it is recorded and counted. The path of every call."""
        record = build(call, self._clock.wall(), self._timers.now(), snapshot.log_values, snapshot.secret_prefixes)
        self.log.write(record)
        self.tallies.count(call)

    def start(self, gauges: Callable[[], Gauges]) -> None:
        """What is measured or sent by the way begins once the process is set up."""
        self.tallies.lag.start()
        if self._settings.otlp is not None:
            from gateway.telemetry.otlp_metrics import Pusher

            series = Series()
            self._metrics = Pusher(self._loop, self._settings, lambda: list(series.read(gauges())))

    def close(self) -> None:
        until = time.monotonic() + CLOSE_WITHIN
        self.tallies.lag.stop()
        if self._metrics is not None:
            self._metrics.finish()
        self.log.close()
        if self._metrics is not None:
            self._metrics.wait(until - time.monotonic())
