"""A table of instants that processes share, bounded by time and by number like that of one process (`table.py`): for
each key that comes, its two neighbours are looked at, and keys are digests, so that these are any two.
"""

from __future__ import annotations

from collections.abc import Collection
from hashlib import blake2b
from struct import Struct
from typing import Any, Final, TypeAlias

from gateway.state.bucket import FULL

Txn: TypeAlias = Any  # lmdb.Transaction, whose hints allow for buffers where we get bytes
Db: TypeAlias = Any

SWEEP: Final = 2  # old keys looked at for each new one
LINGER: Final = 60.0  # seconds for which one that is over stays: who calls now and then does not come and go
SLICE: Final = 1000  # keys that one transaction forgets
MOST_DIGESTS: Final = 10_000  # of a limit, kept in each process
LIMIT: Final = 4  # bytes of a digest that say under which limit

_instant = Struct("=d")
pack = _instant.pack
unpack = _instant.unpack
FULL_AT: Final = pack(FULL)  # what stands for a key that is not there


def limit_of(limit: str) -> bytes:
    """How the digests of a limit begin: what is counted under it lies together."""
    return blake2b(limit.encode("utf-8", "surrogatepass"), digest_size=LIMIT).digest()


class Digests(dict[str, bytes]):
    """Under one limit: key -> the 16 bytes by which it is known to all processes."""

    __slots__ = ("_begin", "_limit")

    def __init__(self, limit: str) -> None:
        super().__init__()
        self._begin = limit_of(limit)
        self._limit = limit

    def __missing__(self, key: str) -> bytes:
        if len(self) >= MOST_DIGESTS:
            self.clear()
        text = f"{self._limit}\0{key}".encode("utf-8", "surrogatepass")
        digest = self[key] = self._begin + blake2b(text, digest_size=16 - LIMIT).digest()
        return digest


class Instants:
    """digest -> the instant until which it is something."""

    __slots__ = ("_most", "db")

    def __init__(self, db: Db, most: int) -> None:
        self.db = db
        self._most = most

    def get(self, txn: Txn, digest: bytes) -> float:
        until: float = unpack(txn.get(digest, FULL_AT, self.db))[0]
        return until

    def put(self, txn: Txn, digest: bytes, until: float, now: float) -> None:
        if txn.get(digest, None, self.db) is None:
            self.add(txn, digest, until, now)
        else:
            txn.put(digest, pack(until), db=self.db)

    def add(self, txn: Txn, digest: bytes, until: float, now: float) -> None:
        """Makes room for a key that is not there: of its neighbours those go that are over, and one that is not where
        there are too many."""
        cursor = txn.cursor(self.db)
        crowded = txn.stat(self.db)["entries"] >= self._most
        there = cursor.set_range(digest) or cursor.first()
        for _ in range(SWEEP):
            if there and (crowded or unpack(cursor.value())[0] <= now - LINGER):
                cursor.delete()
                crowded = False
                there = bool(cursor.key()) or cursor.first()
            elif there:
                there = cursor.next() or cursor.first()
        txn.put(digest, pack(until), db=self.db)

    def retain(self, txn: Txn, limits: Collection[bytes]) -> bool:
        """Forgets some of what stands under other limits; whether there may be more."""
        cursor, left = txn.cursor(self.db), SLICE
        there = cursor.first()
        while there and left:
            limit = cursor.key()[:LIMIT]
            if limit in limits:
                there = cursor.set_range(limit + b"\xff" * 32)
            else:
                cursor.delete()
                there = bool(cursor.key())
                left -= 1
        return not left
