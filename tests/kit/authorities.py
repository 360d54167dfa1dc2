"""Stores that are made anew for a test: one view of an authority for each worker that a test wants, all on one loop. A
further kind of store is a further line in `AUTHORITIES`.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from gateway.call import Call, State
from gateway.demands import release
from gateway.state.bus import Room
from gateway.state.lmdb_map import MAX_KEYS, Map
from gateway.state.memory import MemoryStore
from gateway.state.shared import SharedStore
from gateway.state.store import Demand, Denied, Place, Store

from .jumping import JumpingLoop
from .redis_authority import Redis
from .stores import Taken, prepared, take

SIZE = 4 * 1024 * 1024
MEMORY = Path("/dev/shm")


class Authority(Protocol):
    """`store` makes one more worker's view of the same limits; `turns` lets all of them hear what was said."""

    def store(self) -> Store: ...

    def turns(self) -> None: ...

    def close(self) -> None: ...


class Alone:
    """`memory://`: one process is all there is."""

    def __init__(self) -> None:
        self._store = MemoryStore()

    def store(self) -> Store:
        return self._store

    def turns(self) -> None:
        """Nobody talks."""

    def close(self) -> None:
        """Nothing is open."""


class Shared:
    """`shared://` in a file of its own."""

    def __init__(self, size: int = SIZE, max_keys: int = MAX_KEYS, **options: Any) -> None:
        self.directory = Path(
            tempfile.mkdtemp(prefix="longpoll-gateway-test-", dir=MEMORY if MEMORY.is_dir() else None)
        )
        self.loop = JumpingLoop()
        self.bus = Room(self.loop)
        self.stores: list[SharedStore] = []
        self.map = Map(self.directory / "state", size, max_keys)
        self._options = options

    def store(self) -> SharedStore:
        store = SharedStore(self.map, self.loop, self.bus, **self._options)
        store.open()
        self.stores.append(store)
        return store

    def turns(self) -> None:
        self.loop.turns(5)

    def close(self) -> None:
        for store in self.stores:
            store.shut()
        self.loop.close()
        shutil.rmtree(self.directory)


AUTHORITIES: dict[str, Callable[[], Authority]] = {"memory": Alone, "shared": Shared, "redis": Redis}


class Worker:
    """One worker, as far as a store knows it: it ends who has lost his place, and hears when something is free.
    `ended` tells whom it ended, and for which call."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.freed: list[tuple[str, str]] = []
        self.ended: list[tuple[Call, str]] = []
        store.watch(lambda limit, key: self.freed.append((limit, key)), self._end)

    def _end(self, call: Call, by: str) -> None:
        self.ended.append((call, by))
        call.state = State.SETTLED
        release(call)

    def take(self, *demands: Demand, holder: Call, now: float = 100.0, yields: Call | None = None) -> Taken | Denied:
        """With room made as `limits` makes it, where a store leaves that to it."""
        taken = take(self.store, demands, holder, now, yields)
        while isinstance(taken, Denied) and taken.victim is not None and not self.store.orders:
            victim = taken.victim
            assert isinstance(taken.demand, Place)
            if victim is not yields:
                self.store.evicted(taken.demand, victim.poller, now)
            release(victim)
            self.ended.append((victim, holder.id))
            victim.state = State.SETTLED
            taken = take(self.store, demands, holder, now, yields)
        return taken

    def asks(self, *demands: Demand, holder: Call, now: float = 100.0) -> Denied | asyncio.Future[Denied | None] | None:
        """Without waiting for the answer."""
        return prepared(self.store, demands).take(holder, now)
