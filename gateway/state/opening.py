"""The store that the configuration names. What others share has to be started, and closed at the end. Each is imported
only where it is used: a client of Redis takes 12 MiB, and a tenth of a second of every start.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeAlias, cast

from gateway.config.references import read_secret
from gateway.state.memory import MemoryStore

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.config.schema.server import State
    from gateway.machine.link import Handler
    from gateway.machine.part import Part
    from gateway.state.redis import RedisStore
    from gateway.state.redis_session import Where
    from gateway.state.shared import SharedStore

Opened: TypeAlias = "MemoryStore | RedisStore | SharedStore"


def open_store(state: State, part: Part, wall: Callable[[], float], environ: Mapping[str, str]) -> Opened:
    """Not started yet. Raises ValueError with a sentence for the operator."""
    if state.url.kind == "memory" or (state.url.kind == "shared" and part.directory is None):
        return MemoryStore()  # who is alone shares with nobody
    if state.url.kind == "redis":
        return _redis(state, part, wall, environ)
    return _shared(state, part, wall)


def _redis(state: State, part: Part, wall: Callable[[], float], environ: Mapping[str, str]) -> RedisStore:
    """A worker goes by the name that its supervisor knows, and hears from there of others that have ended."""
    from gateway.state.redis import RedisStore

    where = _where(state, environ)
    if part.link is None:
        return RedisStore(where, state.prefix, state.on_failure, wall)
    store = RedisStore(where, state.prefix, state.on_failure, wall, name=part.owner)
    cast("dict[str, Handler]", part.link.handlers)["gone"] = store.gone
    return store


def _shared(state: State, part: Part, wall: Callable[[], float]) -> SharedStore:
    from gateway.state.bus import LinkBus, Room
    from gateway.state.lmdb_map import Map
    from gateway.state.shared import SharedStore

    assert part.directory is not None
    loop = asyncio.get_running_loop()
    shared = part.map or Map(part.directory / "state", state.size)
    bus = LinkBus(part.link) if part.link is not None else Room(loop)
    return SharedStore(shared, loop, bus, parts=part.workers, on_failure=state.on_failure, wall=wall, owner=part.owner)


def _where(state: State, environ: Mapping[str, str]) -> Where:
    from gateway.state.redis_session import Where

    try:
        password = read_secret(state.password, environ) if state.password is not None else None
    except ValueError as error:
        raise ValueError(f"state.password: {error}") from None
    return Where(state.url, state.user, password, _context(state.ca) if state.url.tls else None)


def _context(ca: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        reason = "it holds no certificate" if isinstance(error, ssl.SSLError) else str(error.strerror).lower()
        raise ValueError(f"state.ca: {ca}: {reason}; name a PEM file with the authority's certificate") from None
