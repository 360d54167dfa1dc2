"""Peers that vanish without a word, as a telephone does in a tunnel: the cable between them and the gateway is cut.
Clients and services are given up within `server.vanished_after`, in silence and with bytes on the way.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from tests.bench.load import Crowd
from tests.bench.measure import park
from tests.bench.process import Process, free_ports
from tests.bench.proxies import Ports, wires
from tests.bench.upstream import answer
from tests.bench.wire import status

from .cables import Cable, NoCableError, cable
from .sheet import Sheet
from .stage import NOW, POLL, Chaos, configuration, gateway, stage
from .waiting import reached

PEERS = 20
VANISHED = 4.0  # seconds
LATE = 1.0  # more until it is seen from outside
AWAY = """
[upstream.away]
endpoints = ["http://{host}:{port}"]
response_timeout = "60s"

[[route]]
name = "away"
match = {{ path = "/away/**", methods = ["GET"] }}
upstream = "away"
policies = ["signed-in", "plan"]

[[route]]
name = "away-poll"
match = {{ path = "/away/poll", methods = ["GET"] }}
upstream = "away"
policies = ["signed-in", "plan", "origin", "places"]
"""


class Away(asyncio.Protocol):
    """A service behind a cable, in this process: holds `/away/poll`, answers `/away/large` with 8 MiB."""

    asked = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        Away.asked += 1
        if data.startswith(b"GET /away/large"):
            self._transport.write(answer(bytes(8 << 20)))
        elif not data.startswith(b"GET /away/poll"):
            self._transport.write(answer(b"ok"))


@dataclass
class Scene:
    """A gateway between two cables; what is not behind one is on loopback."""

    sheet: Sheet
    on: Chaos
    gateway: Process
    port: int
    clients: Cable
    service: Cable

    async def crowd(self, path: str, behind: bool, number: int = PEERS) -> tuple[Crowd, list[bytes]]:
        """Clients, and what each of them will ask."""
        crowd = Crowd()
        if behind:
            await self.clients.dial(crowd, self.port, number)
        else:
            await crowd.dial(self.port, number)
        crowd.forget()
        return crowd, wires(path, number, self.on.tokens)

    async def recorded(self, outcome: str, before: int) -> None:
        """Everybody's record, since there were so many."""
        await reached(lambda: len(self.on.records()) >= before + PEERS, 5)
        seen = dict(Counter(record["outcome"] for record in self.on.records()[before:]))
        self.sheet.check("recorded", seen, seen == {outcome: PEERS}, f"{PEERS} x {outcome}")


async def vanished(sheet: Sheet, folder: Path) -> None:
    """Four ways to vanish; the kernel finds each."""
    try:
        with cable(0) as clients, cable(1) as service:
            async with _scene(sheet, folder, clients, service) as scene:
                await _silent_clients(scene)
                await _unacknowledged(scene)
                await _half_way(scene)
                await _silent_service(scene)
                await _unacknowledging_service(scene)
    except NoCableError as error:
        sheet.note("skipped", str(error))


@asynccontextmanager
async def _scene(sheet: Sheet, folder: Path, clients: Cable, service: Cable) -> AsyncIterator[Scene]:
    away = await asyncio.get_running_loop().create_server(Away, sock=service.listening())
    host, port = away.sockets[0].getsockname()
    async with stage(folder) as on:
        (second := folder / "between").mkdir()
        (second / "secret").write_bytes((folder / "secret").read_bytes())
        ports = Ports(*free_ports(4))._replace(upstream=on.ports.upstream)
        text = configuration(
            ports, second, server=f'vanished_after = "{VANISHED:g}s"\nwrite_idle_timeout = "60s"',
            routes=NOW + POLL + AWAY.format(host=host, port=port),
        )  # fmt: skip
        path = second / "gateway.toml"
        path.write_text(text.replace('listen = ["127', f'listen = ["{clients.near}:{ports.proxy}", "127', 1))
        with gateway(path, "between") as process:
            await process.listening(ports.proxy)
            on.folder = second
            yield Scene(sheet, on, process, ports.proxy, clients, service)
    away.close()


