"""`server.ramp` on the wire: after a start polls begin to be held one by one, whoever waits is listed, and ordinary
calls and the end of a process do not wait for anybody.
"""

from __future__ import annotations

from pathlib import Path

from tests.kit.gateways import config, gateway, hold, route
from tests.kit.raw import client, connect, get
from tests.kit.upstreams import HoldingUpstream
from tests.kit.waiting import until

SLOW = 'ramp = "6/min"\ndrain = "500ms"\nstop_grace = "10s"'  # nobody behind the first comes in while a test looks
POLL = {"more": hold(), "routes": route("poll", "/poll", ["poll"]) + route("calls", "/calls")}


async def test_who_comes_before_his_turn_is_listed_as_waiting_and_a_drain_ends_him(tmp_path: Path) -> None:
    async with HoldingUpstream() as up, gateway(config(up.port, server=SLOW, **POLL), tmp_path) as gw:
        clients = [await connect(gw.port) for _ in range(5)]
        for raw in clients:
            await raw.send(get("/poll"))
        await until(lambda: up.held == 1)
        held = await gw.held()
        assert sorted(call["state"] for call in held) == ["parked", *["waiting"] * 4]
        await clients.pop().close()
        async with client(gw.port) as raw:
            await raw.send(get("/calls"))
            await until(lambda: up.held == 2)
            up.publish()
            assert (await raw.read_answer()).status == 200, "an ordinary call does not wait"
        await gw.app.drain()
        ends = [(await raw.read_answer()).status for raw in clients]
        assert ends == [200] * 4
        for raw in clients:
            await raw.close()


async def test_a_rate_that_nobody_reaches_delays_nobody(tmp_path: Path) -> None:
    server = 'ramp = "50000/s"'
    async with HoldingUpstream() as up, gateway(config(up.port, server=server, **POLL), tmp_path) as gw:
        clients = [await connect(gw.port) for _ in range(50)]
        for raw in clients:
            await raw.send(get("/poll"))
        await until(lambda: up.held == 50)
        up.publish()
        for raw in clients:
            assert (await raw.read_answer()).status == 200
            await raw.close()
