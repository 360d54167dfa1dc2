"""Lines of several processes to one pipe, never one within another. What fits into one write of a pipe goes out whole
by itself; for a longer line a process has the pipe for itself, which a file of the machine says: whose turn it is by a
lock that ends with its process, and by a number whether a line has begun that has not ended.
"""

from __future__ import annotations

import fcntl
import os
import select
import struct
import time
from collections.abc import Iterator
from pathlib import Path

PIECE = select.PIPE_BUF  # bytes that a pipe takes at once or not at all
PATIENCE = 5.0  # seconds that somebody may have the turn and write nothing, though there is room
PAUSE = 0.005
STUCK = "another process of this gateway stands still in the middle of a line"
_NUMBER = struct.Struct("<Q")


class Turns:
    """The number in the file is odd within a line, and grows with everything that is written in turn."""

    def __init__(self, path: Path, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._stands = -1  # the number at which somebody was found to stand still

    def write(self, out: int, batch: bytes) -> tuple[int, str]:
        """Writes whole lines; how many were lost, and why. Waits as long as whoever reads the pipe makes it wait."""
        ours, lost, reason = self._take(out), 0, ""
        try:
            for piece in pieces(batch):
                try:
                    done = self._put(out, piece, ours)
                except OSError as error:
                    done, reason = False, error.strerror or "unknown error"
                lost += 0 if done else piece.count(b"\n")
        finally:
            if ours:
                fcntl.flock(self._fd, fcntl.LOCK_UN)
        return lost, reason or (STUCK if lost else "")

    def _take(self, out: int) -> bool:
        """Whether it is our turn; False: whoever has it stands still. Nobody is thought to while the pipe is full."""
        seen, since = -1, 0.0
        while not self._lock():
            number, now = self._number(), time.monotonic()
            if number == self._stands:
                return False
            if number != seen or not has_room(out):
                seen, since = number, now
            elif now - since > self._patience:
                self._stands = number
                return False
            time.sleep(PAUSE)
        self._stands = -1
        return True

    def _lock(self) -> bool:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _put(self, out: int, piece: bytes, ours: bool) -> bool:
        """Without the turn only what is written at once. A line that somebody began and will not end is ended."""
        number = self._number()
        if number & 1:
            _all(out, b"\n")
            self._tell(number := number + 1)
        if len(piece) <= PIECE:
            _all(out, piece)
            if ours:
                self._tell(number + 2)
            return True
        return ours and self._long(out, piece, number + 1)

    def _long(self, out: int, line: bytes, number: int) -> bool:
        """Whether all of it was written; not if somebody thought meanwhile that we stand still, and ended it. We wait
        for room and not within a write, so that nothing is written late."""
        self._tell(number)
        for start in range(0, len(line), PIECE):
            has_room(out, None)
            if self._number() != number:
                return False
            _all(out, line[start : start + PIECE])
            self._tell(number := number + 2)
        self._tell(number + 1)
        return True

    def _number(self) -> int:
        found = os.pread(self._fd, _NUMBER.size, 0)
        return int(_NUMBER.unpack(found)[0]) if len(found) == _NUMBER.size else 0

    def _tell(self, number: int) -> None:
        os.pwrite(self._fd, _NUMBER.pack(number), 0)


def pieces(batch: bytes) -> Iterator[bytes]:
    """As many whole lines at once as a pipe takes; a longer line alone."""
    start, end = 0, len(batch)
    while start < end:
        stop = batch.rfind(b"\n", start, start + PIECE) + 1 or batch.find(b"\n", start) + 1 or end
        yield batch[start:stop]
        start = stop


def has_room(out: int, wait: float | None = 0) -> bool:
    """Whether a piece can be written now; with None, once it can."""
    poll = select.poll()
    poll.register(out, select.POLLOUT)
    return bool(poll.poll(wait))


def _all(out: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(out, left) :]