async def _silent_clients(scene: Scene) -> None:
    sheet, on = scene.sheet, scene.on
    sheet.step(f"{PEERS} polls are held, and the cable of their clients is cut")
    crowd, polls = await scene.crowd("/poll", behind=True)
    await park(on, crowd, polls)
    before = len(on.records())
    scene.clients.cut()
    sheet.within("their upstream connections were freed after", await on.reaches(0, 3 * VANISHED), VANISHED + LATE)
    await scene.recorded("client_gone", before)
    again, _ = await scene.crowd("/poll", behind=False)
    again.ask(polls, slice(None))
    sheet.within("the same callers have their places again after", await on.reaches(PEERS, 5), 1)
    again.leave()
    crowd.leave()
    scene.clients.mend()
    await reached(lambda: len(on.records()) >= before + 2 * PEERS, 5)


async def _unacknowledged(scene: Scene) -> None:
    sheet, on = scene.sheet, scene.on
    sheet.step("their cable is cut, and then news comes that they cannot acknowledge")
    files = scene.gateway.descriptors()
    crowd, polls = await scene.crowd("/poll", behind=True)
    await park(on, crowd, polls)
    before = len(on.records())
    scene.clients.cut()
    await on.control.publish()
    await scene.recorded("news", before)
    freed = await reached(lambda: scene.gateway.descriptors() <= files + PEERS, 3 * VANISHED)  # the service's may rest
    sheet.within("their connections were given up after", freed, VANISHED + LATE)
    crowd.leave()
    scene.clients.mend()


async def _half_way(scene: Scene) -> None:
    sheet, on = scene.sheet, scene.on
    sheet.step("their cable is cut in the middle of a large answer that they do not read")
    crowd, wire = await scene.crowd("/away/large", behind=True)
    for client in crowd.clients:
        client.transport.pause_reading()
    before, asked = len(on.records()), Away.asked
    crowd.ask(wire, slice(None))
    await reached(lambda: Away.asked >= asked + PEERS, 5)
    await asyncio.sleep(0.5)
    scene.clients.cut()
    gone = await reached(lambda: len(on.records()) >= before + PEERS, 4 * VANISHED)
    sheet.within("the calls ended after", gone, VANISHED + LATE)
    await scene.recorded("client_gone", before)
    crowd.leave()
    scene.clients.mend()


async def _silent_service(scene: Scene) -> None:
    sheet, on = scene.sheet, scene.on
    sheet.step(f"{PEERS} polls are held, and the cable of the service is cut")
    crowd, polls = await scene.crowd("/away/poll", behind=False)
    before, asked = len(on.records()), Away.asked
    crowd.ask(polls, slice(None))
    await reached(lambda: Away.asked >= asked + PEERS, 5)
    await asyncio.sleep(0.2)
    await _told(scene, crowd, before)


async def _unacknowledging_service(scene: Scene) -> None:
    scene.sheet.step("its cable is cut, and then requests are sent that it cannot acknowledge")
    crowd, wire = await scene.crowd("/away/now", behind=False)
    crowd.ask(wire, slice(None))
    await crowd.answered(5)
    await asyncio.sleep(0.2)  # their records are written
    before = len(scene.on.records())
    scene.service.cut()
    crowd.forget()
    crowd.ask(wire, slice(None))
    await _told(scene, crowd, before)


async def _told(scene: Scene, crowd: Crowd, before: int) -> None:
    """Everybody is told 502 once the service is given up."""
    scene.service.cut()
    began = asyncio.get_running_loop().time()
    await crowd.answered(4 * VANISHED)
    took = asyncio.get_running_loop().time() - began
    said = dict(Counter(status(one) for one in crowd.answers))
    scene.sheet.check("answered", said, said == {502: PEERS}, f"{PEERS} x 502")
    scene.sheet.within("the last after", took if crowd.answers else None, VANISHED + LATE)
    await scene.recorded("upstream_reset", before)
    crowd.leave()
    scene.service.mend()
