"""Where records go: encoded on the loop, written in batches by a thread that nobody waits for. A full disk or a blocked
pipe costs lines, which are counted, and never a call; complaints about it are made at most once a second.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue

import orjson

FLUSH_EVERY = 0.1  # seconds from the first line of a batch to its hand-over
FLUSH_BYTES = 64 * 1024
MAX_QUEUED = 16 * 1024 * 1024  # bytes handed over and not yet written; beyond it lines are dropped
CLOSE_WITHIN = 2.0  # seconds the process waits at its end for a slow writer


class CallLog:
    """Takes records from the loop, hands them to a writer thread. `path` None means standard output."""

    def __init__(self, loop: asyncio.AbstractEventLoop, path: Path | None) -> None:
        self.dropped = 0  # lines that could not be written
        self._loop = loop
        self._path = path
        self._fd = 1 if path is None else _open(path)
        self._lines: list[bytes] = []
        self._size = 0
        self._queued = 0
        self._lock = threading.Lock()
        self._handle: asyncio.TimerHandle | None = None
        self._batches: SimpleQueue[tuple[bytes, int] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._write_all, name="call-log", daemon=True)
        self._thread.start()

    def write(self, record: dict[str, object]) -> None:
        """Adds one record as a line of JSON."""
        line = orjson.dumps(record, default=str, option=orjson.OPT_APPEND_NEWLINE)
        self._lines.append(line)
        self._size += len(line)
        if self._size >= FLUSH_BYTES:
            self.flush()
        elif self._handle is None:
            self._handle = self._loop.call_later(FLUSH_EVERY, self.flush)

    def flush(self) -> None:
        """Hands the batch over to the writer; drops it when the writer is too far behind."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        if not self._lines:
            return
        batch, count = b"".join(self._lines), len(self._lines)
        self._lines, self._size = [], 0
        with self._lock:
            full = self._queued + len(batch) > MAX_QUEUED
            if not full:
                self._queued += len(batch)
        if full:
            self.dropped += count
        else:
            self._batches.put((batch, count))

    def close(self) -> None:
        """Writes what is left, waiting a bounded time for a writer that hangs."""
        self.flush()
        self._batches.put(None)
        self._thread.join(CLOSE_WITHIN)

    def _write_all(self) -> None:
        complain = _once_a_second(lambda text: print(text, file=sys.stderr, flush=True))
        while (item := self._batches.get()) is not None:
            batch, count = item
            try:
                _write(self._fd, batch)
            except OSError as error:
                self.dropped += count
                complain(f"call log: {count} lines dropped: {error.strerror}")
            with self._lock:
                self._queued -= len(batch)
        if self._path is not None:
            os.close(self._fd)


def _open(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _once_a_second(say: Callable[[str], None]) -> Callable[[str], None]:
    last = -1.0

    def complain(text: str) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= 1.0:
            last = now
            say(text)

    return complain
