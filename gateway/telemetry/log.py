"""Where records go: encoded on the loop, written in batches by a thread that nobody waits for. A full disk or a blocked
pipe costs lines, which are counted, and never a call; complaints about it are made at most once a second.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue

import orjson

FLUSH_EVERY = 0.1  # seconds from the first line of a batch to its hand-over
FLUSH_BYTES = 64 * 1024
WRITE_BYTES = 1024 * 1024  # after so many bytes no further batch joins a write
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
        self._batches: SimpleQueue[bytes | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._write_all, name="call-log", daemon=True)
        self._thread.start()

    def write(self, record: dict[str, object]) -> None:
        """Adds one record as a line of JSON."""
        try:
            line = orjson.dumps(record, default=str, option=orjson.OPT_APPEND_NEWLINE)
        except TypeError:  # a bug in what made the record: it must not end the call's connection
            self._count_lost(1)
            return
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
            self._count_lost(count)
        else:
            self._batches.put(batch)

    def close(self) -> None:
        """Writes what is left, waiting a bounded time for a writer that hangs."""
        self.flush()
        self._batches.put(None)
        self._thread.join(CLOSE_WITHIN)

    def _write_all(self) -> None:
        complain = _once_a_second(_tell)
        mend = b""  # ends a line that a full disk cut in two, before the next batch is written
        for batch in self._waiting():
            written, error = _write(self._fd, mend + batch)
            if error is None:
                mend = b""
            else:
                lost = batch[max(written - len(mend), 0) :].count(b"\n")
                torn = batch[: max(written - len(mend), 0)]
                mend = b"\n" if (torn and not torn.endswith(b"\n")) or (mend and not written) else b""
                self._count_lost(lost)
                complain(f"call log: {lost} lines dropped, {self.dropped} since the start: {error.strerror}")
            with self._lock:
                self._queued -= len(batch)
        if self._path is not None:
            os.close(self._fd)

    def _waiting(self) -> Iterator[bytes]:
        """What waits, as much as one write may take: a busy loop lets this thread run only every few milliseconds
        (Python's switch interval), and in that time more comes than one batch."""
        while (batch := self._batches.get()) is not None:
            batches, size = [batch], len(batch)
            while size < WRITE_BYTES and not self._batches.empty():  # nobody else takes any
                more = self._batches.get()
                if more is None:
                    yield b"".join(batches)
                    return
                batches.append(more)
                size += len(more)
            yield b"".join(batches)

    def _count_lost(self, lines: int) -> None:
        with self._lock:
            self.dropped += lines


def _open(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)


def _write(fd: int, data: bytes) -> tuple[int, OSError | None]:
    """Writes all of it; otherwise how many bytes went out, and why no more did."""
    left = memoryview(data)
    try:
        while left:
            left = left[os.write(fd, left) :]
    except OSError as error:
        return len(data) - len(left), error
    return len(data), None


def _tell(text: str) -> None:
    try:
        print(text, file=sys.stderr, flush=True)
    except (OSError, ValueError):
        pass  # nobody is there to be told


def _once_a_second(say: Callable[[str], None]) -> Callable[[str], None]:
    last = -1.0

    def complain(text: str) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= 1.0:
            last = now
            say(text)

    return complain
