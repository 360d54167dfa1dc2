"""What a machine's supervisor does for the state that its workers share: makes the file, ends a worker that keeps the
lock, and gives back what a dead one had.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import lmdb

from gateway.state.bus import Word
from gateway.state.lmdb_crowd import Crowd, Where, owner_of
from gateway.state.lmdb_map import Map
from gateway.state.lmdb_table import Txn
from gateway.state.shared_words import turn

logger = logging.getLogger("gateway")

LONGEST = 1.0  # seconds that a worker may have the lock: it needs microseconds
LOOK = 0.02  # seconds
SLICE = 500  # rows that are looked at in one transaction: the living want one too
TRIES = 100  # LOOK seconds apart


Found = TypeVar("Found")


class Keeper:
    """`kill` ends a process, by its id."""

    def __init__(self, directory: Path, size: int, kill: Callable[[int], None] | None = None) -> None:
        self.killed = 0
        self.map = Map(directory, size)
        self._kill = kill or _kill
        self._looks = False

    def open(self) -> None:
        """Raises StateError where the memory is not to be had."""
        self.map.open()

    def close(self) -> None:
        self.map.close()

    async def tick(self) -> int | None:
        """Once a second: ends the process that has the lock and neither gives it back nor changes anything. Which one
        that was."""
        holder, last = self.map.holder, self.map.last
        if holder is None or self._looks:
            return None
        self._looks = True
        try:
            return holder if await self._keeps(holder, last) else None
        finally:
            self._looks = False

    async def _keeps(self, holder: int, last: int) -> bool:
        loop = asyncio.get_running_loop()
        until = loop.time() + LONGEST
        while loop.time() < until:
            await asyncio.sleep(LOOK)
            if self.map.holder != holder or self.map.last != last:
                return False
        logger.error("process %d has had the lock of the state for %gs and keeps it; it is killed", holder, LONGEST)
        self.killed += 1
        with suppress(ProcessLookupError):
            self._kill(holder)
        return True

    async def bury(self, owner: str) -> list[tuple[str, Word]]:
        """Gives back what the worker of that name had. Returns whom to tell that it may be his turn, and the word."""
        name = bytes.fromhex(owner)
        digests = await self._take_from(name, self.map.queued)
        digests |= await self._take_from(name, self.map.held)
        return await self._try(lambda txn: self._turns(txn, digests)) or []

    async def _take_from(self, name: bytes, crowd: Crowd) -> set[bytes]:
        digests: set[bytes] = set()
        since: Where | None = None
        while True:
            taken = await self._try(lambda txn, since=since: crowd.bury(txn, name, since, SLICE))  # type: ignore[misc]
            found, since = taken or ([], None)
            digests.update(found)
            if since is None:
                return digests
            await asyncio.sleep(0)

    async def _try(self, change: Callable[[Txn], Found]) -> Found | None:
        """Who has the lock is gone in a moment, one way or the other."""
        for _ in range(TRIES):
            try:
                with self.map.transaction() as txn:
                    return change(txn)
            except lmdb.Error as error:
                failed = error
            await asyncio.sleep(LOOK)
        logger.error("what a dead worker had cannot be given back: %s", failed)
        return None

    def _turns(self, txn: Txn, digests: set[bytes]) -> list[tuple[str, Word]]:
        firsts = [(self.map.queued.first(txn, digest), digest) for digest in digests]
        return [(owner_of(first).hex(), turn(digest)) for first, digest in firsts if first is not None]


def _kill(process: int) -> None:
    os.kill(process, signal.SIGKILL)
