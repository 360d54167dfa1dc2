"""What may grow, how far, and how a gateway is made that has so much of it."""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import jwt

from gateway.state.memory import MAX_KEYS
from gateway.state.sweep import EVERY, MOST, STAYS
from tests.bench.load import ClosedLoop, Crowd
from tests.bench.measure import park, short_requests
from tests.bench.process import MeasureError, spawn
from tests.bench.proxies import AUDIENCE, ISSUER, LOAD_CORE, SECRET, Ports, Stage, stage, wires
from tests.bench.upstream import addresses
from tests.bench.wire import request

from .full import KIND, full
from .steady import CLIENTS, Asked

# A service takes its time. Answered at once, all requests to one endpoint would share the few connections that those
# before have just used, and find them in the cache: of 1 to 200 endpoints the last then cost 1.16 times as much as the
# first, for 1.02 times the instructions.
TIME = "?for=0.04"
SHORT, POLL = f"/now{TIME}", f"/poll{TIME}"
DRAWN = 1000  # consumers of whom anybody asks, as many as there are clients: of how many ask is not what grows here
ASKED = 5000  # requests over all routes, so that as many differ with one route
ROUTE = """
[[route]]
name = "now-{number}"
match = {{ path = "/now/{number}/{{what}}", methods = ["GET"] }}
upstream = "bench"
policies = ["signed-in", "fair", "account"]
"""


@dataclass(slots=True)
class Grown:
    """A gateway with so much of something. `asked`: what is asked of it, by what that is called."""

    level: int
    on: Stage
    asked: dict[str, Asked]


@dataclass(frozen=True, slots=True)
class Axis:
    """`small` is what a quick look takes."""

    title: str
    levels: tuple[int, ...]
    small: tuple[int, ...]
    make: Callable[[int], AsyncIterator[Grown]]


def usual(on: Stage) -> dict[str, Asked]:
    """The same consumers ask again and again, each on a connection of his own."""
    tokens = [next(on.tokens) for _ in range(CLIENTS)]
    paths = {"request": SHORT, "poll": POLL}
    return {what: Asked([request(path, token) for token in tokens]) for what, path in paths.items()}


async def parked(level: int) -> AsyncIterator[Grown]:
    async with stage(KIND, full) as on:
        crowd = Crowd()
        await crowd.dial(on.port, level)
        await park(on, crowd, wires("/poll", level, on.tokens))
        yield Grown(level, on, usual(on))
        crowd.leave()


async def routes(level: int) -> AsyncIterator[Grown]:
    more = "".join(ROUTE.format(number=number) for number in range(level))
    async with stage(KIND, partial(_changed, lambda text, ports: text + more)) as on:
        asked = usual(on)
        tokens = [next(on.tokens) for _ in range(CLIENTS)]
        over = [request(f"/now/{each % level}/{each}{TIME}", tokens[each % CLIENTS]) for each in range(ASKED)]
        await short_requests(on, over, 0)  # each was asked before
        yield Grown(level, on, asked | {"request, to any of the routes": Asked(over, drawn=True)})


async def endpoints(level: int) -> AsyncIterator[Grown]:
    with TemporaryDirectory(prefix="growth-") as name:
        ports: list[int] = []

        def change(text: str, its: Ports) -> str:
            ports.append(its.redis)  # nobody else uses it here
            one = f'"http://127.0.0.1:{its.upstream}"'
            if one not in text:
                raise MeasureError("the configuration of the bench names no endpoint")
            return text.replace(one, ", ".join(f'"http://{each}:{its.redis}"' for each in addresses(level)))

        async with stage(KIND, partial(_changed, change)) as on:
            argv = [sys.executable, "-m", "tests.bench.upstream", str(ports[0]), str(level)]
            with spawn("upstreams", argv, LOAD_CORE, Path(name)) as process:
                await process.listening(ports[0])
                asked = usual(on)
                for each in asked.values():  # until each has its connection
                    await short_requests(on, each.wires * max(1, 8 * level // CLIENTS), 0)
                yield Grown(level, on, asked)


def _changed(change: Callable[[str, Ports], str], ports: Ports, directory: Path) -> list[str]:
    """The command, with another configuration."""
    argv = full(ports, directory)
    path = directory / "gateway.toml"
    path.write_text(change(path.read_text(), ports))
    return argv


async def consumers(level: int) -> AsyncIterator[Grown]:
    """Every one of them has been here once. Asked is by those who come often, and by anybody."""
    async with stage(KIND, full) as on:
        now = int(time.time())
        loop = ClosedLoop((request("/now", token(number, now)) for number in range(level)), 3600)
        await loop.run(on.port, CLIENTS)
        if loop.bad is not None:
            raise MeasureError(f"the gateway answered with {loop.bad[:300]!r}")
        if level > MAX_KEYS:  # until its buckets are forgotten; those of fewer are while this one is filled
            await asyncio.sleep(STAYS + MAX_KEYS / MOST * EVERY)
        await rest(on)
        drawn = random.sample(range(level), min(level, DRAWN))
        anybody = [request(SHORT, token(number, now)) for number in drawn]
        await short_requests(on, anybody, 0)  # each was asked before
        yield Grown(level, on, usual(on) | {f"request, by any of {DRAWN:,} of them": Asked(anybody, drawn=True)})


async def rest(on: Stage) -> None:
    """Until nothing is left to do of what came before."""
    for _ in range(240):
        before = on.proxy.cpu()
        await asyncio.sleep(0.5)
        if on.proxy.cpu() - before < 0.005:
            return
    raise MeasureError("the gateway did not come to rest within two minutes")


def token(number: int, now: int) -> str:
    """Always the same one of a consumer."""
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": f"consumer-{number}", "iat": now, "exp": now + 36000}
    return jwt.encode(claims, SECRET, "HS256")


AXES = {
    "parked": Axis("polls held", (100, 1000, 4000, 8000), (100, 1000), parked),
    "routes": Axis("routes", (1, 10, 100, 1000, 5000), (1, 100), routes),
    "consumers": Axis("consumers known", (10, 1000, 100_000, 1_000_000), (10, 5000), consumers),
    "endpoints": Axis("endpoints", (1, 10, 50, 200), (1, 20), endpoints),
}
