"""How many connections each worker of a machine has, and how many of them come from one address: numbers in memory that
all of them see. Each writes its own and reads those of all, so nobody waits for anybody.
"""

from __future__ import annotations

import mmap
import os
from hashlib import blake2b
from pathlib import Path

ABSENT = -1  # instead of a number: it takes no connections
CELLS = 1 << 16  # addresses are counted in so many; two that share one are told apart by no worker but their own
SLACK, SHARE = 8, 32  # a worker is ahead of another by so many connections, and one of so many of its own
_NAME = "connections"
_SALT = 16  # bytes, so that nobody can choose addresses that share a cell
_ROW = 4 * (1 + CELLS)


class Headcount:
    """The numbers of all workers. `number` is who looks; only the supervisor writes those of others."""

    def __init__(self, directory: Path, workers: int, number: int) -> None:
        with (directory / _NAME).open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), _SALT + workers * _ROW)
        self._salt = self._map[:_SALT]
        view = memoryview(self._map)[_SALT:].cast("i")
        self._rows = [view[at * (1 + CELLS) : (at + 1) * (1 + CELLS)] for at in range(workers)]
        self._own = self._rows[number]
        self._others = [row for row in self._rows if row is not self._own]

    @classmethod
    def make(cls, directory: Path, workers: int) -> Headcount:
        """For a supervisor: nobody is there yet. Its memory is reserved: a machine without any left would end whoever
        writes to it. Raises OSError where it is not to be had."""
        path = directory / _NAME
        with path.open("xb") as file:
            try:
                os.posix_fallocate(file.fileno(), 0, _SALT + workers * _ROW)
            except OSError as error:
                raise OSError(error.errno, error.strerror, str(path)) from None
            file.write(os.urandom(_SALT))
        made = cls(directory, workers, 0)
        for number in range(workers):
            made.gone(number)
        return made

    def gone(self, number: int) -> None:
        """That worker has ended, with all its connections."""
        row = self._rows[number]
        row[:] = memoryview(bytes(_ROW)).cast("i")
        row[0] = ABSENT

    def join(self, connections: int) -> None:
        """This worker takes connections from now on; it has so many."""
        self._own[0] = connections

    def show(self, connections: int) -> None:
        if self._own[0] != ABSENT:
            self._own[0] = connections

    def leave(self) -> None:
        """It takes none any more."""
        self._own[0] = ABSENT

    @property
    def ahead(self) -> bool:
        """Whether another worker has so few connections that the next one is for it."""
        own = self._own[0]
        least = min([row[0] for row in self._others if row[0] != ABSENT], default=own)
        return own - least > SLACK + own // SHARE

    def count(self, address: str, change: int) -> None:
        self._own[self._cell(address)] += change

    def elsewhere(self, address: str) -> int:
        """Connections from there at the other workers."""
        cell = self._cell(address)
        return sum([row[cell] for row in self._others])

    def _cell(self, address: str) -> int:
        digest = blake2b(address.encode(), digest_size=4, key=self._salt).digest()
        return 1 + int.from_bytes(digest, "big") % CELLS
