"""Who holds places, or waits for them, in the file that processes share: under each key, the first to come first."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final, TypeAlias

from gateway.state.lmdb_table import Db, Txn

if TYPE_CHECKING:
    import lmdb

OWNER: Final = 8  # bytes of the id of a process
NOBODY: Final = bytes(8)  # instead of the digest of a poller that is not asked for

_u64 = Struct(">Q").pack
_row = Struct(">Q8sQB8s")  # when it came (the number of the transaction), owner, its number there, may it end, who
row_of = _row.pack

Where: TypeAlias = tuple[bytes, bytes]  # a digest, and a row there


def came(row: bytes) -> int:
    """The number of the transaction."""
    number: int = _row.unpack(row)[0]
    return number


def bearer_of(row: bytes) -> bytes:
    """The owner, and the number of the call there."""
    return row[8:24]


def owner_of(row: bytes) -> bytes:
    return row[8:16]


def number_of(row: bytes) -> int:
    number: int = _row.unpack(row)[2]
    return number


def may_end(row: bytes) -> bool:
    return bool(row[24])


def poller_of(row: bytes) -> bytes:
    return row[25:]


class Crowd:
    """digest -> rows, oldest first. A row is never the same as another: who gives his back gives back no other."""

    __slots__ = ("rows",)

    def __init__(self, rows: Db) -> None:
        self.rows = rows

    @classmethod
    def of(cls, env: lmdb.Environment, name: bytes) -> Crowd:
        return cls(env.open_db(name, dupsort=True, dupfixed=True))

    def count(self, txn: Txn, digest: bytes) -> int:
        cursor = txn.cursor(self.rows)
        return cursor.count() if cursor.set_key(digest) else 0

    def first(self, txn: Txn, digest: bytes) -> bytes | None:
        row: bytes | None = txn.get(digest, None, self.rows)
        return row

    def has(self, txn: Txn, digest: bytes, row: bytes) -> bool:
        return bool(txn.cursor(self.rows).set_key_dup(digest, row))

    def each(self, txn: Txn, digest: bytes) -> list[bytes]:
        cursor = txn.cursor(self.rows)
        return list(cursor.iternext_dup()) if cursor.set_key(digest) else []

    def drop(self, txn: Txn, digest: bytes, row: bytes) -> bool:
        """Whether it was there."""
        return bool(txn.delete(digest, row, self.rows))

    def bury(self, txn: Txn, owner: bytes, since: Where | None, most: int) -> tuple[list[bytes], Where | None]:
        """Drops what is an owner's, of so many rows: the digests where that was, and where to go on."""
        cursor, found = txn.cursor(self.rows), []
        there = cursor.first() if since is None else cursor.set_range_dup(*since) or cursor.set_range(since[0])
        while there and most:
            most -= 1
            if owner_of(cursor.value()) == owner:
                found.append(cursor.key())
                there = cursor.delete() and bool(cursor.key())
            else:
                there = cursor.next()
        return found, (cursor.key(), cursor.value()) if there else None
