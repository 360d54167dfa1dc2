"""What is kept of calls that are over: one place that hands each settled call to everything that counts, traces or
records. Nothing here may end a call differently, or keep it waiting.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gateway.telemetry.log import CallLog
from gateway.telemetry.places import open_places
from gateway.telemetry.record import build, start

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
        self.log = CallLog(loop, open_places(config))

    def settled(self, call: Call, snapshot: Snapshot) -> None:
        """A call ended: its record is written. The path of every call."""
        self.log.write(build(call, self._clock.wall(), self._timers.now(), snapshot))

    def parked(self, call: Call, snapshot: Snapshot) -> None:
        """A hold began: a line says so, where the operator wants it."""
        self.log.write(start(call, self._clock.wall(), self._timers.now(), snapshot))

    def close(self) -> None:
        self.log.close()
