"""The call log as the loop sees it: records are encoded once and handed in batches to the writers, one for each place
they go to. Nobody waits for any of them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from orjson import OPT_APPEND_NEWLINE, dumps

from gateway.telemetry.writer import Sink, Writer

FLUSH_EVERY: Final = 0.1  # seconds from the first line of a batch to its hand-over
FLUSH_BYTES: Final = 64 * 1024
CLOSE_WITHIN: Final = 1.8  # seconds the process waits at its end for slow writers; a busy machine makes up to 2 of it


class CallLog:
    """Takes records from the loop. `worker`: who writes them, if there are several; every line says so."""

    def __init__(self, loop: asyncio.AbstractEventLoop, sinks: Sequence[Sink], worker: int | None = None) -> None:
        self._loop = loop
        self._lines: list[bytes] = []
        self._size = 0
        self._unfit = 0
        self._handle: asyncio.TimerHandle | None = None
        self._worker = worker
        self._writers = [Writer(sink, worker) for sink in sinks]

    @property
    def dropped(self) -> int:
        """Lines that could not be written; of two places, those of both."""
        return self._unfit + sum(writer.dropped for writer in self._writers)

    def write(self, record: dict[str, object]) -> None:
        """Adds one record as a line of JSON."""
        if self._worker is not None:
            record["worker"] = self._worker
        try:
            line = dumps(record, default=str, option=OPT_APPEND_NEWLINE)
        except TypeError:  # a bug in what made the record: it must not end the call's connection
            self._unfit += 1
            return
        self._lines.append(line)
        self._size += len(line)
        if self._size >= FLUSH_BYTES:
            self.flush()
        elif self._handle is None:
            self._handle = self._loop.call_later(FLUSH_EVERY, self.flush)

    def flush(self) -> None:
        """Hands the batch over to the writers."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        if not self._lines:
            return
        batch, count = b"".join(self._lines), len(self._lines)
        self._lines, self._size = [], 0
        for writer in self._writers:
            writer.put(batch, count)

    def close(self) -> None:
        """Writes what is left, waiting a bounded time for writers that hang."""
        self.flush()
        for writer in self._writers:
            writer.finish()
        until = time.monotonic() + CLOSE_WITHIN
        for writer in self._writers:
            writer.wait(until - time.monotonic())
