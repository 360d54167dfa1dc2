"""Sinks that are a descriptor: standard output, and the file of the call log, which is rotated by size and at the end
of every hour, and opened again when somebody else has moved it away. All of it runs in the thread of the writer. Where
several processes write to one pipe, `turns` keeps their lines apart.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from pathlib import Path

from gateway.telemetry import slots
from gateway.telemetry.naming import Names
from gateway.telemetry.replacing import unfinished
from gateway.telemetry.turns import Turns

HOUR = 3600
RETRY = 60.0  # seconds after a rotation that was not possible
HOMEWARD = 5.0  # seconds between two looks at whether a process that wrote our file has ended


class Stream:
    """Lines go to a descriptor that is open."""

    def __init__(self, fd: int = 1, turns: Turns | None = None) -> None:
        self._fd = fd
        self._turns = turns
        self._mend = b""  # ends a line that a full disk cut in two, before the next batch is written

    def write(self, batch: bytes) -> tuple[int, str]:
        if self._turns is not None:
            return self._turns.write(self._fd, batch)
        mend = self._mend
        written, error = _write(self._fd, mend + batch)
        if error is None:
            self._mend = b""
            return 0, ""
        torn = batch[: max(written - len(mend), 0)]
        self._mend = b"\n" if (torn and not torn.endswith(b"\n")) or (mend and not written) else b""
        return batch[len(torn) :].count(b"\n"), error.strerror or "unknown error"

    def tend(self) -> float | None:
        return None

    def close(self) -> None:
        """Standard output is not ours to close."""


class LogFile(Stream):
    """Lines go to the end of a file. When it has `size` bytes, give or take a batch, or its hour ends, it is closed
    under another name, and `closed` is told of it. Without a `size`, and if it is no regular file (a pipe),
    it is written and nothing more.

    `number` is that of the process among `workers` that write the same log: each has a live file of its own."""

    def __init__(
        self,
        path: Path,
        size: int | None,
        closed: Callable[[], None] = lambda: None,
        wall: Callable[[], float] = time.time,
        number: int = 0,
        workers: int = 1,
        turns: Turns | None = None,
    ) -> None:
        self._names, self._own, self._others = Names.of(path), number, workers
        self._slot = slots.claim(self._names, number, workers)
        super().__init__(self._slot.fd)
        if not stat.S_ISREG(os.fstat(self._fd).st_mode):
            self._turns = turns
        self._limit = size
        self._homeward = 0.0  # the next look at our own file, if somebody else has it
        self._closed = closed
        self._wall = wall
        self._not_before = 0.0  # the next rotation
        self._said = ""  # of one that was not possible
        self._adopt()

    def write(self, batch: bytes) -> tuple[int, str]:
        try:
            self._look()
        except OSError as error:
            if os.fstat(self._fd).st_nlink == 0:  # nobody would ever see them
                return batch.count(b"\n"), f"{self._slot.path}: {error.strerror}"
        self._rotate_if_due()
        lost, reason = super().write(batch)
        self._size += len(batch)
        said, self._said = self._said, ""
        return lost, reason or said

    def tend(self) -> float | None:
        if not self._regular:
            return None
        self._rotate_if_due()
        away = HOMEWARD if self._slot.number != self._own else HOUR
        if self._limit is None:
            return away if away < HOUR else None
        return min(max(self._end_of_hour - self._wall(), 0.05) if self._size else HOUR, away)

    def close(self) -> None:
        os.close(self._fd)

    def _adopt(self) -> None:
        """What the descriptor stands for now."""
        found, now = os.fstat(self._fd), self._wall()
        self._regular = stat.S_ISREG(found.st_mode)
        self._inode = found.st_dev, found.st_ino
        self._size = found.st_size if self._regular else 0
        self._end_of_hour = _end_of_hour(min(found.st_mtime, now) if self._size else now)
        self._mend = b"" if _ends_a_line(self._slot.path, self._size) else b"\n"

    def _look(self) -> None:
        """Opens the file again if it was moved or removed; follows it if it was cut."""
        if not self._regular:
            return
        try:
            found = os.stat(self._slot.path)
            same = (found.st_dev, found.st_ino) == self._inode
        except FileNotFoundError:
            same = False
        if same:
            self._size = found.st_size
            return
        self._go_on(slots.claim(self._names, self._slot.number, self._others))

    def _go_on(self, slot: slots.Slot) -> None:
        os.close(self._fd)
        self._slot, self._fd = slot, slot.fd
        self._adopt()

    def _rotate_if_due(self) -> None:
        now = self._wall()
        if self._slot.number != self._own and now >= self._homeward:
            self._homeward = now + HOMEWARD
            self._go_home(now)
        if self._size == 0 or self._limit is None:
            self._end_of_hour = _end_of_hour(now)
        elif self._regular and (self._size >= self._limit or now >= self._end_of_hour) and now >= self._not_before:
            try:
                self._rotate(now)
            except OSError as error:
                self._said = f"{self._slot.path} cannot be closed and goes on ({error.strerror}); look at its directory"
                self._not_before = self._end_of_hour = now + RETRY

    def _rotate(self, now: float) -> None:
        """The next file is there, and ours, before this one is moved: without a descriptor to spare nothing is
        lost."""
        live = self._slot.path
        fd = slots.open_end(unfinished(live))
        try:
            slots.lock(fd)
            live.rename(slots.free_name(self._names, live, now))
            unfinished(live).rename(live)
        except OSError:
            os.close(fd)
            raise
        self._go_on(self._slot._replace(fd=fd))
        self._closed()

    def _go_home(self, now: float) -> None:
        """Whoever wrote our file when we began, as the process that this one replaces, may have ended. The file that we
        had instead is closed, or left to whoever rotates."""
        path = self._names.writer(self._own)
        try:
            fd = slots.open_locked(path)
            if fd is None:
                return
            closed = self._limit is not None and slots.leave(self._names, self._slot.path, self._fd, now)
        except OSError:  # the next time; what was opened is closed with the process
            return
        self._go_on(slots.Slot(self._own, path, fd))
        if closed:
            self._closed()


def _end_of_hour(wall: float) -> float:
    return (wall // HOUR + 1) * HOUR


def _ends_a_line(path: Path, size: int) -> bool:
    if size == 0:
        return True
    try:
        with path.open("rb") as file:
            file.seek(size - 1)
            return file.read(1) == b"\n"
    except OSError:  # may be written and not read
        return True


def _write(fd: int, data: bytes) -> tuple[int, OSError | None]:
    """Writes all of it; otherwise how many bytes went out, and why no more did."""
    left = memoryview(data)
    try:
        while left:
            left = left[os.write(fd, left) :]
    except OSError as error:
        return len(data) - len(left), error
    return len(data), None
