"""Names of endpoints in trouble, with the machine's own resolver: one moves under 200 held polls, does not exist for a
while, and then its name server says nothing for longer than the resolver has patience.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from tests.bench.load import Crowd
from tests.bench.process import free_ports
from tests.bench.proxies import wires
from tests.bench.upstream import answer
from tests.bench.wire import body, request

from .nameserver import NameServer, NoNamesError, name_server
from .probes import ask, probing
from .sheet import Sheet
from .stage import NOW, POLL, Chaos, stage, statuses
from .waiting import reached

REFRESH = 1  # seconds
HUNG = 12.0  # seconds of silence: the resolver gives up after 10
QUICK = 0.25  # seconds that a call may take while another upstream's name hangs
MOVED, OTHER = "moved.chaos.test", "other.chaos.test"
NAMED = """
[upstream.{name}]
endpoints = ["http://{host}:{port}"]
dns_refresh = "{refresh}s"

[[route]]
name = "{name}"
match = {{ path = "/{name}/**", methods = ["GET"] }}
upstream = "{name}"
policies = ["signed-in", "plan"]

[[route]]
name = "{name}-poll"
match = {{ path = "/{name}/poll", methods = ["GET"] }}
upstream = "{name}"
policies = ["signed-in", "plan", "template", "places"]
"""


@dataclass
class Service:
    """A service in this process at one address: holds polls, answers the rest with where it is."""

    address: str
    held: list[asyncio.Transport] = field(default_factory=list)

    def publish(self) -> None:
        for transport in self.held:
            transport.write(answer(b'["news"]'))


class Served(asyncio.Protocol):
    """One connection to a service."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if b"/poll" in data.partition(b"\r\n")[0]:
            self._service.held.append(self._transport)
        else:
            self._transport.write(answer(self._service.address.encode()))

    def connection_lost(self, error: Exception | None) -> None:
        if self._transport in self._service.held:
            self._service.held.remove(self._transport)


@dataclass
class Scene:
    """A gateway with a name server of its own; the service is at two addresses, under one port."""

    sheet: Sheet
    on: Chaos
    names: NameServer
    old: Service
    new: Service

    async def where(self, name: str) -> str:
        """Which address answers an ordinary call, or what came instead."""
        probe = await ask(self.on.port, request(f"/{name}/now", next(self.on.tokens)))
        return body(probe.answer).decode() if probe.said == "200" else probe.said

    async def move(self, name: str, host: str, to: Service) -> None:
        """It is there, which is known to new calls soon."""
        self.names.at[host] = to.address

        async def there() -> bool:
            return await self.where(name) == to.address

        self.sheet.within(f"new calls reach {host} where it is now after", await reached(there, 10), REFRESH + 1)


async def names(sheet: Sheet, folder: Path, polls: int = 200, hung: float = HUNG) -> None:
    """The name moves, is gone, hangs; the process ends while it hangs."""
    try:
        async with _scene(sheet, folder) as scene:
            crowd = Crowd()
            await crowd.dial(scene.on.port, polls)
            crowd.forget()
            crowd.ask(wires("/moved/poll", polls, scene.on.tokens), slice(None))
            await reached(lambda: len(scene.old.held) == polls, 10)
            sheet.check(
                "polls held at the first address", len(scene.old.held), len(scene.old.held) == polls, str(polls)
            )
            await _moves(scene)
            await _is_gone(scene)
            await _hangs(scene, hung)
            await _all_are_told(scene, crowd, polls)
            await _ends(scene)
    except NoNamesError as error:
        sheet.note("skipped", str(error))


