"""One writer at a time, of all processes of a machine: a lock of the kernel on a file. Unlike LMDB's own, which waits
for ever, it can be asked for a bounded time; the kernel gives it back when its holder dies, and says who that is.
"""

from __future__ import annotations

import fcntl
import os
import struct
from pathlib import Path
from select import select
from time import monotonic

import lmdb

PATIENCE = 0.1  # seconds: a holder that was only not scheduled is back by then
QUICK = 50  # tries in which the holder gets the processor, before it gets some time
NAP = 0.0001  # seconds

_FLOCK = struct.Struct("hhqqi4x")  # type, whence, start, length, pid
NOW = fcntl.LOCK_EX | fcntl.LOCK_NB
_lockf = fcntl.lockf
UNLOCK = fcntl.LOCK_UN


class StateError(OSError):
    """The memory for the state cannot be had; the text says what to do."""


class StuckError(lmdb.Error):
    """Somebody has the lock and does not give it back."""


class Lock:
    """Held for microseconds. A process opens its file once: closing another descriptor of it would let the lock go."""

    __slots__ = ("fd", "stuck")

    def __init__(self, path: Path) -> None:
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.stuck = False  # who has it keeps it: nobody waits for that a second time

    def take(self) -> None:
        """Raises StuckError."""
        try:
            _lockf(self.fd, NOW)
        except OSError:
            self.wait()
        self.stuck = False

    def give(self) -> None:
        _lockf(self.fd, UNLOCK)

    def holder(self) -> int | None:
        """The process that has it, if another has."""
        answer = fcntl.fcntl(self.fd, fcntl.F_GETLK, _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
        kind, _, _, _, pid = _FLOCK.unpack(answer)
        return pid if kind != fcntl.F_UNLCK else None

    def close(self) -> None:
        os.close(self.fd)

    def wait(self) -> None:
        """Raises StuckError."""
        until = monotonic() + PATIENCE
        tries = 0
        while not self.stuck:
            if tries < QUICK:
                os.sched_yield()
            else:
                select((), (), (), NAP)  # a sleep that does not depend on any clock: libfaketime breaks `time.sleep`
            tries += 1
            try:
                _lockf(self.fd, NOW)
            except OSError:
                self.stuck = monotonic() >= until
            else:
                return
        raise StuckError("another process of this gateway has the lock of the state and does not give it back")
