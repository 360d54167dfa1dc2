"""Several workers whose limits are counted in a Redis server: what a killed worker was lent is free at once, whoever of
the others is left to say so. At once is before those who are left could have missed it: they look every other second.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from tests.kit.gateways import hold, route
from tests.kit.limits import cap
from tests.kit.machines import Machine, machine, machine_config
from tests.kit.raw import client, get
from tests.kit.redis_server import RedisServer, redis_server
from tests.kit.upstreams import HoldingUpstream
from tests.kit.waiting import soon, until

pytestmark = [
    pytest.mark.timeout(180),  # three processes start, beside many others
    pytest.mark.asyncio(loop_factories=["asyncio"]),  # the gateway chooses its own loop in a process
]
PLACES, WAITING = 40, 30
POLL = hold(absent='"60s"', max='"90s"')  # longer than any of these tests takes
AT_ONCE = 4  # signs of life of one worker; another is missed after no fewer than five, two seconds apart


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


def shared(up: HoldingUpstream, redis: RedisServer, **more: str) -> str:
    limits = cap(most=PLACES, per='"route"', **more) + POLL
    return machine_config(up.port, state=redis.url, more=limits, routes=route(policies=["poll", "limits"]))


def nodes(redis: RedisServer) -> dict[str, str]:
    """The workers by the names under which they are lent places, and when each was last heard of."""
    found: dict[str, str] = redis.ask("HGETALL", "gateway:nodes")
    return found


async def beats_until(redis: RedisServer, fact: Callable[[], Awaitable[bool]]) -> int:
    """Until that is so: the most signs of life that any of the workers gave meanwhile."""
    seen: defaultdict[str, set[str]] = defaultdict(set)

    async def true() -> None:
        while True:
            for owner, beat in nodes(redis).items():
                seen[owner].add(beat)
            if await fact():
                return
            await asyncio.sleep(0.02)

    await soon(true())
    return max(map(len, seen.values()))


@asynccontextmanager
async def polls(gw: Machine, many: int) -> AsyncIterator[None]:
    """So many clients who ask, and are held or wait."""
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(client(gw.port)) for _ in range(many)]
        for raw in clients:
            await raw.send(get())
        yield


@asynccontextmanager
async def full(gw: Machine, up: HoldingUpstream) -> AsyncIterator[None]:
    """All places are taken, in both workers."""
    async with polls(gw, PLACES):
        await until(lambda: up.held == PLACES)
        yield


async def status(gw: Machine) -> int:
    async with client(gw.port) as raw:
        return (await raw.ask(get())).status


async def states(gw: Machine, number: int) -> Counter[str]:
    """What a worker's calls are at."""
    return Counter(call["state"] for call in (await gw.of_worker(number, "/api/held"))["calls"])


async def test_places_of_a_killed_worker_are_free_before_it_could_be_missed(tmp_path: Path, redis: RedisServer) -> None:
    async with HoldingUpstream() as up:
        with machine(shared(up, redis), tmp_path) as gw:
            async with full(gw, up):
                assert await status(gw) == 429
                held, before = await gw.held_by(), nodes(redis)
                assert len(before) == 2 and all(held.values())
                gw.kill(1)

                async def one_is_gone() -> bool:
                    return len(before.keys() & nodes(redis).keys()) == 1

                assert await beats_until(redis, one_is_gone) <= AT_ONCE
                await until(lambda: up.held == len(held[0]))
                async with polls(gw, len(held[1])):
                    await until(lambda: up.held == PLACES)
                    assert await status(gw) == 429, "and no more than those"


async def test_where_none_is_left_the_next_one_that_starts_says_so(tmp_path: Path, redis: RedisServer) -> None:
    async with HoldingUpstream() as up:
        with machine(shared(up, redis), tmp_path) as gw:
            async with full(gw, up):
                before = nodes(redis)
                for worker in list(gw.workers.values()):
                    os.kill(worker.pid, signal.SIGKILL)

                async def others_are_there() -> bool:
                    now = nodes(redis)
                    return bool(now) and not before.keys() & now.keys()

                assert await beats_until(redis, others_are_there) <= AT_ONCE
                await gw.until_serving(2)
                await until(lambda: not up.held)
            async with full(gw, up):
                assert await status(gw) == 429


async def test_who_waits_at_another_worker_is_let_in_at_once(tmp_path: Path, redis: RedisServer) -> None:
    async with HoldingUpstream() as up:
        text = shared(up, redis, on_excess='"wait"', max_waiting=str(WAITING))
        with machine(text, tmp_path) as gw:
            async with full(gw, up), polls(gw, WAITING):

                async def all_are_there() -> bool:
                    return sum([(await states(gw, number)).total() for number in (0, 1)]) == PLACES + WAITING

                await beats_until(redis, all_are_there)
                waiting = {number: (await states(gw, number))["waiting"] for number in (0, 1)}
                at = max(waiting, key=waiting.__getitem__)
                here, there = await states(gw, at), await states(gw, 1 - at)
                assert there["parked"], "connections are spread"
                gw.kill(1 - at)

                async def are_let_in() -> bool:
                    return (await states(gw, at))["waiting"] == max(here["waiting"] - there["parked"], 0)

                assert await beats_until(redis, are_let_in) <= AT_ONCE
