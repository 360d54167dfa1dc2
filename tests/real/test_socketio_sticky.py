"""Socket.IO over two servers that share nothing: with `sticky:query.sid` a session stays at the one it began at, polls
and posts alike; when that server dies its clients are told at once, and a new session finds the other.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import aiohttp
import socketio
from aiohttp import web

from tests.kit.gateways import SIGNED_IN, Process, gateway_process, process_config, route, token
from tests.kit.machines import machine, machine_config
from tests.kit.waiting import until

CLIENTS = 6
Client = socketio.AsyncClient
STICKY = """balance = "sticky:query.sid"
sticky  = { id = "json:/sid", skip = '(\\d+:)?0' }"""
PLAIN = 'balance = "round-robin"'
ROUTE = route("chat", "/socket.io/", ["engineio", "signed-in"])


class Server:
    """A Socket.IO server that answers with its name; `cut` ends it as a crash would."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.sio = socketio.AsyncServer(async_mode="aiohttp", ping_interval=20, ping_timeout=10)
        self.sio.on("who", lambda sid: self.name)
        self.ended: list[str] = []
        self.sio.on("disconnect", lambda sid, reason: self.ended.append(reason))

    async def start(self) -> None:
        app = web.Application()
        self.sio.attach(app)
        self.runner = web.AppRunner(app, shutdown_timeout=0.01)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0).start()
        self.port: int = self.runner.addresses[0][1]

    async def cut(self) -> None:
        await self.runner.cleanup()
        if self.sio.eio.service_task_handle is not None:
            await self.sio.shutdown()


@contextlib.asynccontextmanager
async def serving(count: int) -> AsyncIterator[list[Server]]:
    servers = [Server(f"server-{number}") for number in range(count)]
    try:
        for server in servers:
            await server.start()
        yield servers
    finally:
        for server in servers:
            await server.cut()


def before(servers: Sequence[Server], upstream: str = STICKY, routes: str = ROUTE, more: str = SIGNED_IN) -> str:
    return process_config(*(server.port for server in servers), upstream=upstream, more=more, routes=routes)


@contextlib.asynccontextmanager
async def pages(
    gw: Process, count: int, transports: Sequence[str] = ("polling",), apart: bool = False
) -> AsyncIterator[list[Client]]:
    """Clients that are connected, each with a session. They leave as a page does that is closed."""
    async with contextlib.AsyncExitStack() as stack:
        found = [await page(gw, stack, transports, apart) for _ in range(count)]
        yield found
    await until(lambda: not any(sio.connected for sio in found), "the end of the sessions")


async def page(
    gw: Process, stack: contextlib.AsyncExitStack, transports: Sequence[str] = ("polling",), apart: bool = False
) -> Client:
    """`apart`: every request on a connection of its own."""
    headers = {"Authorization": f"Bearer {token()}"}
    connector = aiohttp.TCPConnector(force_close=apart)
    http = await stack.enter_async_context(aiohttp.ClientSession(headers=headers, connector=connector))
    sio = Client(http_session=http, reconnection=False, handle_sigint=False)
    await sio.connect(f"http://127.0.0.1:{gw.port}", transports=list(transports), wait_timeout=5)
    return sio


async def test_every_client_keeps_talking_to_the_server_its_session_began_at(tmp_path: Path) -> None:
    async with serving(2) as servers:
        with gateway_process(before(servers), tmp_path) as gw:
            async with pages(gw, CLIENTS) as clients:
                first = [await sio.call("who") for sio in clients]
                assert set(first) == {"server-0", "server-1"}
                for _ in range(5):
                    assert await asyncio.gather(*(sio.call("who") for sio in clients)) == first
                assert all(sio.connected for sio in clients)
            assert not [one for one in gw.sync_records(1) if one["status"] == 400 or one.get("note")]


async def test_without_stickiness_sessions_break(tmp_path: Path) -> None:
    """Or the test above would prove nothing."""
    async with serving(2) as servers, contextlib.AsyncExitStack() as stack:
        with gateway_process(before(servers, PLAIN), tmp_path) as gw:
            with contextlib.suppress(socketio.exceptions.SocketIOError):
                for sio in [await page(gw, stack) for _ in range(2)]:
                    await sio.call("who", timeout=2)
            assert [one for one in gw.sync_records(1) if one["status"] == 400]


async def test_a_server_that_dies_costs_its_clients_their_session_once_and_nobody_else(tmp_path: Path) -> None:
    async with serving(2) as servers:
        with gateway_process(before(servers), tmp_path) as gw:
            async with pages(gw, CLIENTS) as clients:
                homes = [await sio.call("who") for sio in clients]
                await servers[0].cut()
                lost = [sio for sio, home in zip(clients, homes, strict=True) if home == "server-0"]
                kept = [sio for sio in clients if sio not in lost]
                await until(lambda: not any(sio.connected for sio in lost), "the clients of the dead server know")
                assert [await sio.call("who") for sio in kept] == ["server-1"] * len(kept)
                async with pages(gw, 2) as again:
                    assert [await sio.call("who") for sio in again] == ["server-1"] * 2
                assert not servers[1].ended or set(servers[1].ended) <= {"client disconnect"}


async def test_a_session_that_goes_over_to_websocket_does_so_at_its_own_server(tmp_path: Path) -> None:
    more = f"{SIGNED_IN}[policy.talk.websocket]\n[[policy.talk.hold_cap]]\nmax = {CLIENTS}\n"
    routes = route("chat", "/socket.io/", ["engineio", "signed-in", "talk"])
    async with serving(2) as servers:
        with gateway_process(before(servers, routes=routes, more=more), tmp_path) as gw:
            async with pages(gw, CLIENTS, ("polling", "websocket")) as clients:
                assert {sio.transport() for sio in clients} == {"websocket"}
                names = [await sio.call("who") for sio in clients]
                assert set(names) == {"server-0", "server-1"}
                async with contextlib.AsyncExitStack() as stack:
                    with contextlib.suppress(socketio.exceptions.SocketIOError):  # one more than the caller may have
                        await page(gw, stack, ("polling", "websocket"))
                    await until(lambda: "capped" in {one["outcome"] for one in gw.sync_records(1)}, "a refusal")
                assert [await sio.call("who") for sio in clients] == names
            await until(
                lambda: sum(one["status"] == 101 for one in gw.sync_records(1)) == CLIENTS, "records of tunnels"
            )
            records = gw.sync_records(1)
        assert not [one for one in records if one["status"] == 400 or one.get("note") == "session_moved"]


async def test_two_workers_send_a_session_to_its_server_whichever_gets_the_next_request(tmp_path: Path) -> None:
    """Every request of a client on a connection of its own, so that each may meet another worker than the one before;
    polls that are held meanwhile stay where they are."""
    async with serving(2) as servers:
        text = machine_config(
            *(server.port for server in servers), upstream=STICKY, more=SIGNED_IN, routes=ROUTE, workers=2
        )
        with machine(text, tmp_path) as gw:
            async with pages(gw, CLIENTS, apart=True) as clients:
                first = [await sio.call("who") for sio in clients]
                assert set(first) == {"server-0", "server-1"}
                posted: set[object] = set()
                for rounds in range(200):
                    assert await asyncio.gather(*(sio.call("who") for sio in clients)) == first
                    posted = {one["worker"] for one in gw.sync_records(1) if one["method"] == "POST"}
                    if rounds >= 5 and posted == {0, 1}:
                        break
                assert posted == {0, 1}, "or it would prove nothing"
                assert all(sio.connected for sio in clients)
            assert not [one for one in gw.sync_records(1) if one["status"] == 400 or one.get("note")]
