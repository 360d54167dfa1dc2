"""Two gateways that share their state, on one loop: through memory as the workers of a machine do, or through a Redis
server of their own as nodes do.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.config.states import parse_state
from gateway.state.bus import Room
from gateway.state.lmdb_map import Map
from gateway.state.redis import RedisStore
from gateway.state.redis_session import Where
from gateway.state.shared import SharedStore
from gateway.waiting import Spot

from .authorities import MEMORY, SIZE
from .gateways import InProcess
from .limits import limited
from .raw import RawClient, client
from .redis_nodes import TERMS
from .redis_server import RedisServer
from .upstreams import ScriptedUpstream
from .waiting import until

Two = tuple[InProcess, InProcess]
Opened = SharedStore | RedisStore


@contextlib.contextmanager
def _shared() -> Iterator[Callable[[], Opened]]:
    loop = asyncio.get_running_loop()
    directory = Path(tempfile.mkdtemp(prefix="longpoll-gateway-test-", dir=MEMORY if MEMORY.is_dir() else None))
    state, bus = Map(directory / "state", SIZE), Room(loop)
    try:
        yield lambda: SharedStore(state, loop, bus)
    finally:
        shutil.rmtree(directory)


@contextlib.contextmanager
def _redis() -> Iterator[Callable[[], Opened]]:
    server = RedisServer()
    try:
        yield lambda: RedisStore(Where(parse_state(server.url)), "test", "local", time.time, TERMS)
    finally:
        server.close()


STATES = {"shared": _shared, "redis": _redis}


@contextlib.asynccontextmanager
async def two(
    kind: str, patch: pytest.MonkeyPatch, up: ScriptedUpstream, folder: Path, *limits: str, **more: Any
) -> AsyncIterator[Two]:
    """Both with the same limits, before the same upstream."""
    async with contextlib.AsyncExitStack() as stack:
        make = stack.enter_context(STATES[kind]())
        patch.setattr("gateway.app.open_store", lambda *_: make())
        gateways: list[InProcess] = []
        for name in ("one", "two"):
            (folder / name).mkdir()
            gateways.append((await stack.enter_async_context(limited(up, folder / name, *limits, **more)))[0])
        yield gateways[0], gateways[1]


@contextlib.asynccontextmanager
async def clients(*of: InProcess) -> AsyncIterator[list[RawClient]]:
    """One client for each, in their order."""
    async with contextlib.AsyncExitStack() as stack:
        yield [await stack.enter_async_context(client(gw.port)) for gw in of]


def in_line(gw: InProcess) -> int:
    """Calls that stand in a line of this gateway."""
    calls = [connection.call for connection in gw.app._edge.connections]
    return sum(call is not None and isinstance(call.up, Spot) for call in calls)


async def stands(gw: InProcess, raw: RawClient, request: bytes) -> None:
    """Sends a call and waits until it stands in a line."""
    before = in_line(gw)
    await raw.send(request)
    await until(lambda: in_line(gw) == before + 1, "a call in line")


def lent(gw: InProcess) -> int:
    """Leases of this gateway."""
    return len(gw.app._store.mirror.lent)  # type: ignore[union-attr]
