"""Who holds places, or waits for them, in the file that processes share: by key, the first to come first, and by whose
they are, so that one release, or the death of a process, finds them all.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

from gateway.state.lmdb_table import Db, Txn

if TYPE_CHECKING:
    import lmdb

OWNER = 8  # bytes of the id of a process
EVICTABLE, FIRM = b"\1", b"\0"
NOBODY = bytes(8)  # instead of the digest of a poller that is not asked for

_u64 = Struct(">Q")
u64 = _u64.pack


def number_of(bearer: bytes) -> int:
    """Of the owner's calls, which."""
    number: int = _u64.unpack(bearer[OWNER:])[0]
    return number


class Crowd:
    """A bearer is an owner (8 bytes) and the number that call has there (8). Under a digest stand rows: when it came
    (8: the number of the transaction), who (16), whether it may be ended (1). Under a bearer stands its entry: when it
    came (8), whether it may be ended (1), the digest of its poller (8), and each digest where it has a row (16)."""

    __slots__ = ("entries", "rows")

    def __init__(self, rows: Db, entries: Db) -> None:
        self.rows = rows
        self.entries = entries

    @classmethod
    def of(cls, env: lmdb.Environment, name: str) -> Crowd:
        rows = env.open_db(f"{name} rows".encode(), dupsort=True, dupfixed=True)
        return cls(rows, env.open_db(f"{name} entries".encode()))

    def count(self, txn: Txn, digest: bytes) -> int:
        cursor = txn.cursor(self.rows)
        return cursor.count() if cursor.set_key(digest) else 0

    def first(self, txn: Txn, digest: bytes) -> bytes | None:
        """The bearer that came first."""
        row = txn.get(digest, None, self.rows)
        return row[8:24] if row is not None else None

    def each(self, txn: Txn, digest: bytes) -> list[bytes]:
        """The rows, oldest first."""
        cursor = txn.cursor(self.rows)
        return list(cursor.iternext_dup()) if cursor.set_key(digest) else []

    def add(self, txn: Txn, bearer: bytes, digests: list[bytes], flag: bytes = FIRM,
            who: bytes = NOBODY) -> None:  # fmt: skip
        came = u64(txn.id())
        row = came + bearer + flag
        for digest in digests:
            txn.put(digest, row, db=self.rows)
        txn.put(bearer, b"".join([came, flag, who, *digests]), db=self.entries)

    def entry(self, txn: Txn, bearer: bytes) -> bytes | None:
        entry: bytes | None = txn.get(bearer, None, self.entries)
        return entry

    def drop(self, txn: Txn, bearer: bytes) -> list[bytes]:
        """The digests where it had a row; none of a bearer that was dropped before."""
        entry = txn.pop(bearer, self.entries)
        if entry is None:
            return []
        row = entry[:8] + bearer + entry[8:9]
        digests = digests_of(entry)
        for digest in digests:
            txn.delete(digest, row, self.rows)
        return digests

    def of_owner(self, txn: Txn, owner: bytes, most: int) -> list[bytes]:
        """Some bearers of one owner."""
        cursor = txn.cursor(self.entries)
        found: list[bytes] = []
        there = cursor.set_range(owner)
        while there and len(found) < most and cursor.key()[:OWNER] == owner:
            found.append(cursor.key())
            there = cursor.next()
        return found


def digests_of(entry: bytes) -> list[bytes]:
    return [entry[at : at + 16] for at in range(17, len(entry), 16)]


def poller_of(entry: bytes) -> bytes:
    return entry[9:17]
