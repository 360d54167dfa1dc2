"""Socket.IO that begins with polls and goes on over a WebSocket: python-socketio's server and client with a gateway
process between them, on one route that knows the polls and lets the handshake through.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import socketio
from aiohttp import web

from tests.kit.gateways import SIGNED_IN, gateway_process, process_config, route, token
from tests.kit.waiting import until

WS = "[policy.ws.websocket]\norigins = []\n"


@asynccontextmanager
async def serving() -> AsyncIterator[tuple[socketio.AsyncServer, int]]:
    sio, app = socketio.AsyncServer(async_mode="aiohttp", ping_interval=20, ping_timeout=10), web.Application()
    sio.on("echo", lambda sid, number: number)
    sio.attach(app)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield sio, runner.addresses[0][1]
    finally:
        await sio.shutdown()
        await runner.cleanup()


async def test_a_session_that_began_with_polls_goes_on_over_a_websocket(tmp_path: Path) -> None:
    routes = route("chat", "/socket.io/", ["engineio", "signed-in", "ws"])
    async with serving() as (server, port):
        with gateway_process(
            process_config(port, more=SIGNED_IN + WS, routes=routes, server='drain = "1s"'), tmp_path
        ) as gw:
            async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token()}"}) as http:
                client, items = socketio.AsyncClient(http_session=http, reconnection=False, handle_sigint=False), []
                client.on("item", items.append)
                await client.connect(f"http://127.0.0.1:{gw.port}", transports=["polling", "websocket"])
                assert client.transport() == "websocket"
                for item in range(50):
                    await server.emit("item", item)
                    assert await client.call("echo", item) == item
                await until(lambda: items == list(range(50)), "every item, once, in order")
                assert [call["state"] for call in await gw.held()] == ["tunnelling"]
                gw.terminate()
                await until(lambda: not client.connected, "the end of the session")
                assert await gw.exit_code() == 0
            ended = [record for record in gw.sync_records(1) if record["status"] == 101]
    assert [(record["outcome"], record["consumer"]) for record in ended] == [("drained", "alice")]
