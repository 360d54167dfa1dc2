"""What the workers of a machine remember for each other, wherever limits are kept: small texts under keys, for a time,
in one file of fixed size in memory. It may forget anything at any time: who cannot find a note, or write one in time,
goes on as if it had never been there, and that is counted.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, TypeVar

import lmdb

from gateway.state.lmdb_lock import Lock

SIZE: Final = 16 << 20  # bytes of the file
MOST: Final = 100_000  # notes; the older half goes when there are as many
LONGEST: Final = 4096  # bytes of a note
_SMALLEST: Final = 64 * 1024  # bytes of a file that is only begun
_PAGE: Final = 4096
_YOUNG: Final = b"young"
_UNTIL: Final = struct.Struct("<d")

T = TypeVar("T")
Key = tuple["str | bytes | bool | int", ...]
Txn = Any  # of a module without types


class Notes:
    """Two tables: new notes go into the young one, and when that is full the old one is emptied and becomes it. All is
    done under a lock that a stopped process keeps from nobody for longer than a moment, once. Raises OSError where the
    memory is not to be had."""

    def __init__(self, directory: Path, size: int = SIZE, most: int = MOST) -> None:
        self.failed = 0  # times that something could not be looked up, or written
        self._most = most
        self._size = size
        directory.mkdir(mode=0o700, exist_ok=True)
        self._lock = Lock(directory / "lock")
        try:
            self._open(directory / "data")
        except lmdb.Error as error:
            raise OSError(0, str(error), str(directory)) from None

    def _open(self, path: Path) -> None:
        """Its memory is reserved before anybody writes to it: a machine without any left would end the process."""
        self._lock.take()
        try:
            if not path.exists() or path.stat().st_size < self._size:
                _environment(path, _SMALLEST).close()  # what LMDB takes for one of its files
                _reserve(path, self._size)
            self._env = _environment(path, self._size)
            self._tables = self._env.open_db(b"0"), self._env.open_db(b"1")
            self._which = self._env.open_db(b"which")
        finally:
            self._lock.give()

    def get(self, key: Key, now: float) -> tuple[bytes, float] | None:
        """A note, and until when it is one. `now` are loop seconds, which are the same for all of a machine."""
        found: tuple[bytes, float] | None = self._do(lambda txn: self._find(txn, digest(key)), write=False)
        return found if found is not None and found[1] > now else None

    def put(self, key: Key, note: bytes, until: float) -> None:
        if len(note) > LONGEST:
            self.failed += 1
            return
        name, value = digest(key), _UNTIL.pack(until) + note

        def add(txn: Txn) -> None:
            txn.put(name, value, db=self._young(txn, fresh=False))

        def add_after_all(txn: Txn) -> None:
            txn.put(name, value, db=self._young(txn, fresh=True))

        self._do(add, add_after_all)

    def close(self) -> None:
        self._env.close()
        self._lock.close()

    def _do(
        self, work: Callable[[Txn], T], when_full: Callable[[Txn], T] | None = None, write: bool = True
    ) -> T | None:
        try:
            self._lock.take()
        except lmdb.Error:
            self.failed += 1
            return None
        try:
            return self._within(work, write)
        except lmdb.MapFullError:
            return self._again(when_full)
        except lmdb.Error:
            self.failed += 1
            return None
        finally:
            self._lock.give()

    def _again(self, work: Callable[[Txn], T] | None) -> T | None:
        try:
            return self._within(work, True) if work is not None else None
        except lmdb.Error:
            self.failed += 1
            return None

    def _within(self, work: Callable[[Txn], T], write: bool) -> T:
        with self._env.begin(write=write) as txn:
            return work(txn)

    def _find(self, txn: Txn, name: bytes) -> tuple[bytes, float] | None:
        young = _number(txn, self._which)
        for table in (self._tables[young], self._tables[1 - young]):
            found = txn.get(name, db=table)
            if found is not None:
                return found[_UNTIL.size :], _UNTIL.unpack_from(found)[0]
        return None

    def _young(self, txn: Txn, fresh: bool) -> object:
        """Where new notes go; `fresh`: into an empty table, whatever there is."""
        young = _number(txn, self._which)
        stat = txn.stat(self._tables[young])
        pages = stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"]
        if fresh or stat["entries"] >= self._most // 2 or pages * _PAGE > self._size * 0.35:
            young = 1 - young
            txn.drop(self._tables[young], delete=False)
            txn.put(_YOUNG, bytes([young]), db=self._which)
        return self._tables[young]


def digest(key: Key) -> bytes:
    """Of a key of any length; keys that are told apart are apart here, too."""
    return blake2b(repr(key).encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _number(txn: Txn, which: object) -> int:
    found = txn.get(_YOUNG, db=which)
    return found[0] if found is not None else 0


def _reserve(path: Path, size: int) -> None:
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        os.posix_fallocate(fd, 0, size)
    except OSError as error:
        path.unlink()
        raise OSError(error.errno, error.strerror, str(path)) from None
    finally:
        os.close(fd)


def _environment(path: Path, size: int) -> lmdb.Environment:
    """Under our own lock, so it needs none; and it is never written to a disk."""
    return lmdb.open(
        str(path), subdir=False, map_size=size, max_dbs=3, lock=False, writemap=True, sync=False, metasync=False,
        meminit=False, mode=0o600,
    )  # fmt: skip
