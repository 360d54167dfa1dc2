"""Traces on their way to the collector: spans of kept calls are gathered on the loop and sent by a thread that nobody
waits for. A collector that is down, slow or silent costs spans, which are counted, and never a call.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final

from msgspec import to_builtins

from gateway.telemetry.otlp import TIMEOUT, Reasons, endpoint, headers
from gateway.telemetry.otlp_session import Session
from gateway.telemetry.otlp_spans import Exporter, request
from gateway.telemetry.sampling import keeps
from gateway.telemetry.spans import Spans

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan

    from gateway.call import Call
    from gateway.config import schema
    from gateway.shapes import Sample
    from gateway.telemetry.fields import Record

logger = logging.getLogger("gateway")

BATCH: Final = 128  # spans of one export, which costs as much as encoding a hundred of them
FLUSH_EVERY: Final = 1.0  # seconds from the first span of a batch to its hand-over
MAX_QUEUED: Final = 2048  # spans handed over and not yet sent; beyond it they are dropped
# Times as long as it has worked the sender rests: a storm of errors must not take the core it happens on.
REST: Final = 3.0
QUIET: Final = 1.0  # seconds between two words about the collector


class Traces:
    """Takes settled calls from the loop. `kept` counts the spans of kept calls, `dropped` those that were lost."""

    def __init__(self, loop: asyncio.AbstractEventLoop, table: schema.Telemetry, resource: Resource) -> None:
        self.kept = 0
        self.dropped = 0
        self._loop = loop
        self._spans = Spans(resource)
        self._batch: list[ReadableSpan] = []
        self._queued = 0
        self._lock = threading.Lock()
        self._handle: asyncio.TimerHandle | None = None
        self._batches: SimpleQueue[list[ReadableSpan] | None] = SimpleQueue()
        self._where = endpoint(table, "traces")
        self._resource = resource
        self._exporter = Exporter(self._where, headers=headers(table, os.environ), timeout=TIMEOUT, session=Session())
        self._hurry = threading.Event()  # the process ends
        self._closed = False
        self._failing = False
        self._reasons = Reasons()
        self._background = threading.Thread(target=self._send_all, name="traces", daemon=True)
        self._background.start()

    def settled(self, call: Call, record: Record, sample: Sample, base: float) -> bool:
        """Makes the spans of a call if they shall be kept; whether it did. `base` is Unix seconds at loop second 0."""
        if not keeps(call, sample):
            return False
        if self._queued >= MAX_QUEUED:  # then they are not even built
            self.kept += 1 + call.attempts
            self._lose(1 + call.attempts)
            return False
        spans = self._spans.of(call, to_builtins(record), int(base * 1e9))
        self.kept += len(spans)
        self._batch += spans
        if len(self._batch) >= BATCH:
            self.flush()
        elif self._handle is None:
            self._handle = self._loop.call_later(FLUSH_EVERY, self.flush)
        return True

    def flush(self) -> None:
        """Hands the batch over to the sender."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        batch, self._batch = self._batch, []
        if not batch:
            return
        with self._lock:
            self._queued += len(batch)
        self._batches.put(batch)

    def finish(self) -> None:
        """Hands over what is left. `close` waits for it."""
        self.flush()
        self._hurry.set()
        self._batches.put(None)

    def close(self, within: float) -> None:
        """Waits a bounded time for a sender that hangs, and not at all for a collector that is known to be gone."""
        self._background.join(0 if self._failing else within)
        self._closed = True
        self._exporter.shutdown()  # type: ignore[no-untyped-call]
        self._reasons.close()

    def _send_all(self) -> None:
        self._reasons.listen()
        said, said_at = False, -QUIET
        while (batch := self._batches.get()) is not None:
            began = time.thread_time()
            sent, reason = self._send(batch)
            self._failing = not sent
            with self._lock:
                self._queued -= len(batch)
            if not sent:
                self._lose(len(batch))
            now = time.monotonic()
            if self._failing is not said and now - said_at >= QUIET and not self._closed:
                said, said_at = self._failing, now
                self._tell(reason)
            self._hurry.wait(REST * (time.thread_time() - began))

    def _lose(self, spans: int) -> None:
        with self._lock:
            self.dropped += spans

    def _send(self, batch: list[ReadableSpan]) -> tuple[bool, str]:
        """Whether the collector has taken them, or why not."""
        if self._closed:
            return False, ""
        try:
            sent = self._exporter.send(request(batch, self._resource))
        except Exception as error:  # a bug in one batch must not end the sending of all others
            return False, type(error).__name__
        return sent, self._reasons.take()

    def _tell(self, reason: str) -> None:
        if self._failing:
            logger.warning("traces: %s takes nothing, spans are dropped until it does: %s", self._where, reason)
        else:
            logger.warning("traces: %s takes spans again; %d were dropped so far", self._where, self.dropped)
