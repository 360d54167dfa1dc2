"""What is kept of calls that are over: one place that hands each settled call to everything that counts, traces or
records. Nothing here may end a call differently, or keep it waiting.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gateway.telemetry.log import CallLog
from gateway.telemetry.record import build

if TYPE_CHECKING:
    from gateway.call import Call
    from gateway.clock import Clock, Timers
    from gateway.config.settings import Config
    from gateway.plan import Snapshot


class Telemetry:
    """Begins with the process and outlives every reload; `close()` writes out what is left."""

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Clock, timers: Timers, config: Config) -> None:
        self._clock = clock
        self._timers = timers
        self.file = config.log.calls  # opened at the start: a reload names no other
        self.log = CallLog(loop, config.log.calls)

    def settled(self, call: Call, snapshot: Snapshot) -> None:
        """A call ended: its record is written. The path of every call."""
        record = build(call, self._clock.wall(), self._timers.now(), snapshot.log_values, snapshot.secret_prefixes)
        self.log.write(record)

    def close(self) -> None:
        self.log.close()
