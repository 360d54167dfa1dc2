"""The stage of cases with several gateways: nodes that share their state, before one service that counts what reaches
it from all of them. A node can be killed and started anew.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Unpack

from tests.bench.load import Control, Crowd
from tests.bench.process import Process, free_ports, spawn
from tests.bench.proxies import SECRET, Ports, tokens
from tests.bench.wire import status

from .stage import Chaos, Parts, admin, configuration, gateway, ready, statuses
from .waiting import reached

SHARED = '[state]\nurl = "shared://"\n'
WORKERS = 2
SEVERAL = f"workers = {WORKERS}\n"  # of [server]

PLAN = """\
[[policy.plan.rate_limit]]
rate = "20000/s"
burst = 40000
per = "route"

[[policy.places.hold_cap]]
max = {most}
per = "consumer"
{more}
"""


def in_redis(url: str, on_failure: str = "local") -> str:
    return f'[state]\nurl = "{url}"\non_failure = "{on_failure}"\n'


def plan(most: int, more: str = "") -> str:
    """So many polls of each consumer, as fast as they come."""
    return PLAN.format(most=most, more=more)


class Nodes:
    """Gateways before one service. `control` asks that service what it holds."""

    control: Control

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self.folder = folder
        self.all: list[Chaos] = []
        self.tokens: Iterator[str] = tokens()
        self._stack = stack
        self._service = free_ports(1)[0]

    async def begin(self) -> None:
        argv = [sys.executable, "-m", "tests.chaos.recorder", str(self.folder / "seen.jsonl"), "now"]
        behind = self._stack.enter_context(spawn("upstream", [*argv, str(self._service)], None, self.folder))
        await behind.listening(self._service)
        self.control = await Control.connect(self._service)

    async def add(self, state: str, parts: Parts) -> Chaos:
        """One more gateway, with that table of state."""
        own = self.folder / f"node-{len(self.all)}"
        own.mkdir()
        (own / "secret").write_text(SECRET)
        proxy, admin = free_ports(2)
        ports = Ports(proxy, self._service, admin, 0)
        whole: Parts = {**parts, "state": state}
        (own / "gateway.toml").write_text(configuration(ports, own, **whole))
        running, listening = await self._run(own, ports, own.name)
        node = Chaos(running, proxy, self._service, admin, self.control, listening, self.tokens, ports, own)
        self.all.append(node)
        return node

    async def again(self, node: Chaos) -> None:
        """The same gateway, as a new process."""
        node.proxy, node.listening = await self._run(node.folder, node.ports, f"{node.folder.name}-again")

    async def _run(self, folder: Path, ports: Ports, name: str) -> tuple[Process, float]:
        running = self._stack.enter_context(gateway(folder / "gateway.toml", name))
        return running, await ready(running, ports)

    async def held(self) -> int:
        return int((await self.control.stats())["held"])

    async def most(self) -> int:
        """As many polls as the service ever held at one time."""
        return int((await self.control.stats())["most"])

    async def acquainted(self, parts: int) -> None:
        """Each gateway has heard of all others: it does with their next sign of life, and goes by that if it decides
        alone."""
        word = f"longpoll_state_parts {parts}"

        async def known() -> bool:
            return all([word in (await admin(node, "GET /metrics")).answer.decode() for node in self.all])

        await reached(known, 10)

    async def reaches(self, number: int, within: float = 10.0) -> float | None:
        """Seconds until the service holds exactly that many; None when it never did."""

        async def there() -> bool:
            return await self.held() == number

        return await reached(there, within)

    async def crowd(self, node: Chaos, wires: Sequence[bytes]) -> Crowd:
        """Clients that each send one of these to that gateway, all at once."""
        crowd = Crowd()
        await crowd.dial(node.port, len(wires))
        crowd.forget()
        crowd.ask(list(wires), slice(None))
        return crowd

    async def parked(self, node: Chaos, wires: Sequence[bytes], each: int = 250) -> Crowd:
        """The same at the pace of the gateway; each of them is held."""
        crowd, before = Crowd(), await self.held()
        await crowd.dial(node.port, len(wires))
        crowd.forget()
        for first in range(0, len(wires), each):
            some = slice(first, min(first + each, len(wires)))
            crowd.ask(list(wires), some)
            await self.reaches(before + some.stop, 30)
        return crowd


@asynccontextmanager
async def nodes(folder: Path, states: Sequence[str], **parts: Unpack[Parts]) -> AsyncIterator[Nodes]:
    """A fresh service, and a gateway for each of these tables of state; all are gone when the block is left."""
    with ExitStack() as stack:
        made = Nodes(stack, folder)
        await made.begin()
        for state in states:
            await made.add(state, parts)
        if states and all("redis://" in state for state in states):
            await made.acquainted(len(states))
        yield made


def told(*crowds: Crowd) -> dict[str, int]:
    """What everybody in these crowds was told."""
    seen: Counter[str] = Counter()
    for crowd in crowds:
        seen.update(statuses(crowd))
    return dict(seen)


def refusals(*crowds: Crowd) -> int:
    return sum(status(answer) == 429 for crowd in crowds for answer in crowd.answers)


async def over(*crowds: Crowd, held: int, within: float = 20.0) -> float | None:
    """Seconds until all of these but so many have been told something."""
    began = time.monotonic()
    wanted = sum(len(crowd.clients) for crowd in crowds) - held
    found = await reached(lambda: sum(len(crowd.answers) + crowd.lost for crowd in crowds) >= wanted, within)
    return None if found is None else time.monotonic() - began