@asynccontextmanager
async def _scene(sheet: Sheet, folder: Path) -> AsyncIterator[Scene]:
    loop, port = asyncio.get_running_loop(), free_ports(1)[0]
    old, new = Service("127.0.0.1"), Service("127.0.0.2")
    async with name_server(folder) as (server, before):
        servers = [await loop.create_server(lambda each=each: Served(each), each.address, port) for each in (old, new)]  # type: ignore[misc]
        server.at = {MOVED: old.address, OTHER: old.address}
        upstreams = "".join(
            NAMED.format(name=host.partition(".")[0], host=host, port=port, refresh=REFRESH) for host in (MOVED, OTHER)
        )
        async with stage(folder, before=before, server='drain = "1s"', routes=NOW + POLL + upstreams) as on:
            yield Scene(sheet, on, server, old, new)
        for one in servers:
            one.close()


async def _moves(scene: Scene) -> None:
    scene.sheet.step(f"{MOVED} moves to another address")
    before = len(scene.old.held)
    await scene.move("moved", MOVED, scene.new)
    scene.sheet.check("polls still held at the first", len(scene.old.held), len(scene.old.held) == before, str(before))


async def _is_gone(scene: Scene) -> None:
    sheet = scene.sheet
    sheet.step(f"{MOVED} does not exist for {3 * REFRESH} s")
    del scene.names.at[MOVED]
    async with probing(scene.on.port, lambda: request("/moved/now", next(scene.on.tokens)), 0.02) as probes:
        await asyncio.sleep(3 * REFRESH)
    sheet.check("calls to it meanwhile", said := probes.said(), set(said) == {"200"}, "only 200, where it was last")
    scene.names.at[MOVED] = scene.new.address


async def _hangs(scene: Scene, seconds: float) -> None:
    sheet, on = scene.sheet, scene.on
    sheet.step(f"nobody answers for {MOVED} for {seconds:g} s, while {OTHER} moves")
    scene.names.silent.add(MOVED)
    asked = scene.names.asked[MOVED]
    await reached(lambda: scene.names.asked[MOVED] > asked, 2 * REFRESH)
    paths = ["/now", "/other/now", "/moved/now"]
    async with (
        probing(on.port, lambda: request(paths[0], next(on.tokens)), 0.02) as plain,
        probing(on.port, lambda: request(paths[1], next(on.tokens)), 0.02) as other,
        probing(on.port, lambda: request(paths[2], next(on.tokens)), 0.02) as moved,
    ):
        await scene.move("other", OTHER, scene.new)
        await asyncio.sleep(seconds)
    for path, probes in zip(paths, (plain, other, moved), strict=True):
        sheet.check(f"calls to {path} meanwhile", said := probes.said(), set(said) == {"200"}, "only 200")
        sheet.within("the slowest", max(probe.took for probe in probes.done), QUICK)


async def _all_are_told(scene: Scene, crowd: Crowd, polls: int) -> None:
    sheet = scene.sheet
    sheet.check("the held ones", seen := statuses(crowd), seen == {"unanswered": polls}, f"{polls} still held")
    scene.old.publish()
    await crowd.answered(10)
    sheet.check("the held ones at the end", seen := statuses(crowd), seen == {"200": polls}, f"{polls} x 200")
    await reached(lambda: len(_polls(scene.on)) >= polls, 5)
    outcomes = dict(Counter((record["outcome"], record["attempts"]) for record in _polls(scene.on)))
    sheet.check("recorded", outcomes, outcomes == {("news", 1): polls}, f"{polls} x news, sent once")
    lines = [line for line in scene.on.proxy.printed() if "cannot be looked up" in line]
    sheet.check("lines about look-ups that failed", len(lines), 1 <= len(lines) <= 3, "one for each trouble")


def _polls(on: Chaos) -> list[dict[str, object]]:
    return [record for record in on.records() if record["route"] == "moved-poll"]


async def _ends(scene: Scene) -> None:
    scene.sheet.step("SIGTERM while the look-up hangs")
    scene.on.proxy.terminate()
    scene.sheet.within("the process has ended after", await scene.on.proxy.ended(20), 4)
    code = scene.on.proxy.exit_code()
    scene.sheet.check("its exit code", code, code == 0, "0")
