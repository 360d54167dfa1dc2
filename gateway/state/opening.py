"""The store that the configuration names. What others share has to be started, and closed at the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeAlias

from gateway.config.references import read_secret
from gateway.state.bus import LinkBus, Room
from gateway.state.lmdb_map import Map
from gateway.state.memory import MemoryStore
from gateway.state.redis import RedisStore
from gateway.state.redis_session import Where
from gateway.state.shared import SharedStore

if TYPE_CHECKING:
    from gateway.config.schema.server import State
    from gateway.machine.part import Part

Opened: TypeAlias = MemoryStore | SharedStore | RedisStore


def open_store(state: State, part: Part, wall: Callable[[], float], environ: Mapping[str, str]) -> Opened:
    """Not started yet. Raises ValueError with a sentence for the operator."""
    if state.url.kind == "memory" or (state.url.kind == "shared" and part.directory is None):
        return MemoryStore()  # who is alone shares with nobody
    if state.url.kind == "redis":
        password = read_secret(state.password, environ) if state.password is not None else None
        return RedisStore(Where(state.url, state.user, password, state.ca), state.prefix, state.on_failure, wall)
    return _shared(state, part, wall)


def _shared(state: State, part: Part, wall: Callable[[], float]) -> SharedStore:
    assert part.directory is not None
    loop = asyncio.get_running_loop()
    shared = part.map or Map(part.directory / "state", state.size)
    bus = LinkBus(part.link) if part.link is not None else Room(loop)
    return SharedStore(shared, loop, bus, parts=part.workers, on_failure=state.on_failure, wall=wall, owner=part.owner)
