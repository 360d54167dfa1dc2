"""The file in which the workers of a machine share their state: LMDB in memory, under a lock of our own. All its memory
is reserved before anybody uses it: a machine that runs out of it later takes none of ours away.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import lockf
from pathlib import Path
from typing import Final

import lmdb

from gateway.state.lmdb_crowd import Crowd
from gateway.state.lmdb_lock import NOW, UNLOCK, Lock, StateError
from gateway.state.lmdb_table import Instants, Txn

MAX_KEYS: Final = 200_000  # of rates, and as many pollers that may evict nobody
SMALLEST: Final = 64 * 1024  # bytes of a file that is only begun
A_KEY, A_ROW = 512, 256  # bytes of the file for each there may be: twice what they take at worst
LOOK: Final = 16  # rows a process adds before it looks again how many there are


class Map:
    """Opened after fork and exec, once in a process. Between `begin` and `commit` there is nothing but arithmetic, and
    every begin is followed by a commit or an abort in the same turn of the loop: also one that only reads, so that no
    reader keeps old pages alive."""

    __slots__ = (
        "_added", "_begin", "_directory", "_env", "_full", "_lock", "_max_keys", "_max_rows", "_size", "_users",
        "barred", "held", "meters", "queued",
    )  # fmt: skip

    def __init__(self, directory: Path, size: int, max_keys: int = MAX_KEYS) -> None:
        self._directory = directory
        self._size = size
        self._max_keys = min(max_keys, size // A_KEY)
        self._max_rows = size // A_ROW
        self._added = 0
        self._full = False
        self._env: lmdb.Environment | None = None
        self._users = 0

    def open(self) -> None:
        """Makes the file where there is none. As often as that is done it is to be closed: no process may open one file
        twice. Raises StateError, and StuckError where another has the lock."""
        if self._env is None:
            self._begin_to_use()
        self._users += 1

    def _begin_to_use(self) -> None:
        try:
            self._directory.mkdir(mode=0o700, exist_ok=True)
            self._lock = Lock(self._directory / "lock")
        except OSError as error:
            raise StateError(f"{self._directory}: {error.strerror}; state = shared:// needs /dev/shm") from None
        try:
            self._open()
        except BaseException:
            self._lock.close()
            raise

    def _open(self) -> None:
        self._lock.take()
        try:
            path = self._directory / "data"
            if not path.exists() or path.stat().st_size < self._size:
                self._reserve(path)
            env = _environment(path, self._size)
            self.meters = Instants(env.open_db(b"meters"), self._max_keys)
            self.barred = Instants(env.open_db(b"barred"), self._max_keys)
            self.held = Crowd.of(env, b"held")
            self.queued = Crowd.of(env, b"queued")
        except lmdb.Error as error:
            raise StateError(f"{path}: {error}; remove the directory {self._directory} and start again") from None
        finally:
            self._lock.give()
        self._env, self._begin = env, env.begin

    def _reserve(self, path: Path) -> None:
        _environment(path, SMALLEST).close()  # what LMDB takes for one of its files
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            os.posix_fallocate(fd, 0, self._size)
        except OSError as error:
            path.unlink()
            size = f"{self._size // (1024 * 1024)} MiB"
            text = f"{size} of memory for the state are not to be had in {self._directory} ({error.strerror})"
            raise StateError(f"{text}; make /dev/shm larger, or lower [state] size") from None
        finally:
            os.close(fd)

    def begin(self) -> Txn:
        """Raises StuckError, or what else LMDB has to say: all of it is an lmdb.Error."""
        if self._env is None:
            raise lmdb.Error("the state is not open")
        lock = self._lock
        try:
            lockf(lock.fd, NOW)  # as Lock.take, without the call
            lock.stuck = False
        except OSError:
            lock.wait()
        try:
            return self._begin(None, None, True)
        except BaseException:
            lock.give()
            raise

    def make_room(self, txn: Txn) -> None:
        """For a row, at some of them. A file that is full to its last page could not even be made empty again: there is
        an end before that. Raises MapFullError."""
        self._added += 1
        if self._full or self._added % LOOK == 0:
            self._full = txn.stat(self.held.rows)["entries"] + txn.stat(self.queued.rows)["entries"] >= self._max_rows
            if self._full:
                raise lmdb.MapFullError(f"there is room for {self._max_rows} leases; raise [state] size")

    def commit(self, txn: Txn) -> None:
        try:
            txn.commit()
        finally:
            lockf(self._lock.fd, UNLOCK)

    def abort(self, txn: Txn) -> None:
        try:
            txn.abort()
        finally:
            lockf(self._lock.fd, UNLOCK)

    @contextmanager
    def transaction(self) -> Iterator[Txn]:
        """Where it need not be fast. Raises lmdb.Error."""
        txn = self.begin()
        try:
            yield txn
        except BaseException:
            self.abort(txn)
            raise
        self.commit(txn)

    @property
    def opened(self) -> bool:
        return self._env is not None

    @property
    def holder(self) -> int | None:
        """The process that is in a transaction, if another is."""
        return self._lock.holder()

    @property
    def last(self) -> int:
        """The number of the last transaction that changed something."""
        return self._env.info()["last_txnid"] if self._env is not None else 0

    @property
    def used(self) -> int:
        """Bytes that were ever used, of all that there are."""
        return (self._env.info()["last_pgno"] + 1) * 4096 if self._env is not None else 0

    def close(self) -> None:
        self._users -= self._env is not None
        if self._env is not None and not self._users:
            self._env.close()
            self._env = None
            self._lock.close()


def _environment(path: Path, size: int) -> lmdb.Environment:
    """Nothing of it is to outlive the machine: it is never written to a disk."""
    return lmdb.open(
        str(path), subdir=False, map_size=size, max_dbs=6, lock=False, writemap=True, sync=False, metasync=False,
        meminit=False, mode=0o600,
    )  # fmt: skip
