"""The call log as the loop sees it: records are gathered, encoded once and handed in batches to the writers, one for
each place they go to. Nobody waits for any of them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from gateway.telemetry.fields import ENCODER, Record
from gateway.telemetry.writer import Sink, Writer

FLUSH_EVERY: Final = 0.1  # seconds from the first line of a batch to its hand-over
FLUSH_LINES: Final = 96  # some 64 KiB
CLOSE_WITHIN: Final = 1.8  # seconds the process waits at its end for slow writers; a busy machine makes up to 2 of it


class CallLog:
    """Takes records from the loop. `worker`: who writes them, if there are several; every line says so."""

    def __init__(self, loop: asyncio.AbstractEventLoop, sinks: Sequence[Sink], worker: int | None = None) -> None:
        self._loop = loop
        self._records: list[Record | dict[str, object]] = []
        self._unfit = 0
        self._handle: asyncio.TimerHandle | None = None
        self._worker = worker
        self._writers = [Writer(sink, worker) for sink in sinks]

    @property
    def dropped(self) -> int:
        """Lines that could not be written; of two places, those of both."""
        return self._unfit + sum(writer.dropped for writer in self._writers)

    def write(self, record: Record | dict[str, object]) -> None:
        """Adds one record, which is a line of JSON when it is handed over."""
        if self._worker is not None:
            if isinstance(record, dict):
                record["worker"] = self._worker
            else:
                record.worker = self._worker
        self._records.append(record)
        if len(self._records) >= FLUSH_LINES:
            self.flush()
        elif self._handle is None:
            self._handle = self._loop.call_later(FLUSH_EVERY, self.flush)

    def flush(self) -> None:
        """Hands the batch over to the writers."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        records, self._records = self._records, []
        if not records:
            return
        try:
            batch, count = ENCODER.encode_lines(records), len(records)
        except (TypeError, ValueError):  # a bug in what made one, which must not lose the others
            lines = [line for record in records if (line := _line(record))]
            batch, count = b"".join(lines), len(lines)
            self._unfit += len(records) - count
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


def _line(record: Record | dict[str, object]) -> bytes:
    """Nothing for one that cannot be a line."""
    try:
        return ENCODER.encode_lines([record])
    except (TypeError, ValueError):
        return b""
