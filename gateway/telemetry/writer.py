"""A thread that writes what the loop hands over, and that nobody waits for. A full disk, a blocked pipe or a collector
that is down costs lines, which are counted, and never a call; complaints are made at most once a second.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue
from typing import Final, Protocol

WRITE_BYTES: Final = 1024 * 1024  # after so many bytes no further batch joins a write
MAX_QUEUED: Final = 16 * 1024 * 1024  # bytes handed over and not yet written; beyond it lines are dropped


class Sink(Protocol):
    """Where lines go. Used by the thread of its writer alone, and allowed to block it."""

    def write(self, batch: bytes) -> tuple[int, str]:
        """Writes whole lines; how many were lost, and why, or what else should be known."""

    def tend(self) -> float | None:
        """Does what is due although nothing is written; in how many seconds to ask again."""

    def close(self) -> None: ...


class Writer:
    """Batches for one sink. `worker`: whose they are, if there are several; what goes wrong is told with it."""

    def __init__(self, sink: Sink, worker: int | None = None) -> None:
        self._who = "call log" if worker is None else f"worker {worker}: call log"
        self.dropped = 0  # lines that could not be written
        self._sink = sink
        self._queued = 0
        self._lock = threading.Lock()
        self._batches: SimpleQueue[bytes | None] = SimpleQueue()
        self._background = threading.Thread(target=self._write_all, name="call-log", daemon=True)
        self._background.start()

    def put(self, batch: bytes, count: int) -> None:
        """Takes a batch of so many lines, or drops it when the sink is too far behind."""
        with self._lock:
            if self._queued + len(batch) > MAX_QUEUED:
                self.dropped += count
                return
            self._queued += len(batch)
        self._batches.put(batch)

    def finish(self) -> None:
        """Nothing more will come."""
        self._batches.put(None)

    def wait(self, seconds: float) -> None:
        self._background.join(max(seconds, 0.0))

    def _write_all(self) -> None:
        complain = once_a_second(tell)
        for batch in self._waiting():
            lost, reason = self._sink.write(batch)
            with self._lock:
                self._queued -= len(batch)
                self.dropped += lost
            if lost:
                reason = f"{lost} lines dropped, {self.dropped} since the start: {reason}"
            if reason:
                complain(f"{self._who}: {reason}")
        self._sink.close()

    def _waiting(self) -> Iterator[bytes]:
        """What waits, as much as one write may take: a busy loop lets this thread run only every few milliseconds
        (Python's switch interval), and in that time more comes than one batch."""
        while (batch := self._next()) is not None:
            batches, size = [batch], len(batch)
            while size < WRITE_BYTES and not self._batches.empty():  # nobody else takes any
                more = self._batches.get()
                if more is None:
                    yield b"".join(batches)
                    return
                batches.append(more)
                size += len(more)
            yield b"".join(batches)

    def _next(self) -> bytes | None:
        while True:
            try:
                return self._batches.get(timeout=self._sink.tend())
            except Empty:
                continue


def tell(text: str) -> None:
    try:
        sys.stderr.write(text + "\n")  # at once: other processes write there, too
        sys.stderr.flush()
    except (OSError, ValueError):
        pass  # nobody is there to be told


def once_a_second(say: Callable[[str], None]) -> Callable[[str], None]:
    last = -1.0

    def complain(text: str) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= 1.0:
            last = now
            say(text)

    return complain
